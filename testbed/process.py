"""Processes that end with the one that started them, and whether they did.

What builds the labs imports this before anything is installed: the standard library alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PARENT = "TESTBED_PARENT"
_libc = ctypes.CDLL(None)


def die_with_parent(with_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that started it ends.

    A parent that started this process with `child_environment` and has gone already is
    noticed; otherwise the parent is the one of this moment.
    """
    told = os.environ.pop(_PARENT, None)  # of this process, not of those it starts
    _die_with(int(told) if told else os.getppid(), with_signal)


def child_environment() -> dict[str, str]:
    """The environment for a child that calls `die_with_parent`: ours, and who its parent is."""
    return {**os.environ, _PARENT: str(os.getpid())}


def dying_with_caller(with_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` for a child that shall not outlive the thread that starts it."""
    parent = os.getpid()
    return lambda: _die_with(parent, with_signal)


def _die_with(parent: int, with_signal: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
    if os.getppid() != parent:  # gone before it was asked for
        os._exit(1)


ALIVE = ".alive"
"""File in a job folder that a lab holds as long as any process of it lives."""
ENDING_S = 10.0
"""What a lab's last processes may take to end once its first has."""


def hold(job: Path) -> int:
    """A descriptor for a lab's processes to inherit, by which `ended` knows of them."""
    held = os.open(job / ALIVE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(held, fcntl.LOCK_SH)
    return held


def ended(job: Path, within_s: float = ENDING_S) -> bool:
    """Whether all processes of the folder's lab are gone, within that time."""
    end = time.monotonic() + within_s
    try:
        asked = os.open(job / ALIVE, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        while shared(asked):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True
    finally:
        os.close(asked)


def shared(fd: int) -> bool:
    """Whether others hold the file or folder of a descriptor, which is locked if not.

    On a file system without locks: whether another descriptor of this machine is of it, as
    far as this user may see.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return _open_elsewhere(fd)
    return False


def _open_elsewhere(fd: int) -> bool:
    this = os.fstat(fd)
    own = f"/proc/{os.getpid()}/fd/{fd}"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or it has just ended
            for name in os.listdir(process / "fd"):  # noqa: PTH208 - names, and many
                link = f"{process}/fd/{name}"
                with suppress(OSError):
                    if link != own and os.path.samestat(os.stat(link), this):  # noqa: PTH116 - many
                        return True
    return False
