"""The timeline of a run: every delta that happened, a line of JSON each, by actual time.

{"delta": {"of": "link", "at_ns": 3000000000, ...}, "began_ns": ..., "actual_ns": ...}
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from testbed.files import write_whole
from testbed.net.deltas import AnyDelta
from testbed.net.deltas.reroute import Reroute
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
    """What there is to tell besides: a service's answer; UNCONFIRMED."""


UNCONFIRMED = {"confirmed": False}
"""What is told of a delta that a switch was told to make, and has not said that it is made."""


class Timeline:
    """The file, while a run writes it: whole lines, so that what is there can be read.

    Each entry is on its way to the disk when `add` returns, so that it outlives the process.
    """

    def __init__(self, path: Path) -> None:
        """Goes on after what an earlier process wrote, less a last line that it was torn from.

        Raises OSError, MsgspecError.
        """
        self._path = path
        self.entries: list[Entry] = []
        if path.is_file():
            raw = path.read_bytes()
            self.entries += _entries(raw)
            os.truncate(path, raw.rfind(b"\n") + 1)

    def add(self, entry: Entry) -> None:
        """What has just happened. Raises OSError."""
        self.entries.append(entry)
        with self._path.open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def complete(self, others: Iterable[Entry]) -> None:
        """With what other processes did, all in order. Raises OSError."""
        self.entries = sorted([*self.entries, *others], key=lambda one: one.actual_ns)
        lines = [msgspec.json.encode(one) + b"\n" for one in self.entries]
        write_whole(self._path, b"".join(lines))


def since(start_ns: int, noted: Iterable[Entry]) -> list[Entry]:
    """What another process noted, by CLOCK_MONOTONIC, as it is from the start of traffic.

    What is confirmed is told once, when it was.
    """
    found: dict[object, Entry] = {}
    for number, one in enumerate(noted):
        which: object = number
        if isinstance(one.delta, Reroute):
            which = (one.delta.cookie, one.delta.way, one.began_ns)
        found[which] = msgspec.structs.replace(
            one,
            delta=msgspec.structs.replace(one.delta, at_ns=one.delta.at_ns - start_ns),
            began_ns=one.began_ns - start_ns,
            actual_ns=one.actual_ns - start_ns,
        )
    return list(found.values())


def read_timeline(path: Path) -> tuple[Entry, ...]:
    """All entries; a last line that is torn is left out. Raises OSError, MsgspecError."""
    return _entries(path.read_bytes())


def _entries(raw: bytes) -> tuple[Entry, ...]:
    *lines, _torn = raw.split(b"\n")
    return tuple(msgspec.json.decode(line, type=Entry) for line in lines)
