"""Slices that came, changed and left during a run: what was asked and answered, and what
every session saw from then until the next event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from testbed.analysis.phases import phases
from testbed.results.folder import CONTROL, RunFolder
from testbed.scenario.model import OrderEvent
from testbed.units import show_ns


def lifecycle_table(run: RunFolder) -> Table | None:
    """None for a run without orders. Raises ResultError."""
    events = run.plan.events
    if not any(isinstance(event, OrderEvent) for event in events):
        return None
    told = run.record(CONTROL)  # None: the run was cut short
    happened = told["events"] if told else [{}] * len(events)
    seen: dict[int | None, dict[str, str]] = {}
    for phase in phases(run.plan, run.samples):
        shown = "-" if phase.max_ns is None else show_ns(phase.max_ns)
        lost = f", {phase.lost} lost" if phase.lost else ""
        name = f"{phase.session} {phase.direction}"
        seen.setdefault(phase.event, {})[name] = shown + lost
    columns = list(dict.fromkeys(name for row in seen.values() for name in row))
    table = Table(title="Orders, and the largest delay of each session until the next event")
    for name in ("at", "asked", "answer", *columns):
        table.add_column(name, overflow="fold")
    table.add_row("start", "", "", *(seen.get(None, {}).get(name, "") for name in columns))
    for number, (event, row) in enumerate(zip(events, happened, strict=False)):
        delays = (seen.get(number, {}).get(name, "") for name in columns)
        table.add_row(show_ns(event.at_ns), event.text, _answer(row), *delays)
    return table


def _answer(row: Mapping[str, Any]) -> str:
    """Status, how long it took, or why not."""
    answer = row.get("answer")
    if answer is None:
        return ""
    if answer["status"] < 300:
        took = row["actual_ns"] - row["began_ns"]
        return f"{answer['status']} in {show_ns(took)}" if took else f"{answer['status']}"
    error = answer["body"]["ietf-restconf:errors"]["error"][0]
    return f"{answer['status']} {error['error-message'].partition(';')[0]}"
