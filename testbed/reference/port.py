"""A store-and-forward port as an event model: arrivals in, departures and drops out.

    arrivals --> policers --> queues --> transmitter --> fibre --> deliveries
                 drop what    finite     one packet at   delay
                 is too much  buffers    a time

Rules, the same as the lab kernel's (kernel/sch_port.c):

- A policer is a token bucket (RFC 2697 with one bucket), full at first, of those packets
  that name the queue of its number. One takes its bytes, or is dropped and takes none.
- A packet that names a queue that is not there waits in the default queue.
- A packet that finds the port idle is transmitted at once. Otherwise it is queued, or
  dropped when its queue is full; the packet in transmission is no longer queued.
- The free transmitter first serves queues that are behind their promised rate, of these
  the lowest level, then the furthest behind. A queue saves up a promise of at most
  `burst_bytes` that it did not use.
- Otherwise it takes the first packet of the lowest non-empty level. Queues of one level
  take turns (deficit round robin, Shreedhar and Varghese 1996): a queue may send while
  its deficit covers its first packet, is given `quantum_bytes` and goes last when it
  does not, and begins with one quantum whenever it stops being empty.
- What a queue had beyond its promise is not held against it.
- A queue with a peak rate is passed over until bits / peak after its last start.
- Gates (IEEE 802.1Q-2022 8.6.8.4) open and close queues by a cycle that always runs. A
  queue is passed over unless its first packet would be sent before its gate closes; a
  packet that no opening is long enough for is dropped.
- Transmission takes (bytes + overhead) x 8 / rate, exactly. Instants outside are whole
  nanoseconds, never early.
- At one instant the transmitter moves first, then background, then packets.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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
class Policer:
    """Drops what a queue's packets are beyond a committed rate and burst."""

    id: int
    rate_bps: int
    burst_bytes: int


@dataclass(frozen=True)
class Gate:
    """A part of the cycle, and the queues that may send in it."""

    interval_ns: int
    open: frozenset[int]


@dataclass(frozen=True)
class Port:
    """One direction of a link. A rate of 0 is infinite; the delay is one-way.

    `gates` are one cycle, which begins at `gate_base_ns` and repeats before and after; no
    gates are always open.
    """

    rate_bps: int
    delay_ns: int = 0
    overhead_bytes: int = 0
    queues: tuple[Queue, ...] = (Queue(),)
    default_queue: int = 0
    gates: tuple[Gate, ...] = ()
    gate_base_ns: int = 0
    policers: tuple[Policer, ...] = ()


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
_NEVER_NS = 2**63


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


def _burst_ps(policer: Policer) -> int:
    return 8 * 10**12 * policer.burst_bytes // policer.rate_bps


def openings(port: Port, queue: int, now_ns: int) -> Iterator[tuple[int, int]]:
    """When the queue's gate opens and closes, from `now_ns` on, for two cycles at least."""
    if all(queue in gate.open for gate in port.gates):
        yield now_ns, _NEVER_NS
        return
    cycle_ns = sum(gate.interval_ns for gate in port.gates)
    at_ns = now_ns - (now_ns - port.gate_base_ns) % cycle_ns - cycle_ns
    opened_ns = None
    for gate in port.gates * 4:
        if queue in gate.open and opened_ns is None:
            opened_ns = at_ns
        elif queue not in gate.open and opened_ns is not None:
            if at_ns > now_ns:
                yield opened_ns, at_ns
            opened_ns = None
        at_ns += gate.interval_ns


class _State:
    def __init__(self, port: Port) -> None:
        self.port = port
        self.queue = {queue.id: queue for queue in port.queues}
        self.waiting: dict[int, deque[tuple[Arrival, int]]] = {id_: deque() for id_ in self.queue}
        self.waiting_bytes = dict.fromkeys(self.queue, 0)
        self.deficit = dict.fromkeys(self.queue, 0)
        self.due_ps = dict.fromkeys(self.queue, 0)
        self.held_ps = dict.fromkeys(self.queue, 0)
        self.policer = {policer.id: policer for policer in port.policers}
        self.spent_ps = {p.id: -_burst_ps(p) for p in port.policers}
        levels = sorted({queue.level for queue in port.queues})
        self.turns: dict[int, deque[int]] = {level: deque() for level in levels}
        self.free = Fraction(0)
        """When the transmitter has sent its last bit."""
        self.real = 0
        """Packets that wait, background not counted."""

    def arrive(self, arrival: Arrival, number: int, fates: list[Fate]) -> None:
        id_ = arrival.queue if arrival.queue in self.queue else self.port.default_queue
        queue, waiting = self.queue[id_], self.waiting[id_]
        if not self._conforms(arrival) or not self._fits(id_, arrival.bytes):
            return
        idle = self.free <= arrival.time_ns
        if idle:
            self.free = Fraction(arrival.time_ns)
        ready_ns = self._ready_ns(id_, arrival.bytes, arrival.time_ns)
        at_once = idle and not waiting and ready_ns == arrival.time_ns
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
            self._transmit(arrival.time_ns, fates)

    def _conforms(self, arrival: Arrival) -> bool:
        policer = self.policer.get(arrival.queue)
        if policer is None:
            return True
        now_ps = arrival.time_ns * 1000
        spent_ps = max(self.spent_ps[policer.id], now_ps - _burst_ps(policer))
        spent_ps += 8 * 10**12 * arrival.bytes // policer.rate_bps
        if spent_ps > now_ps:
            return False
        self.spent_ps[policer.id] = spent_ps
        return True

    def transmit_until(self, time_ns: int | None, fates: list[Fate]) -> None:
        """All transmissions that begin by `time_ns`; all there are, if it is None."""
        while any(self.turns.values()):
            free_ns = ceil(self.free)
            start_ns = min(self._first_ns(id_, free_ns) for id_ in self._backlogged())
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
        bits = self._bits(arrival.bytes)
        self.free = self._end(arrival.bytes, start_ns)
        if queue.promised_bps:
            saved_ps = queue.burst_bytes * 8 * 10**12 // queue.promised_bps
            since_ps = min(max(self.due_ps[id_], start_ns * 1000 - saved_ps), start_ns * 1000)
            self.due_ps[id_] = since_ps + bits * 10**12 // queue.promised_bps
        if queue.peak_bps:
            self.held_ps[id_] = start_ns * 1000 + bits * 10**12 // queue.peak_bps
        if number >= 0:
            fates[number] = Fate(start_ns, ceil(self.free) + self.port.delay_ns)

    def _bits(self, size: int) -> int:
        return 8 * max(0, size + self.port.overhead_bytes)

    def _lasts(self, size: int) -> Fraction:
        rate = self.port.rate_bps
        return Fraction(self._bits(size) * 10**9, rate) if rate else Fraction(0)

    def _end(self, size: int, start_ns: int) -> Fraction:
        """When a packet is sent; one that begins as another ends does so between nanoseconds."""
        return (self.free if start_ns == ceil(self.free) else start_ns) + self._lasts(size)

    def _backlogged(self) -> list[int]:
        return [id_ for turns in self.turns.values() for id_ in turns]

    def _first_ns(self, id_: int, from_ns: int) -> int:
        """When the queue's first packet may begin, not before `from_ns`."""
        return self._ready_ns(id_, self.waiting[id_][0][0].bytes, from_ns)

    def _ready_ns(self, id_: int, size: int, from_ns: int) -> int:
        at_ns = max(from_ns, -(-self.held_ps[id_] // 1000))
        for open_ns, close_ns in openings(self.port, id_, at_ns):
            start_ns = max(at_ns, open_ns)
            if self._end(size, start_ns) <= close_ns:
                return start_ns
        raise AssertionError("a packet waits that no opening is long enough for")

    def _fits(self, id_: int, size: int) -> bool:
        """Whether any opening is long enough."""
        if not self.port.gates:
            return True
        some = openings(self.port, id_, self.port.gate_base_ns)
        return any(self._lasts(size) <= close_ns - open_ns for open_ns, close_ns in some)

    def _promised(self, now_ns: int) -> int | None:
        behind = [
            (self.queue[id_].level, self.due_ps[id_], place, id_)
            for place, id_ in enumerate(self.queue)
            if self.waiting[id_]
            and self.queue[id_].promised_bps
            and self.due_ps[id_] <= now_ns * 1000
            and self._first_ns(id_, now_ns) == now_ns
        ]
        return min(behind)[-1] if behind else None

    def _round(self, now_ns: int) -> int:
        for turns in self.turns.values():
            while ready := [id_ for id_ in turns if self._first_ns(id_, now_ns) == now_ns]:
                first = ready[0]
                if self.waiting[first][0][0].bytes <= self.deficit[first]:
                    return first
                self.deficit[first] += self.queue[first].quantum_bytes
                turns.remove(first)
                turns.append(first)
        raise AssertionError("no queue may be served")
