"""Clocks and pacing: sleeping until a moment, timer slack, dying with the parent.

Moments are CLOCK_MONOTONIC ns. The kernel stamps packets with CLOCK_REALTIME, so
`clock_pair` reads both.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from testbed.process import die_with_parent

_PR_SET_TIMERSLACK = 29
_CLOCK_MONOTONIC, _TIMER_ABSTIME = 1, 1
_READS, _SHORT_NS = 5, 100_000
"""Of two clocks: how many at most, and one that is short enough."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("ns", ctypes.c_long))


_moment = _Timespec()
_moment_ref = ctypes.byref(_moment)


def sleep_until(moment_ns: int) -> bool:
    """Sleep until the moment; at once if it is past. False if a signal came first."""
    _moment.seconds, _moment.ns = divmod(moment_ns, 1_000_000_000)
    error: int = _libc.clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, _moment_ref, None)
    return error == 0


class Pair(NamedTuple):
    """CLOCK_MONOTONIC and CLOCK_REALTIME at one moment, ns."""

    monotonic_ns: int
    realtime_ns: int
    width_ns: int
    """Between the readings around: the pair is right to half of it."""

    @property
    def offset_ns(self) -> int:
        return self.realtime_ns - self.monotonic_ns


def clock_pair() -> Pair:
    """The narrowest of a few readings: a process may lose the processor between two."""
    best: Pair | None = None
    for _ in range(_READS):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best.width_ns:
            best = Pair((before + after) // 2, real, after - before)
        if best.width_ns < _SHORT_NS:
            break
    assert best is not None
    return best


def become_pacer(*, first: bool = False) -> None:
    """Make this process fit to pace or answer packets.

    No timer slack (the kernel's default is 50 us), no garbage collection pauses, an
    end when the parent ends. With `first`, before all other processes, so that none
    delays a send - but only where the kernel's own packet work goes before it: else a
    busy sender would hold up the network that it measures.
    """
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    die_with_parent(signal.SIGTERM)
    gc.disable()
    if first and _packets_come_first():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _packets_come_first() -> bool:
    """Whether the kernel's softirq thread has real-time priority (the lab's init gives it)."""
    for pid in range(2, 100):  # kernel threads are the first processes
        try:
            if Path(f"/proc/{pid}/comm").read_text() == "ksoftirqd/0\n":
                return os.sched_getscheduler(pid) == os.SCHED_FIFO
        except OSError:
            continue
    return False


class Stop:
    """True from the first SIGTERM or SIGINT on."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked
