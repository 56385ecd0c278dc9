"""The summary as a terminal table, readable at 100 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.analysis.summary import SummaryRow, summarise
from testbed.report import wording
from testbed.results.folder import LOADS, RunFolder

COLOURS = {"met": "green", "not shown": "yellow", "missed": "bold red", "not valid": "yellow"}

_WIDTH = 26
"""Of the first column, characters."""


def verdict_table(run: RunFolder) -> RenderableType:
    """A run's verdict table with plain words below. Raises ResultError."""
    made = run.provenance
    lab = made.lab.get("lab", "unknown")
    rows = summarise(run.plan, run.samples)
    notes = [*wording.shortfalls(run.record(LOADS)), *made.notes]
    return summary_table(rows, lab, title=run.scenario.question, notes=notes)


def summary_table(
    rows: Sequence[SummaryRow], lab: str, *, title: str = "", notes: Sequence[str] = ()
) -> RenderableType:
    """The verdict table of summary rows; `notes` are further lines below."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=title or None,
        title_justify="left",
        title_style="bold",
    )
    table.add_column("class\nslice: path", no_wrap=True, overflow="ellipsis")
    for name in ("budget", "p50", "p99", "p99.9", "max", "loss", "deadline"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        table.add_row(
            _name(row),
            wording.delay(row.budget_ns),
            *(_percentile(row, name) for name in ("p50", "p99", "p999")),
            wording.delay(row.max_ns),
            wording.loss(row),
            wording.nominal(row.deadline_ns),
            _verdict(row),
        )
    return Group(table, *(Text(line) for line in _footer(rows, lab, notes)))


def _name(row: SummaryRow) -> Text:
    name = Text(f"{row.app} {row.direction}")
    start = f"\n{row.slice}: "
    name.append(start + wording.path(row.path, _WIDTH - len(start) + 1), style="dim")
    return name


def _verdict(row: SummaryRow) -> Text:
    if row.verdict == "no deadline":
        return Text(wording.NONE, style="dim")
    return Text(f"{wording.SIGNS[row.verdict]} {row.verdict}", style=COLOURS[row.verdict])


def _percentile(row: SummaryRow, name: str) -> Text:
    text = wording.percentile(row, name)
    return Text(text, style="dim" if getattr(row, name) is None else "")


def _footer(rows: Sequence[SummaryRow], lab: str, notes: Sequence[str]) -> list[str]:
    lines = [wording.tally(rows), wording.precision(rows, lab)]
    reading = "Delays are one-way unless marked rtt; the budget is without queueing"
    if any(row.packets and row.p999 is None for row in rows):
        reading += "; n<3688 is a percentile that takes 3,688 packets"
    return [*lines, f"{reading}.", *notes]
