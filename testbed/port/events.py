"""A port as an event model: arrivals in, deliveries and drops out.

The stages' own rules are in their files; together they are the lab kernel's (kernel/port),
packet by packet. At one instant the transmitter moves first, then background, then packets.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from functools import partial
from math import ceil
from typing import NamedTuple

from testbed.port.pipeline import Pipeline
from testbed.port.queues import Waiting
from testbed.port.stage import Arrival, Events
from testbed.port.transmitter import Sending


class Fate(NamedTuple):
    """What became of one arrival: both None if it was dropped."""

    start_ns: int | None
    """When its transmission began."""
    delivery_ns: int | None
    """When its last bit was at the other end; None: lost on the way."""


_DROPPED = Fate(None, None)


def run(
    port: Pipeline, arrivals: Sequence[Arrival], background: Iterable[Arrival] = ()
) -> list[Fate]:
    """The fate of each arrival, in the order given, which must be that of time.

    Args:
        background: arrivals that wait and delay as the others do, and are not told of.
    """
    state = _State(port)
    fates = [_DROPPED] * len(arrivals)
    foreground = ((arrival.time_ns, 1, n, arrival) for n, arrival in enumerate(arrivals))
    modelled = ((arrival.time_ns, 0, -1, arrival) for arrival in background)
    left = len(arrivals)
    for _, real, number, arrival in heapq.merge(modelled, foreground, key=lambda e: e[:2]):
        state.transmit_until(arrival.time_ns, fates)
        left -= real
        if not left and not real and not state.waiting.real:
            break  # only background is left
        state.arrive(arrival, number, fates)
    state.transmit_until(None, fates)
    return fates


class _State:
    def __init__(self, port: Pipeline) -> None:
        self.waiting: Waiting = port.queueing.events()
        self.sending: Sending = port.transmitter.events()
        self.bits = port.transmitter.wire_bits
        others = [stage.events() for stage in port.stages]
        core = (Waiting, Sending)
        self.others: list[Events] = [one for one in others if not isinstance(one, core)]

    def arrive(self, arrival: Arrival, number: int, fates: list[Fate]) -> None:
        waiting, size = self.waiting, arrival.bytes
        id_ = waiting.chosen(arrival.queue)
        lasts_ns = self.sending.lasts(size)
        wire_bytes = self.bits(size) // 8
        if not all(one.admits(arrival, wire_bytes) for one in self.others):
            return
        if not all(one.fits(id_, lasts_ns) for one in self.others):
            return
        at_once = (
            self.sending.idle(arrival.time_ns)
            and not waiting.packets[id_]
            and self._ready_ns(id_, size, arrival.time_ns) == arrival.time_ns
        )
        if waiting.full(id_, size) and not at_once:
            return
        waiting.put(id_, arrival, number)
        if at_once:
            self._transmit(arrival.time_ns, fates)

    def transmit_until(self, time_ns: int | None, fates: list[Fate]) -> None:
        """All transmissions that begin by `time_ns`; all there are, if it is None."""
        while some := self.waiting.backlogged():
            free_ns = ceil(self.sending.free)
            start_ns = min(self._first_ns(id_, free_ns) for id_ in some)
            if time_ns is not None and start_ns > time_ns:
                return
            self._transmit(start_ns, fates)

    def _transmit(self, start_ns: int, fates: list[Fate]) -> None:
        arrival, number = self.waiting.take(
            start_ns, lambda id_: self._first_ns(id_, start_ns) == start_ns, self.bits
        )
        at_ns: int | None = self.sending.send(arrival.bytes, start_ns)
        if number < 0:
            return
        for one in self.others:
            if at_ns is not None:
                at_ns = one.arrives_ns(at_ns)
        fates[number] = Fate(start_ns, at_ns)

    def _first_ns(self, id_: int, from_ns: int) -> int:
        """When the queue's first packet may begin, not before `from_ns`."""
        return self._ready_ns(id_, self.waiting.first_bytes(id_), from_ns)

    def _ready_ns(self, id_: int, size: int, from_ns: int) -> int:
        end = partial(self.sending.end, size)
        at_ns = self.waiting.begin_ns(id_, from_ns, end)
        for one in self.others:
            at_ns = one.begin_ns(id_, at_ns, end)
        return at_ns
