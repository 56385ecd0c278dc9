"""What a run and its user's terminal do to each other: Ctrl-Z, a terminal set raw, and
signals that come while results are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

from testbed.lab.base import Lab

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def kept() -> Iterator[None]:
    """The terminal is after the block as it was before, however a lab that used it ended."""
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):  # none, or it is closed
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


@contextmanager
def finishing() -> Iterator[list[int]]:
    """The block goes on to its end where a signal asks this process to end; a second one acts.

    Yields the numbers of the signals that came.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in _ENDING}

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield came
    finally:
        restore()


class Pauses:
    """While the block lasts, Ctrl-Z stops this process and its lab's clock, and `fg` both go on.

    `total_s` is how long they stood still, wall time. A lab whose clock cannot be stopped
    goes on alone.
    """

    def __init__(self, lab: Lab, process: subprocess.Popen[bytes]) -> None:
        self.total_s = 0.0
        self._lab, self._process = lab, process
        self._before = signal.getsignal(signal.SIGTSTP)
        self._ours = (
            threading.current_thread() is threading.main_thread() and self._before is signal.SIG_DFL
        )

    def __enter__(self) -> Self:
        if self._ours:
            signal.signal(signal.SIGTSTP, self._pause)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGTSTP, self._before)

    def _pause(self, number: int, _frame: FrameType | None) -> None:
        began_s = time.monotonic()
        self._lab.pause(self._process, paused=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stands still here
        signal.signal(number, self._pause)
        self._lab.pause(self._process, paused=False)
        self.total_s += time.monotonic() - began_s
