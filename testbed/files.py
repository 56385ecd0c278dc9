"""Files that are whole or not there, and files that others may have made."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears as `path`, in one step, when the block ends.

    A block that raises, and a kill, leave what was there before. Raises OSError.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    nameless = True
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        nameless = False  # a file system whose files always have a name
        part.unlink(missing_ok=True)  # others may have made a link of it
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            if nameless:
                # naming a directory makes os.link() follow the link in /proc (linkat(2))
                os.link(f"/proc/self/fd/{fd}", part, src_dir_fd=fd, follow_symlinks=True)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one step: a reader sees all of it, or what was there before."""
    with whole(path) as file:
        file.write(data)


def open_plain(path: Path) -> BinaryIO:
    """Open a file that others may have made to read it; OSError if it is a link or no file.

    A pipe by that name would keep its reader waiting, a link lead elsewhere.
    """
    found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return os.fdopen(found, "rb")


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON in one step."""
    write_whole(path, msgspec.json.encode(data))
