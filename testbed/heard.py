"""What programs of a lab tell the host in the job folder.

A program in a lab may have written any of it: what is not as it should be is passed over or
told, and no file is read whole that may be of any size.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from testbed import errors
from testbed.errors import LabError, TestbedError
from testbed.files import open_plain
from testbed.scenario.model import UNREADABLE

DONE = "done.json"
"""File in the job folder in which the guest program says, last, how it ended."""
PROGRESS = "progress.jsonl"

_AT_ONCE_BYTES = 1 << 20
"""What of a growing file is read at a time; a line is shorter."""
_TAIL_BYTES = 4096
_WORDS = 3


class Row(msgspec.Struct):
    """Progress, as the guest program tells it; `at` is seconds of the lab's monotonic clock."""

    stage: str
    available_bytes: int
    text: str = ""
    done: int = 0
    of: int = 0
    at: float = 0.0
    free_bytes: int = 0


class Follower:
    """Reads progress as it grows."""

    def __init__(
        self,
        path: Path,
        show: Callable[[dict[str, Any]], None],
        clock_s: Callable[[], float],
    ) -> None:
        self._path, self._show, self._at = path, show, 0
        self._clock_s = clock_s
        self.stage = "boot"
        self.heard_s = clock_s()
        self.available_bytes: int | None = None

    def poll(self) -> None:
        """Show the rows that are new, or the next of them."""
        try:
            with open_plain(self._path) as file:
                file.seek(self._at)
                found = file.read(_AT_ONCE_BYTES)
        except OSError:
            return
        whole = found.rfind(b"\n") + 1
        self._at += whole or (len(found) if len(found) == _AT_ONCE_BYTES else 0)
        for line in found[:whole].splitlines():
            try:
                row = msgspec.json.decode(line, type=Row)
            except UNREADABLE:  # torn by a full disk, or another's
                continue
            self.stage, self.available_bytes = row.stage, row.available_bytes
            self.heard_s = self._clock_s()
            self._show(msgspec.structs.asdict(row))


class _Outcome(msgspec.Struct):
    status: str
    error: dict[str, str] | None = None


def outcome(job: Path) -> TestbedError | None:
    """What the guest program says went wrong, if anything. Raises FileNotFoundError: it did not
    come to its end.
    """
    try:
        with open_plain(job / DONE) as file:
            found = msgspec.json.decode(file.read(_AT_ONCE_BYTES), type=_Outcome)
    except FileNotFoundError:
        raise
    except UNREADABLE as problem:
        return LabError(
            f"what the guest program said last cannot be read: {problem}",
            where=str(job / DONE),
            expected="how it ended, in JSON; a program in the lab may have written there",
            remedy="run it again",
        )
    return None if found.status == "ok" else errors.retold(found.error or {})


def last_words(path: Path) -> str:
    """The last lines of a log, in one; empty if there are none."""
    try:
        with open_plain(path) as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " | ".join(lines[-_WORDS:])


def found(path: Path, pattern: bytes) -> list[str]:
    """The parts in a log of any size that match a pattern of bytes, each once; `^` is a line's
    beginning.
    """
    with suppress(OSError, ValueError), open_plain(path) as file:  # ValueError: it is empty
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            parts = re.findall(pattern, text, re.MULTILINE)
        return list(dict.fromkeys(part.decode(errors="replace") for part in parts))
    return []
