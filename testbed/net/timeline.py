"""The timeline of a run: every delta that happened, a line of JSON each, by actual time.

{"delta": {"of": "link", "at_ns": 3000000000, ...}, "began_ns": ..., "actual_ns": ...}
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from testbed.files import write_whole
from testbed.net.deltas import AnyDelta
from testbed.scenario.model import Frozen


class Entry(Frozen, frozen=True, kw_only=True):
    """A delta that happened. Times count from the start of traffic."""

    delta: AnyDelta
    """As it was planned, with its time."""
    began_ns: int
    actual_ns: int
    """When it was complete."""
    event: int | None = None
    """Which of the plan's events it is; None: it came of one, or of a request."""
    told: dict[str, Any] = msgspec.field(default_factory=dict)
    """What there is to tell besides: a service's answer."""


class Timeline:
    """The file, while a run writes it: whole lines, so that what is there can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """What has just happened. Raises OSError."""
        self.entries.append(entry)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def complete(self, others: Iterable[Entry]) -> None:
        """With what other processes did, all in order. Raises OSError."""
        self.entries = sorted([*self.entries, *others], key=lambda one: one.actual_ns)
        lines = [msgspec.json.encode(one) + b"\n" for one in self.entries]
        write_whole(self._path, b"".join(lines))


def entry(row: object, start_ns: int) -> Entry:
    """What another process noted, by CLOCK_MONOTONIC, as it is from the start of traffic."""
    made = msgspec.convert(row, Entry)
    return msgspec.structs.replace(
        made,
        delta=msgspec.structs.replace(made.delta, at_ns=made.delta.at_ns - start_ns),
        began_ns=made.began_ns - start_ns,
        actual_ns=made.actual_ns - start_ns,
    )


def read_timeline(path: Path) -> tuple[Entry, ...]:
    """All entries; a last line that is torn is left out. Raises OSError, MsgspecError."""
    *lines, _torn = path.read_bytes().split(b"\n")
    return tuple(msgspec.json.decode(line, type=Entry) for line in lines)
