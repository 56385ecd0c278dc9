"""Where each microsecond went: a table of a session's hops, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.analysis.hops import Spent
from testbed.report import wording
from testbed.report.naming import called
from testbed.results.folder import RunFolder
from testbed.results.stamps import stamps
from testbed.text import visible
from testbed.units import show_ns

COLUMNS = (
    "hop",
    "queue",
    "fibre",
    "devices",
    "radio",
    "sending",
    "waits",
    "at most",
    "the slowest",
)
_SPARED = ("at most", "queue", "devices", "fibre", "sending")
"""Which go first where the terminal is narrow; numbers are never cut."""
_GAP = 2
READING = (
    "From one port's leaving to the next: propagation, devices, radio and transmission, and the "
    "wait in the port's queue, on average and at most; then all of it of the slowest message. What "
    "is in a column sums to what is below it, which was measured between the hosts."
)


def title(one: Spent) -> str:
    """Of a session's table."""
    told = f"{one.messages:,} messages"
    if one.messages < one.arrived:
        told += f" of {one.arrived:,} that arrived"
    return (
        f"{called(one)}, {told}: {show_ns(one.mean_ns)} on average, {_exactly(one.slowest_ns)} "
        "the slowest"
    )


def lines(one: Spent) -> list[tuple[str, ...]]:
    """A row for each hop; the last one has the sums."""
    rows = [
        (
            f"{hop.port} > {hop.peer}",
            str(hop.queue),
            *map(_some, (hop.propagation_ns, hop.device_ns, hop.radio_ns, hop.serialisation_ns)),
            *map(_some, (hop.wait_mean_ns, hop.wait_max_ns)),
            _exactly(hop.fixed_ns + hop.slowest_ns),
        )
        for hop in one.hops
    ]
    if one.beyond_slowest_ns or one.beyond_mean_ns:
        rows.append(
            ("to the receiver's stamp", "", "", "", "", "", _some(one.beyond_mean_ns), "",
             _exactly(one.beyond_slowest_ns))
        )  # fmt: skip
    sums = [
        sum(getattr(hop, name) for hop in one.hops)
        for name in ("propagation_ns", "device_ns", "radio_ns", "serialisation_ns", "wait_mean_ns")
    ]
    rows.append(
        ("together", "", *map(_some, sums[:4]), _some(sums[4] + one.beyond_mean_ns), "",
         _exactly(one.slowest_ns))
    )  # fmt: skip
    return rows


def hops_table(found: Sequence[Spent], width: int) -> RenderableType | None:
    """All sessions, in `width` characters; None: nothing was taken down."""
    if not found:
        return None
    parts: list[RenderableType] = [Text("Where each microsecond went", style="bold")]
    for one in found:
        rows = lines(one)
        keep = _kept(one, rows, width)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False)
        for number in keep:
            table.add_column(COLUMNS[number], justify="right" if number else "left", no_wrap=True)
        for row in rows[:-1]:
            table.add_row(*(visible(row[number]) for number in keep))
        table.add_section()
        table.add_row(*(Text(rows[-1][number], "bold") for number in keep))
        parts += [Text(visible(title(one))), table]
    return Group(*parts, Text(READING))


def untold(run: RunFolder, found: Sequence[Spent]) -> str | None:
    """Why a run that was to tell of hops has nothing to tell; None: it has, or was not to.

    Raises ResultError.
    """
    if found or not any(one.probes for one in run.planned.captures):
        return None
    if stamps(run) is None:
        why = "the run ended before it was taken down when probes left their ports"
    else:
        why = (
            "no message arrived that was seen at each port of one way; those of which copies "
            "go several ways are not followed"
        )
    return f"Where each microsecond went is not known: {why}."


def _kept(one: Spent, rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Places of the columns that have something to say and fit."""
    radio = any(hop.radio_ns for hop in one.hops)
    wide = [max(len(text) for text in column) for column in zip(COLUMNS, *rows, strict=True)]
    keep = [n for n, name in enumerate(COLUMNS) if radio or name != "radio"]
    for name in _SPARED:
        if sum(wide[n] + _GAP for n in keep) <= width:
            break
        keep.remove(COLUMNS.index(name))
    return keep


def _some(value: float) -> str:
    return show_ns(value) if value else wording.NONE


def _exactly(value: int) -> str:
    return f"{value:,} ns"
