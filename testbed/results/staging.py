"""A hidden folder that vanishes unless it is committed, or holds a measurement.

A child process, the janitor, creates the folder and removes it when its standard
input ends: at the end of the `with` block, and also when this process is killed
at any moment, since the kernel then closes the pipe. What is to be kept is renamed
out of the folder, or the folder itself is, in one step. A measurement that could not be
(janitor.py says what that is) stays until it is.

Both processes hold a shared flock on the folder. One that nobody holds was left by a kill
of both, or by a machine that lost power; the next run removes it or keeps its measurement.
Others may write where staging folders are made, as in /tmp: what they name like one is
never opened, and ours are closed to them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from testbed.errors import ResultError
from testbed.folders import remove
from testbed.process import shared
from testbed.results.janitor import KEEP, measured

PREFIX = ".staging-"
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk answers."""
_OWN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
"""How a folder is opened whose name others may have given to a FIFO or a symbolic link."""

Holder = Literal["nobody", "somebody", "unknown"]
"""Who holds a staging folder; unknown where the file system has no locks, and nobody of this
machine does."""


@contextmanager
def staging(root: Path, *, keep: bool = True) -> Iterator[Path]:
    """A new hidden folder in `root`, gone after the block unless it was renamed or measured.

    Without `keep` nothing in such folders of `root` counts as measured. Raises ResultError
    if `root` cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(root, error) from error
    sweep(root, keep=keep)
    path = root.resolve() / f"{PREFIX}{secrets.token_hex(6)}"
    janitor_program = str(Path(__file__).with_name("janitor.py"))
    janitor = subprocess.Popen(
        [sys.executable, "-I", "-S", janitor_program, str(path), *([KEEP] if keep else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us; the janitor ends when we do
    )
    assert janitor.stdin is not None
    assert janitor.stdout is not None
    held = -1
    try:
        code = int(janitor.stdout.readline() or 5)
        if code:
            raise unwritable(root, OSError(code, os.strerror(code)))
        held = os.open(path, _OWN_FOLDER)
        _flock(held, fcntl.LOCK_SH)
        yield path
    finally:
        if held >= 0:
            os.close(held)
        janitor.stdin.close()
        janitor.stdout.close()
        janitor.wait()


@contextmanager
def alone(path: Path) -> Iterator[Holder]:
    """Have a staging folder for oneself, if nobody holds it.

    Raises OSError for what is no folder, or another user's.
    """
    held = os.open(path, _OWN_FOLDER)
    try:
        if os.fstat(held).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        holder: Holder = "nobody"
        if shared(held):
            holder = "somebody"
        elif not _flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
            holder = "unknown"
        if not path.exists():  # it has got its last name meanwhile
            holder = "somebody"
        yield holder
    finally:
        os.close(held)


def sweep(root: Path, *, keep: bool = True) -> list[Path]:
    """Remove the staging folders in `root` that nobody holds and that hold no measurement, or
    without `keep` whatever they hold; returns them."""
    removed = []
    for path in root.glob(f"{PREFIX}*"):
        try:
            with alone(path) as holder:
                if holder == "nobody" and not (keep and measured(path)):
                    remove(path)
                    removed.append(path)
        except OSError:
            continue
    return removed


def scratch() -> Path:
    """Where this user's short-lived folders go: the run-time folder of the login session
    (XDG Base Directory Specification), or else the temporary folder, which others may share.

    Raises ResultError for a temporary folder in which others may rename what is ours.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and _private(Path(given)):
        return Path(given)
    shared = Path(tempfile.gettempdir())
    found = shared.stat()
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ResultError(
            "others may rename what is in the temporary folder",
            where=str(shared),
            expected="a folder of your own, or one with the sticky bit",
            remedy=f"chmod +t {shared}, or set TMPDIR to another folder",
        )
    return shared


def _private(path: Path) -> bool:
    """Whether a folder is this user's and closed to others."""
    try:
        found = path.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return mine and not found.st_mode & 0o077


def unwritable(path: Path, error: OSError) -> ResultError:
    """The ResultError for a folder that refused a write."""
    full = error.errno in FULL
    return ResultError(
        f"cannot write results: {error.strerror or error}",
        where=str(path),
        expected="a folder this user may write, with space for the samples",
        remedy=(
            f"free some space (`df -h {path}`), or set TESTBED_HOME to a folder with more"
            if full
            else "correct its permissions, or set TESTBED_HOME to another folder"
        ),
    )


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how)
    except OSError:
        return False
    return True
