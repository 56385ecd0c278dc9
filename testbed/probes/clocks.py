"""Notices that a program sets the clock of the lab, or makes it run at another rate.

Packets are stamped with CLOCK_REALTIME, and sent by CLOCK_MONOTONIC. Nothing but a program
that sets the clock (clock_settime(2), adjtimex(2), `date -s`) moves one against the other.
The rate of both is the kernel's own as long as nobody disciplines it (STA_UNSYNC); on a
machine that is, as by NTP, the rate may change.
"""

from __future__ import annotations

import ctypes

from testbed.errors import EmulationError
from testbed.probes.clock import Pair, clock_pair

READABLE_NS = 1_000
"""A difference of two pairs beyond their own widths that no reading explains."""
_STA_UNSYNC = 0x40
_TIMEX_BYTES = 208
_FREQUENCY_AT, _STATUS_AT, _TICK_AT = 8, 32, 80  # behind `modes`, which fills one word
_libc = ctypes.CDLL(None)


def step_ns(one: Pair, other: Pair) -> int:
    """By how much the clock was set between; 0 if the readings cannot tell."""
    step = other.offset_ns - one.offset_ns
    return step if abs(step) > (one.width_ns + other.width_ns) // 2 + READABLE_NS else 0


class Clocks:
    """The clocks of a run, looked at once in a while."""

    def __init__(self, start_ns: int) -> None:
        """Times are told from `start_ns` (CLOCK_MONOTONIC)."""
        self._start_ns = start_ns
        self._last = clock_pair()
        self.began_realtime_ns = start_ns + self._last.offset_ns
        """`start_ns` by the clock that stamps packets."""
        self._rate = _rate()
        self._found: list[str] = []

    def look(self) -> None:
        """Compare with the last look."""
        now, rate = clock_pair(), _rate()
        since_s, now_s = ((p.monotonic_ns - self._start_ns) / 1e9 for p in (self._last, now))
        when = f"between {since_s:.1f} and {now_s:.1f} s of traffic"
        if step := step_ns(self._last, now):
            self._found.append(f"the lab's clock was set by {step / 1e9:+,.9g} s {when}")
        if self._rate is not None and rate not in (self._rate, None):
            self._found.append(f"the lab's clock was made to run at another rate {when}")
        self._last, self._rate = now, rate

    def check(self) -> None:
        """Raises EmulationError if the clock was touched."""
        self.look()
        if self._found:
            more = len(self._found) - 1
            raise EmulationError(
                self._found[0] + (f" (and {more} more)" if more else ""),
                where="CLOCK_REALTIME, which stamps packets",
                expected="a clock that nobody sets during a run",
                remedy="start no program that sets it (date -s, clock_settime, adjtimex) in the "
                "lab; the delays of messages sent around then are not known, all others hold",
            )


def _rate() -> tuple[int, int] | None:
    """The clock's frequency offset and tick; None where something disciplines it."""
    words = ctypes.create_string_buffer(_TIMEX_BYTES)
    if _libc.adjtimex(words) < 0:
        return None
    raw = words.raw[8:]

    def at(offset: int, size: int = 8) -> int:
        return int.from_bytes(raw[offset : offset + size], "little", signed=True)

    if not at(_STATUS_AT, 4) & _STA_UNSYNC:
        return None
    return at(_FREQUENCY_AT), at(_TICK_AT)
