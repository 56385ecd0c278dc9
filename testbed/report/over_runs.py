"""Several runs as one table: values of all packets together, with intervals over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from testbed.analysis.over_runs import OverRuns
from testbed.analysis.percentiles import Estimate, Refused
from testbed.analysis.summary import PERCENTILES
from testbed.report import wording
from testbed.report.naming import called
from testbed.report.table import COLOURS, HEADERS
from testbed.text import visible

_SPARED = ("p50", "max", "p99.9", "runs", "p99")
"""Columns that go first where the terminal is narrow."""
_GAP = 2
_WIDTH = 26


class _Column(NamedTuple):
    header: str
    cells: list[Text]

    @property
    def width(self) -> int:
        texts = [self.header, *(cell.plain for cell in self.cells)]
        return max(len(line) for text in texts for line in text.splitlines())


def over_runs_table(
    rows: Sequence[OverRuns], seeds: Sequence[int], title: str = ""
) -> RenderableType:
    """A row for each session and direction, and in words below what the runs show."""
    above = [Text(visible(title), style="bold")] if title else []
    lines = (Text(visible(line)) for line in _words(rows, seeds))
    return Group(*above, _Together(rows), *lines)


class _Together:
    """The table, in as many columns as fit."""

    def __init__(self, rows: Sequence[OverRuns]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = _columns(self._rows)
        going = list(_SPARED)
        while going and sum(column.width + _GAP for column in columns) > options.max_width:
            name = going.pop(0)
            columns = [c for c in columns if c.header.partition("\n")[0] != name]
        table = Table(box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False)
        for column in columns:
            right = column is not columns[0] and column is not columns[-1]
            table.add_column(column.header, justify="right" if right else "left", no_wrap=True)
        for n in range(len(self._rows)):
            table.add_row(*(column.cells[n] for column in columns))
        yield table


def _columns(rows: Sequence[OverRuns]) -> list[_Column]:
    shown = [
        name
        for name in PERCENTILES
        if any(isinstance(getattr(row, name), Estimate) for row in rows)
    ]
    return [
        _Column("probe\nslice: path", [_name(row) for row in rows]),
        *(
            _Column(
                f"{HEADERS[name]}\n95 %",
                [_percentile(getattr(row, name)) for row in rows],
            )
            for name in shown
        ),
        _Column(
            "max\nof runs",
            [
                _lines(wording.delay(r.max_ns), f"from {wording.delay(r.max_least_ns)}")
                for r in rows
            ],
        ),
        _Column("missed\n95 %", [_missed(row) for row in rows]),
        _Column("runs\nover", [_over(row) for row in rows]),
        _Column(
            "deadline\nbound",
            [_lines(wording.nominal(r.deadline_ns), wording.delay(r.bound_ns)) for r in rows],
        ),
        _Column("verdict\nby", [_verdict(row) for row in rows]),
    ]


def _lines(first: str, *below: str) -> Text:
    return Text(first).append("".join(f"\n{line}" for line in below), style="dim")


def _name(row: OverRuns) -> Text:
    start = f"{row.slice}: "
    below = start + wording.path(row.path, max(_WIDTH - len(start), 0))
    return _lines(visible(called(row)), visible(below))


def _percentile(found: Estimate | Refused) -> Text:
    if isinstance(found, Refused):
        return Text(wording.stated(found), style="dim")
    low, high = wording.delay(found.low), wording.delay(found.high)
    return _lines(wording.stated(found), f"from {low}", f"to {high}")


def _missed(row: OverRuns) -> Text:
    if row.deadline_ns is None:
        return Text(wording.NONE)
    low, high = wording.share(row.miss_low), wording.share(row.miss_high)
    return _lines(wording.share(row.miss_ratio), f"from {low}", f"to {high}")


def _over(row: OverRuns) -> Text:
    return Text(wording.NONE if row.deadline_ns is None else f"{row.over} of {row.runs}")


def _verdict(row: OverRuns) -> Text:
    if row.verdict == "no deadline":
        return Text(wording.NONE, style="dim")
    told = Text(f"{wording.SIGNS[row.verdict]} {row.verdict}", style=COLOURS[row.verdict])
    ground = {"sample": f"{row.effective:,.0f} obs."}.get(row.ground, row.ground)
    return told.append(f"\n{ground}", style="dim")


def _words(rows: Sequence[OverRuns], seeds: Sequence[int]) -> list[str]:
    lines = [f"{len(seeds)} runs, {_seeds(seeds)}: {wording.tally(rows)}"]
    for row in rows:
        name = called(row)
        if 0 < row.over < row.runs:
            lines.append(
                f"{name}: {row.over} of {row.runs} runs missed more than "
                f"{wording.reliability(row.reliability)} allows ({wording.share(row.over_low)} to "
                f"{wording.share(row.over_high)} of all runs would): it depends on the seed."
            )
        if row.verdict == "not shown" and row.runs_needed and row.runs_needed > row.runs:
            lines.append(f"{name}: --repeat {row.runs_needed} would show it at the ratio seen.")
    refused = wording.refused(rows)
    lines.append(
        "Percentiles are of all messages together, intervals of what runs with other seeds have, "
        "each side with 97.5 % confidence; obs. are the independent observations that the messages "
        "are worth: of senders that meet at one phase a run, one a run"
        f"{f'; {refused}' * bool(refused)}."
    )
    return lines


def _seeds(seeds: Sequence[int]) -> str:
    """
    >>> _seeds([4, 5, 6]), _seeds([1, 7])
    ('seeds 4 to 6', 'seeds 1, 7')
    """
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"
