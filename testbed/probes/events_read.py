"""The one reader of the logs that probe processes write (events.py): at their end, or while
they grow.

    log = Reader(folder / events.SENT_FILE)
    for kind, flag, session, number, a, b in log.rows():
        print(log.sessions[session], number)

Half an event at the end is left for the next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from testbed.errors import ResultError
from testbed.probes import events

_BLOCK_EVENTS = 4096

Row = tuple[int, int, int, int, int, int]
"""Kind, flag, session, number, a, b."""


class Reader:
    """One log; what was read before is not read again.

    Attributes:
        sessions: ids in the order in which events number them; empty before the header is
            there, whole.
        packets: of a message of each session.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        self.sessions: list[str] = []
        self.packets: list[int] = []

    @property
    def begun(self) -> bool:
        """Whether the header has been read."""
        return self._at > 0

    def more(self, most: int | None = None) -> memoryview:
        """The whole events that were written since the last time, `most` of them at most.

        Raises OSError, and ResultError for what is no event log.
        """
        with self._path.open("rb") as file:
            if not self.begun and not self._read_header(file):
                return memoryview(b"")
            file.seek(self._at)
            raw = file.read() if most is None else file.read(most * events.EVENT.size)
        whole = len(raw) - len(raw) % events.EVENT.size
        self._at += whole
        return memoryview(raw)[:whole]

    def rows(self) -> Iterator[Row]:
        """The same, event by event, with a block of them in memory at a time."""
        while block := self.more(_BLOCK_EVENTS):
            yield from events.EVENT.iter_unpack(block)

    def _read_header(self, file: BinaryIO) -> bool:
        """Whether it is there, whole."""
        start = len(events.MAGIC) + events.HEADER_LENGTH.size
        head = file.read(start)
        if head[: len(events.MAGIC)] != events.MAGIC[: len(head)]:
            raise ResultError(
                "not an event log",
                where=str(self._path),
                expected=f"a file starting {events.MAGIC!r}",
            )
        if len(head) < start:
            return False
        (length,) = events.HEADER_LENGTH.unpack_from(head, len(events.MAGIC))
        raw = file.read(length)
        if len(raw) < length:
            return False
        try:
            header = json.loads(raw)
            self.sessions, self.packets = header["sessions"], header["packets"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ResultError(
                "the event log's header is damaged",
                where=str(self._path),
                expected="JSON with the ids",
            ) from error
        self._at = start + length
        return True
