"""What rows are called in tables, figures and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from testbed.analysis.summary import SummaryRow

_NAMED = 6
"""So many are named; of more, their number is told."""


class Row(Protocol):
    """What every row has: of a summary, of several runs, of an outage, of a phase."""

    @property
    def session(self) -> str: ...
    @property
    def direction(self) -> str: ...


def listed(words: Iterable[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def called(row: Row) -> str:
    """A row as tables and sentences call it: its probe, and which way.

    Of a probe with a session each way, both have its name.
    """
    way = row.direction.rpartition(" ")[2].lower()
    return f"{row.session.removesuffix(f'.{way}')} {row.direction}"


def classes(rows: Iterable[SummaryRow]) -> str:
    """Which application classes the probes are of that have another name; else nothing."""
    by_class: dict[str, list[str]] = {}
    for row in rows:
        probe = called(row).removesuffix(f" {row.direction}")
        if not re.fullmatch(rf"{re.escape(row.app)}(-\d+)?", probe):
            by_class.setdefault(row.app, [])
            by_class[row.app] += [probe] * (probe not in by_class[row.app])
    told = [
        f"{listed(probes) if len(probes) <= _NAMED else f'{len(probes)} probes'} "
        f"{'is' if len(probes) == 1 else 'are'} of class {app}"
        for app, probes in by_class.items()
    ]
    return f"{'; '.join(told)}." if told else ""


def names(these: Sequence[Row]) -> str:
    """All of them in a sentence, by probe; of many, how many."""
    if len(these) > _NAMED:
        return f"{len(these)} of them"
    by_probe: dict[str, list[str]] = {}
    for row in these:
        probe = called(row).removesuffix(f" {row.direction}")
        by_probe.setdefault(probe, []).append(row.direction)
    return listed(f"{probe} {'/'.join(ways)}" for probe, ways in by_probe.items())
