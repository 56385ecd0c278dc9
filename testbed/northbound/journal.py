"""What is installed, kept in one file that is always whole.

A change is written down before it begins, with the book it comes from, and again when it
is complete. What a process finds half done when it starts, it undoes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from testbed.errors import InputError
from testbed.net.paths import Book
from testbed.net.tables import Rule
from testbed.scenario.model import UNREADABLE, Frozen


class Record(Frozen, frozen=True, kw_only=True):
    """One state of the service."""

    book: Book = Book()
    """What is installed, or was before the change that is under way."""
    begun: Book | None = None
    """Where a change leads that is not known to be complete; None: there is none."""
    rules: tuple[Rule, ...] = ()
    """Of the book, for a controller that starts."""
    documents: dict[str, Any] = msgspec.field(default_factory=dict)
    """Slice id -> the order as it was written."""
    since_ns: dict[str, int] = msgspec.field(default_factory=dict)
    """Slice id -> when it became what it is (CLOCK_REALTIME)."""
    born_ns: int = 0
    """When the first service began (CLOCK_REALTIME): what tells revisions of journals apart."""
    revision: int = 0
    """Changes completed so far."""
    modified_ns: int = 0
    """When the last of them was (CLOCK_REALTIME)."""
    revisions: dict[str, int] = msgspec.field(default_factory=dict)
    """Slice id -> the change that made it what it is."""


class Journal:
    """A record in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Record:
        """The record, or an empty one. Raises InputError for a file that is none."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Record)
        except FileNotFoundError:
            return Record()
        except UNREADABLE as error:
            raise InputError(
                f"the journal cannot be read: {error}",
                where=str(self._path),
                expected="a file that the northbound service wrote",
            ) from error

    def write(self, record: Record) -> None:
        """Replace the record in one step, on disk when this returns."""
        part = self._path.with_name(self._path.name + ".part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._path)
