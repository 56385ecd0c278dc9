"""Network namespaces without processes.

A namespace is an open file descriptor of this process, and vanishes with it,
however it ends. `entered(fd)` moves the calling thread into one.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.errors import EmulationError

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: int) -> None:
    if getattr(_libc, name)(*args):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def current() -> int:
    """An open file descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def make(count: int) -> list[int]:
    """New, empty network namespaces, as open file descriptors.

    Raises EmulationError where namespaces may not be made.
    """
    _allow_files(count * 3 + 256)
    home = current()
    made: list[int] = []
    try:
        for _ in range(count):
            _call("unshare", _CLONE_NEWNET)
            made.append(current())
    except OSError as error:
        close(made)
        raise EmulationError(
            f"cannot make network namespace {len(made) + 1} of {count}: {error.strerror}",
            remedy="run it in a lab: making network namespaces needs root there",
        ) from None
    finally:
        _call("setns", home, _CLONE_NEWNET)
        os.close(home)
    return made


def close(namespaces: list[int]) -> None:
    """Forget namespaces; the kernel frees each when the last process has left it."""
    while namespaces:
        os.close(namespaces.pop())


@contextmanager
def entered(fd: int) -> Iterator[None]:
    """The calling thread is in namespace `fd` inside the block, and back after it.

    Sockets and processes made inside belong to the namespace for good.
    """
    home = current()
    try:
        _call("setns", fd, _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
    finally:
        os.close(home)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    except (OSError, ValueError):
        raise EmulationError(
            f"{count} files must be open at once",
            expected=f"at most {hard}, which is the limit here",
            remedy=f"raise it: ulimit -Hn {count}",
        ) from None
