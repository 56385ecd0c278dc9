"""A store-and-forward port as an event model: arrivals in, departures and drops out.

    arrivals --> queues --> transmitter --> fibre --> deliveries
                 finite     one packet at   delay
                 buffers    a time

Rules, the same as the lab kernel's (kernel/sch_port.c):

- A packet that finds the port idle is transmitted at once. Otherwise it is queued, or
  dropped when its queue is full; the packet in transmission is no longer queued.
- The free transmitter first serves queues that are behind their promised rate, of these
  the lowest level, then the furthest behind. A queue saves up a promise of at most
  `burst_bytes` that it did not use.
- Otherwise it takes the first packet of the lowest non-empty level. Queues of one level
  take turns (deficit round robin, Shreedhar and Varghese 1996): a queue may send while
  its deficit covers its first packet, is given `quantum_bytes` and goes last when it
  does not, and begins with one quantum whenever it stops being empty.
- A queue with a peak rate is passed over until bits / peak after its last start.
- Transmission takes (bytes + overhead) x 8 / rate, exactly. Instants outside are whole
  nanoseconds, never early.
- At one instant the transmitter moves first, then background, then packets.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import NamedTuple


@dataclass(frozen=True)
class Queue:
    """A queue of a port. Level 0 is served first; 0 is no byte limit, promise or peak."""

    id: int = 0
    level: int = 0
    quantum_bytes: int = 1514
    limit_packets: int = 1000
    limit_bytes: int = 0
    promised_bps: int = 0
    burst_bytes: int = 3028
    peak_bps: int = 0


@dataclass(frozen=True)
class Port:
    """One direction of a link. A rate of 0 is infinite; the delay is one-way."""

    rate_bps: int
    delay_ns: int = 0
    overhead_bytes: int = 0
    queues: tuple[Queue, ...] = (Queue(),)
    default_queue: int = 0


class Arrival(NamedTuple):
    """A packet at the port's entrance."""

    time_ns: int
    bytes: int
    queue: int = 0


class Fate(NamedTuple):
    """What became of one arrival; both None if it was dropped."""

    start_ns: int | None
    """When its transmission began."""
    delivery_ns: int | None
    """When its last bit was at the other end."""


_DROPPED = Fate(None, None)


def run(port: Port, arrivals: Sequence[Arrival], background: Iterable[Arrival] = ()) -> list[Fate]:
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
        if not left and not real and not state.real:
            break  # only background is left
        state.arrive(arrival, number, fates)
    state.transmit_until(None, fates)
    return fates


class _State:
    def __init__(self, port: Port) -> None:
        self.port = port
        self.queue = {queue.id: queue for queue in port.queues}
        self.waiting: dict[int, deque[tuple[Arrival, int]]] = {id_: deque() for id_ in self.queue}
        self.waiting_bytes = dict.fromkeys(self.queue, 0)
        self.deficit = dict.fromkeys(self.queue, 0)
        self.due_ps = dict.fromkeys(self.queue, 0)
        self.held_ps = dict.fromkeys(self.queue, 0)
        levels = sorted({queue.level for queue in port.queues})
        self.turns: dict[int, deque[int]] = {level: deque() for level in levels}
        self.free = Fraction(0)
        """When the transmitter has sent its last bit."""
        self.real = 0
        """Packets that wait, background not counted."""

    def arrive(self, arrival: Arrival, number: int, fates: list[Fate]) -> None:
        id_ = arrival.queue if arrival.queue in self.queue else self.port.default_queue
        queue, waiting = self.queue[id_], self.waiting[id_]
        at_once = self.free <= arrival.time_ns and not self._held(id_, arrival.time_ns)
        full = len(waiting) >= queue.limit_packets or (
            queue.limit_bytes and self.waiting_bytes[id_] + arrival.bytes > queue.limit_bytes
        )
        if full and not at_once:
            return
        if not waiting:
            self.turns[queue.level].append(id_)
            self.deficit[id_] = queue.quantum_bytes
        waiting.append((arrival, number))
        self.real += number >= 0
        self.waiting_bytes[id_] += arrival.bytes
        if at_once:
            self.free = Fraction(arrival.time_ns)
            self._transmit(arrival.time_ns, fates)

    def transmit_until(self, time_ns: int | None, fates: list[Fate]) -> None:
        """All transmissions that begin by `time_ns`; all there are, if it is None."""
        while any(self.turns.values()):
            start_ns = max(ceil(self.free), self._released_ns())
            if time_ns is not None and start_ns > time_ns:
                return
            self._transmit(start_ns, fates)

    def _transmit(self, start_ns: int, fates: list[Fate]) -> None:
        id_ = self._promised(start_ns)
        if id_ is None:
            id_ = self._round(start_ns)
            self.deficit[id_] -= self.waiting[id_][0][0].bytes
        arrival, number = self.waiting[id_].popleft()
        self.real -= number >= 0
        self.waiting_bytes[id_] -= arrival.bytes
        queue = self.queue[id_]
        if not self.waiting[id_]:
            self.turns[queue.level].remove(id_)
        bits = 8 * max(0, arrival.bytes + self.port.overhead_bytes)
        if start_ns > ceil(self.free):
            self.free = Fraction(start_ns)
        if self.port.rate_bps:
            self.free += Fraction(bits * 10**9, self.port.rate_bps)
        if queue.promised_bps:
            saved_ps = queue.burst_bytes * 8 * 10**12 // queue.promised_bps
            since_ps = max(self.due_ps[id_], start_ns * 1000 - saved_ps)
            self.due_ps[id_] = since_ps + bits * 10**12 // queue.promised_bps
        if queue.peak_bps:
            self.held_ps[id_] = start_ns * 1000 + bits * 10**12 // queue.peak_bps
        if number >= 0:
            fates[number] = Fate(start_ns, ceil(self.free) + self.port.delay_ns)

    def _held(self, id_: int, now_ns: int) -> bool:
        return self.held_ps[id_] > now_ns * 1000

    def _released_ns(self) -> int:
        """When the first queue that has packets may begin one."""
        return min(-(-self.held_ps[id_] // 1000) for turns in self.turns.values() for id_ in turns)

    def _promised(self, now_ns: int) -> int | None:
        behind = [
            (self.queue[id_].level, self.due_ps[id_], place, id_)
            for place, id_ in enumerate(self.queue)
            if self.waiting[id_]
            and self.queue[id_].promised_bps
            and self.due_ps[id_] <= now_ns * 1000
            and not self._held(id_, now_ns)
        ]
        return min(behind)[-1] if behind else None

    def _round(self, now_ns: int) -> int:
        for turns in self.turns.values():
            while ready := [id_ for id_ in turns if not self._held(id_, now_ns)]:
                first = ready[0]
                if self.waiting[first][0][0].bytes <= self.deficit[first]:
                    return first
                self.deficit[first] += self.queue[first].quantum_bytes
                turns.remove(first)
                turns.append(first)
        raise AssertionError("no queue may be served")
