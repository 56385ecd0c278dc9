"""Processes that end with the one that started them, and files that are whole or not there."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent(with_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that started it ends."""
    _die_with(os.getppid(), with_signal)


def dying_with_caller(with_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` for a child that shall not outlive the thread that starts it."""
    parent = os.getpid()
    return lambda: _die_with(parent, with_signal)


def _die_with(parent: int, with_signal: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
    if os.getppid() != parent:  # gone before it was asked for
        os._exit(1)


def write_json(path: Path, data: Any) -> None:
    """Write atomically: a reader sees the whole file or none."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.encode(data))
    part.rename(path)
