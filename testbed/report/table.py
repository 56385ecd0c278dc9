"""The summary as a terminal table: readable at 100 columns, whole at 80.

Numbers are never cut. Where the terminal is narrow, columns that tell least go first:
those in which every percentile is refused, then as `_SPARED` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from testbed.analysis.fidelity import Instrument
from testbed.analysis.outage import outages
from testbed.analysis.percentiles import Refused
from testbed.analysis.promises import promises_of
from testbed.analysis.summary import PERCENTILES, SummaryRow, summarise_run
from testbed.report import wording
from testbed.report.headline import headline
from testbed.report.naming import called, classes
from testbed.report.remedies import remedies
from testbed.results.folder import RunFolder
from testbed.text import visible

COLOURS = {"met": "green", "not shown": "yellow", "missed": "bold red", "not valid": "yellow"}

_WIDTH = 26
"""Of the first column, characters, where there is room."""
HEADERS = {"p50": "p50", "p99": "p99", "p999": "p99.9"}
_SPARED = ("good to", "p99", "budget", "bound", "loss", "p99.9", "max")
_EDGES = 2


class Column(NamedTuple):
    name: str
    cells: tuple[Text, ...]
    refused: bool = False
    """Every cell is a refused percentile."""

    @property
    def width(self) -> int:
        return max(len(self.name), *(text.cell_len for text in self.cells), 0)


def verdict_table(run: RunFolder) -> RenderableType:
    """A run's verdict table with plain words below. Raises ResultError."""
    rows, known = summarise_run(run)
    costs = outages(run.plan, run.samples)
    notes = [
        *remedies(run.scenario, rows, costs),
        *wording.overdue(rows),
        *wording.packets(rows),
        *wording.events(run.scenario.headline, costs),
        *wording.promises(promises_of(run)),
        *wording.deviations(known),
        *run.provenance.notes,
    ]
    if run.scenario.headline != "verdicts":
        notes.insert(0, wording.tally(rows))
    table = summary_table(
        rows, known, title=run.scenario.question, answer=headline(run, rows), notes=notes
    )
    outcome = wording.outcome(run.provenance)
    return Group(Text(visible(outcome), "bold yellow"), table) if outcome else table


def summary_table(
    rows: Sequence[SummaryRow],
    known: Instrument,
    *,
    title: str = "",
    answer: str = "",
    notes: Sequence[str] = (),
) -> RenderableType:
    """The verdict table of summary rows below a question and its answer; `notes` are lines
    below."""
    above = [Text(visible(title), style="bold")] if title else []
    if answer:
        above.append(Text(visible(answer)))
    lines = (Text(visible(line)) for line in [*notes, *_footer(rows, known)])
    return Group(*above, VerdictTable(rows), *lines)


class VerdictTable:
    """Rows and verdicts, in as many columns as fit."""

    def __init__(self, rows: Sequence[SummaryRow]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [called(row) for row in self._rows]
        least = max((len(name) for name in [*names, "slice: path"]), default=0)
        columns, gap = self._fitting(options.max_width - least - _EDGES)
        room = options.max_width - _EDGES - sum(column.width + gap for column in columns)
        width = max(least, min(_WIDTH, room))
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, gap - 1, 0, 0),
            pad_edge=False,
        )
        table.add_column("probe\nslice: path", no_wrap=True, overflow="ellipsis")
        for column in columns:
            right = column.name != "verdict"
            table.add_column(column.name, justify="right" if right else "left", no_wrap=True)
        for n, row in enumerate(self._rows):
            table.add_row(_name(row, width), *(column.cells[n] for column in columns))
        yield table

    def _fitting(self, room: int) -> tuple[list[Column], int]:
        """The columns beside the first that fit in `room` characters, and the gap before
        each: two characters, or else one."""
        columns = self._columns()
        going = [c.name for c in columns if c.refused] + list(_SPARED)
        while True:
            for gap in (2, 1):
                if not going or sum(column.width + gap for column in columns) <= room:
                    return columns, gap
            name = going.pop(0)
            columns = [column for column in columns if column.name != name]

    def _columns(self) -> list[Column]:
        rows = self._rows

        def column(name: str, cells: Sequence[str | Text], *, refused: bool = False) -> Column:
            return Column(name, tuple(Text.assemble(cell) for cell in cells), refused)

        found = [column("budget", [wording.delay(row.budget_ns) for row in rows])]
        for name in PERCENTILES:
            refused = bool(rows) and all(isinstance(getattr(row, name), Refused) for row in rows)
            cells = [_percentile(row, name) for row in rows]
            found.append(column(HEADERS[name], cells, refused=refused))
        found.append(column("max", [wording.delay(row.max_ns) for row in rows]))
        if any(row.bound_ns is not None for row in rows):
            found.append(column("bound", [_bound(row) for row in rows]))
        found.append(column("loss", [wording.loss(row) for row in rows]))
        if any(row.fidelity in ("good", "not valid") for row in rows):
            found.append(column("good to", [wording.error(row.fidelity_ns) for row in rows]))
        found.append(column("deadline", [wording.nominal(row.deadline_ns) for row in rows]))
        found.append(column("verdict", [_verdict(row) for row in rows]))
        return found


def _name(row: SummaryRow, width: int) -> Text:
    name = Text(called(row))
    start = f"\n{row.slice}: "
    name.append(start + wording.path(row.path, width - len(start) + 1), style="dim")
    return name


def _verdict(row: SummaryRow) -> Text:
    if row.verdict == "no deadline":
        return Text(wording.NONE, style="dim")
    return Text(f"{wording.SIGNS[row.verdict]} {row.verdict}", style=COLOURS[row.verdict])


def _bound(row: SummaryRow) -> Text:
    return Text(wording.delay(row.bound_ns), style="bold red" if row.bound == "exceeded" else "")


def _percentile(row: SummaryRow, name: str) -> Text:
    text = wording.percentile(row, name)
    return Text(text, style="dim" if isinstance(getattr(row, name), Refused) else "")


def _footer(rows: Sequence[SummaryRow], known: Instrument) -> list[str]:
    reading = "Delays are one-way unless marked rtt; the budget is without queueing"
    if any(row.bound_ns is not None for row in rows):
        reading += ", the bound with it (network calculus)"
    if any(map(wording.outlived, rows)):
        reading += " until the first event changes the network"
    if refused := wording.refused(rows):
        reading += f"; {refused}"
    if any(wording.by_bound(row) for row in rows):
        reading += (
            "; percentiles of messages that saw few phases are those of these phases, and within "
            "budget and bound at others"
        )
    lines = [classes(rows), wording.precision(rows, known), f"{reading}."]
    return [line for line in lines if line]
