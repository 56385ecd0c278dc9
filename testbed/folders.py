"""Folders that others filled, a program in a lab for one: removed, whatever is in them.

The process that looks after a staging folder imports this: the standard library alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


def remove(path: Path) -> None:
    """Delete a folder and all in it, or what is in its place; what may not be deleted stays.

    Whatever its depth, which a recursion or a path may not reach, and its permissions. No
    symbolic link is followed, also if one takes a folder's place meanwhile: every folder is
    lifted to the top and emptied there, by its descriptor.
    """
    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        with _opened(str(path), None) as top:
            waiting = _emptied(top, None)
            while waiting:
                _take_down(waiting.pop(), top, waiting)
        path.rmdir()


def _take_down(name: str, top: int, waiting: list[str]) -> None:
    """Remove a folder of the topmost one; those in it come to wait there."""
    with suppress(OSError):
        with _opened(name, top) as folder:
            waiting += _emptied(folder, top)
        os.rmdir(name, dir_fd=top)


def _emptied(folder: int, top: int | None) -> list[str]:
    """Delete what is in a folder; the names that the folders in it now have in the topmost."""
    found = []
    for entry in list(os.scandir(folder)):
        with suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
            elif top is None:
                found.append(entry.name)
            else:
                with _opened(entry.name, folder):  # one that may not be written cannot be moved
                    pass
                name = f".{secrets.token_hex(8)}"
                os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
                found.append(name)
    return found


@contextmanager
def _opened(name: str, above: int | None) -> Iterator[int]:
    """A folder, from here on open to its owner. Raises OSError."""
    place = os.open(name, _PLACE, dir_fd=above)
    try:
        with suppress(OSError):
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 - this one, not its name
        folder = os.open(".", _FOLDER, dir_fd=place)
    finally:
        os.close(place)
    try:
        yield folder
    finally:
        os.close(folder)
