"""A store-and-forward port as an event model: arrivals in, departures and drops out.

    arrivals --> queues --> transmitter --> fibre --> deliveries
                 finite     one packet at   delay
                 buffers    a time

Rules, the same as the lab kernel's (kernel/sch_port.c):

- A packet that finds the port idle is transmitted at once. Otherwise it is queued, or
  dropped when its queue is full; the packet in transmission is no longer queued.
- The free transmitter takes the first packet of the lowest non-empty level. Queues of
  one level take turns (deficit round robin, Shreedhar and Varghese 1996): a queue may
  send while its deficit covers its first packet, is given `quantum_bytes` when it does
  not, and begins with one quantum whenever it stops being empty.
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
    """A queue of a port. Level 0 is served first; a limit of 0 bytes is none."""

    id: int = 0
    level: int = 0
    quantum_bytes: int = 1514
    limit_packets: int = 1000
    limit_bytes: int = 0


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
        state.arrive(arrival, number, fates)
        left -= real
        if not left:
            break
    state.transmit_all(fates)
    return fates


class _State:
    def __init__(self, port: Port) -> None:
        self.port = port
        self.queue = {queue.id: queue for queue in port.queues}
        self.waiting: dict[int, deque[tuple[Arrival, int]]] = {id_: deque() for id_ in self.queue}
        self.waiting_bytes = dict.fromkeys(self.queue, 0)
        self.deficit = dict.fromkeys(self.queue, 0)
        levels = sorted({queue.level for queue in port.queues})
        self.turns: dict[int, deque[int]] = {level: deque() for level in levels}
        self.free = Fraction(0)
        """When the transmitter has sent its last bit."""

    def arrive(self, arrival: Arrival, number: int, fates: list[Fate]) -> None:
        idle = not any(self.turns.values()) and self.free <= arrival.time_ns
        id_ = arrival.queue if arrival.queue in self.queue else self.port.default_queue
        queue, waiting = self.queue[id_], self.waiting[id_]
        full = len(waiting) >= queue.limit_packets or (
            queue.limit_bytes and self.waiting_bytes[id_] + arrival.bytes > queue.limit_bytes
        )
        if full and not idle:
            return
        if not waiting:
            self.turns[queue.level].append(id_)
            self.deficit[id_] = queue.quantum_bytes
        waiting.append((arrival, number))
        self.waiting_bytes[id_] += arrival.bytes
        if idle:
            self.free = Fraction(arrival.time_ns)
            self._transmit(fates)

    def transmit_until(self, time_ns: int, fates: list[Fate]) -> None:
        """All transmissions that begin by `time_ns`."""
        while self.free <= time_ns and any(self.turns.values()):
            self._transmit(fates)

    def transmit_all(self, fates: list[Fate]) -> None:
        while any(self.turns.values()):
            self._transmit(fates)

    def _transmit(self, fates: list[Fate]) -> None:
        id_ = self._next()
        arrival, number = self.waiting[id_].popleft()
        self.waiting_bytes[id_] -= arrival.bytes
        self.deficit[id_] -= arrival.bytes
        if not self.waiting[id_]:
            self.turns[self.queue[id_].level].remove(id_)
        start_ns = ceil(self.free)
        wire_bits = 8 * max(0, arrival.bytes + self.port.overhead_bytes)
        if self.port.rate_bps:
            self.free += Fraction(wire_bits * 10**9, self.port.rate_bps)
        if number >= 0:
            fates[number] = Fate(start_ns, ceil(self.free) + self.port.delay_ns)

    def _next(self) -> int:
        turns = next(turns for turns in self.turns.values() if turns)
        while self.waiting[turns[0]][0][0].bytes > self.deficit[turns[0]]:
            self.deficit[turns[0]] += self.queue[turns[0]].quantum_bytes
            turns.rotate(-1)
        return turns[0]
