"""What a built folder holds, listed once it is whole, and what of it is damaged since.

    checksums.txt    one JSON array a line
        [rows, vital rows, SHA-256 of all that follows]
        [path, mode, bytes, mtime in ns, SHA-256 of a file, or target of a link]

Vital rows come first, so that a start reads no more than those. How closely is looked:

    vital     what a lab cannot start without: kind, size, permissions; and the content
              of a file whose time of change is not the one listed
    listed    the same of all that is listed, and that nothing else is there
    whole     the content of every file
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

NAME = "checksums.txt"

Depth = Literal["vital", "listed", "whole"]

_PERMISSIONS = 0o777
"""Set-user-id bits are lost when an image is given to the user of root's labs, and mean
nothing in a lab."""
_KINDS: dict[str, Callable[[int], bool]] = {
    "a file": stat.S_ISREG,
    "a folder": stat.S_ISDIR,
    "a link": stat.S_ISLNK,
}


class Row(NamedTuple):
    """One entry of a folder; `size` and `mtime_ns` are of files, else 0."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    content: str
    """SHA-256 of a file, target of a link."""


def write(folder: Path, vital: Iterable[str]) -> None:
    """List all that is in `folder`; `vital` are patterns of paths in it, of one level a star."""
    patterns = tuple(vital)
    paths = sorted(_paths(folder), key=lambda path: (not _matches(path, patterns), path))
    count = sum(_matches(path, patterns) for path in paths)
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(lambda path: _row(folder, path), paths))
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    head = [len(rows), count, hashlib.sha256(lines).hexdigest()]
    (folder / NAME).write_bytes(json.dumps(head).encode() + b"\n" + lines)


def faults(folder: Path, depth: Depth) -> list[str]:
    """What is not as it was built, a phrase each; empty if nothing is."""
    try:
        rows = _read(folder, depth)
    except FileNotFoundError:
        return [f"{NAME} is missing"]
    except OSError as error:
        return [f"{NAME} cannot be read: {error.strerror}"]
    except (ValueError, TypeError):
        return [f"{NAME} is not what was written"]
    with ThreadPoolExecutor() as pool:  # reading and hashing leave the interpreter free
        compare = pool.map if depth == "whole" else map
        found = [said for said in compare(lambda row: _fault(folder, row, depth), rows) if said]
    if depth != "vital":
        known = {row.path for row in rows}
        found += [f"{path} is not of it" for path in _paths(folder) if path not in known]
    return found


def told(found: list[str]) -> str:
    """The first of the faults, and how many more there are."""
    more = len(found) - 1
    return found[0] + (f" (and {more:,} more)" if more else "")


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(
        path.count("/") == pattern.count("/") and fnmatchcase(path, pattern) for pattern in patterns
    )


def _paths(folder: Path, below: str = "") -> Iterator[str]:
    """Everything in a folder, but the list itself; links are not followed."""
    try:
        entries = list(os.scandir(folder / below))
    except OSError:
        return  # its own row tells
    for entry in entries:
        path = f"{below}{entry.name}"
        if path != NAME:
            yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(folder, f"{path}/")


def _row(folder: Path, path: str) -> Row:
    place = f"{folder}/{path}"
    found = os.lstat(place)
    if stat.S_ISREG(found.st_mode):
        return Row(path, found.st_mode, found.st_size, found.st_mtime_ns, _sha256(place))
    target = _target(place) if stat.S_ISLNK(found.st_mode) else ""
    return Row(path, found.st_mode, 0, 0, target)


def _target(link: str) -> str:
    return str(Path(link).readlink())


def _sha256(path: str) -> str:
    found = os.lstat(path)
    return _hashed(path, (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@functools.cache
def _hashed(path: str, _state: tuple[int, ...]) -> str:
    """The SHA-256 of a file in this state, read once a process: labs share what they boot."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path, depth: Depth) -> list[Row]:
    """Raises OSError; ValueError or TypeError for what is no such list."""
    with (folder / NAME).open("rb") as file:
        count, vital, digest = json.loads(file.readline())
        if depth == "vital":
            lines = [file.readline() for _ in range(vital)]
        else:
            rest = file.read()
            lines = rest.splitlines()
            if hashlib.sha256(rest).hexdigest() != digest or len(lines) != count:
                raise ValueError("another list")
    return [Row(*json.loads(line)) for line in lines]


def _fault(folder: Path, row: Row, depth: Depth) -> str:
    """What is wrong with one entry; empty if nothing is."""
    place = f"{folder}/{row.path}"  # thousands of them: a Path would cost more than the look
    try:
        found = os.lstat(place)
        if stat.S_IFMT(found.st_mode) != stat.S_IFMT(row.mode):
            said = f"is {_kind(found.st_mode)} instead of {_kind(row.mode)}"
        elif stat.S_ISLNK(row.mode):
            said = "" if _target(place) == row.content else "leads elsewhere"
        elif (found.st_mode ^ row.mode) & _PERMISSIONS:
            modes = f"{found.st_mode & _PERMISSIONS:o} instead of {row.mode & _PERMISSIONS:o}"
            said = f"has the permissions {modes}"
        else:
            said = _file_fault(place, found, row, depth) if stat.S_ISREG(row.mode) else ""
    except (FileNotFoundError, NotADirectoryError):
        said = "is missing"
    except OSError as error:
        said = f"cannot be read: {error.strerror}"
    return f"{row.path} {said}" if said else ""


def _file_fault(place: str, found: os.stat_result, row: Row, depth: Depth) -> str:
    if found.st_size != row.size:
        size = "is empty, and had" if not found.st_size else f"has {found.st_size:,} of"
        return f"{size} {row.size:,} bytes"
    suspect = depth == "whole" or found.st_mtime_ns != row.mtime_ns
    return "has other content" if suspect and _sha256(place) != row.content else ""


def _kind(mode: int) -> str:
    return next((name for name, fits in _KINDS.items() if fits(mode)), "a special file")
