"""Slices that came, changed and left during a run: what was asked and answered, and what
every session saw from then until the next event."""

from __future__ import annotations

from typing import NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from testbed.analysis.phases import phases
from testbed.net.timeline import Entry
from testbed.report.naming import called
from testbed.report.wording import NONE
from testbed.results.folder import RunFolder
from testbed.scenario.events.order import OrderEvent
from testbed.text import visible
from testbed.units import show_ns


class Request(NamedTuple):
    """One event, in words."""

    at: str
    asked: str
    answer: str
    largest: dict[str, str]
    """Probe and direction -> largest delay until the next event, and losses."""


def requests(run: RunFolder) -> list[Request]:
    """The start and each event of a run with orders; of others, nothing. Raises ResultError."""
    events = run.plan.events
    if not any(isinstance(event, OrderEvent) for event in events):
        return []
    happened = {entry.event: entry for entry in run.timeline}
    seen: dict[int | None, dict[str, str]] = {}
    for phase in phases(run.plan, run.samples):
        shown = NONE if phase.max_ns is None else show_ns(phase.max_ns)
        lost = f", {phase.lost} lost" if phase.lost else ""
        seen.setdefault(phase.event, {})[called(phase)] = shown + lost
    names = dict.fromkeys(name for row in seen.values() for name in row)

    def largest(number: int | None) -> dict[str, str]:
        return {name: seen.get(number, {}).get(name, "") for name in names}

    rows = [Request("start", "", "", largest(None))]
    for number, event in enumerate(events):
        answer = _answer(happened.get(number))
        rows.append(Request(show_ns(event.at_ns), event.text, answer, largest(number)))
    return rows


def lifecycle_table(run: RunFolder) -> Table | None:
    """None for a run without orders. Raises ResultError."""
    rows = requests(run)
    if not rows:
        return None
    table = Table(
        title="Requests, and the largest delay of each probe from then until the next",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("at", no_wrap=True)
    table.add_column("request: answer")
    for name in rows[0].largest:
        probe, _, way = name.partition(" ")
        table.add_column(f"{probe}\n{way}", justify="right", overflow="fold")
    for row in rows:
        said = Text(visible(row.asked))
        if row.answer:
            said.append(f": {visible(row.answer)}", style="dim")
        table.add_row(row.at, said, *row.largest.values())
    return table


def _answer(entry: Entry | None) -> str:
    """That it was carried out, and how long that took, or why not; empty where that is not
    known."""
    answer = entry.told.get("answer") if entry is not None else None
    if answer is None or entry is None:
        return ""
    if answer["status"] < 300:
        took = entry.actual_ns - entry.began_ns
        return f"done in {show_ns(took)}" if took else "done"
    error = answer["body"]["ietf-restconf:errors"]["error"][0]
    return f"refused ({answer['status']}), {error['error-message'].partition(';')[0]}"
