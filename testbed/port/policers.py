"""Policers: token buckets that drop packets before they wait (RFC 2697, one bucket).

A bucket is full at first, and of those packets that name the queue of its number. A packet
takes its bytes on the wire, or is dropped and takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from testbed.port.curves import Bucket
from testbed.port.stage import Arrival, Events, Stage
from testbed.port.wire import Record
from testbed.scenario.model import Frozen

_POLICER = Record("Q rate_bps", "I queue", "I burst_bytes")
_PS_PER_S = 10**12


class Policer(Frozen, frozen=True, kw_only=True):
    """A token bucket."""

    queue: int
    """Number its packets select; where there is no such queue they share the default one."""
    name: str = ""
    rate_bps: int
    """Committed, of what packets take on the wire."""
    burst_bytes: int

    @property
    def passes(self) -> Bucket:
        """What it lets through."""
        return Bucket(8 * self.burst_bytes, self.rate_bps)


class Policers(Stage, frozen=True, kw_only=True):
    """The port's policers, at most one a queue number."""

    ATTRIBUTE: ClassVar[int] = 2
    STOCK: ClassVar[bool] = True
    policers: tuple[Policer, ...]

    def encode(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(_POLICER.pack, self.policers))

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Policers:
        return cls(policers=tuple(Policer(**found) for found in _POLICER.each(data)))

    def stored(self) -> Policers:
        nameless = (msgspec.structs.replace(one, name="") for one in self.policers)
        return Policers(policers=tuple(nameless))

    def may_drop(self, queue: int) -> bool:
        return any(one.queue == queue for one in self.policers)

    def events(self) -> Events:
        return _Buckets(self.policers)


class _Buckets(Events):
    def __init__(self, policers: Sequence[Policer]) -> None:
        self.policer = {one.queue: one for one in policers}
        self.spent_ps = {one.queue: -_burst_ps(one) for one in policers}

    def admits(self, arrival: Arrival, wire_bytes: int) -> bool:
        policer = self.policer.get(arrival.queue)
        if policer is None:
            return True
        now_ps = arrival.time_ns * 1000
        spent_ps = max(self.spent_ps[policer.queue], now_ps - _burst_ps(policer))
        spent_ps += 8 * _PS_PER_S * wire_bytes // policer.rate_bps
        if spent_ps > now_ps:
            return False
        self.spent_ps[policer.queue] = spent_ps
        return True


def _burst_ps(policer: Policer) -> int:
    return 8 * _PS_PER_S * policer.burst_bytes // policer.rate_bps
