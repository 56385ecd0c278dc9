"""Queues: finite buffers before the transmitter, and who is served first.

- A packet that names a queue that is not there waits in the default queue.
- A packet that finds the port idle is transmitted at once. Otherwise it is queued, or
  dropped when its queue is full; the packet in transmission is no longer queued.
- The free transmitter first serves queues that are behind their promised rate, of these
  the lowest level, then the furthest behind. A queue saves up a promise of at most
  `burst_bytes` that it did not use. What it had beyond its promise is not held against it.
- Otherwise it takes the first packet of the lowest non-empty level. Queues of one level
  take turns (deficit round robin, Shreedhar and Varghese 1996): a queue may send while
  its deficit covers its first packet on the wire, is given `quantum_bytes` and goes last when it
  does not, and begins with one quantum whenever it stops being empty.
- A queue with a peak rate is passed over until bits / peak after its last start.

What a queue is served at least is a rate-latency server (R, T): at least R x (t - T) bits in
any t seconds in which it has packets (Le Boudec and Thiran, Network Calculus, 1.3.1). Whatever
else may be sent before its packet is taken from the transmitter's rate C as a token bucket
(b, r): R = C - r, T = b / R (theorem 6.2.1). What that is depends on the scheduler:

    fifo             nothing: one queue, R = C, T = 0
    strict_priority  what comes to higher levels and to the same level; one packet of a
                     lower level, which was in transmission
    htb              as strict_priority, and lower queues that are behind their promised
                     rates; or, whatever higher levels send, the queue's own promised rate
    time_aware       as strict_priority while the gate is open, less the guard band of a
                     packet that would not end in time

Queues of one level also have deficit round robin, and one with a peak rate may wait for a
packet of others before each of its own. A queue can have several servers, none of them the
best for all traffic.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

from testbed.frames import FULL_FRAME_BYTES
from testbed.port.curves import NOTHING, Bucket, Curve, S, Server, together, total, up
from testbed.port.gates import Window, meet, usable
from testbed.port.stage import Arrival, Events, Stage
from testbed.port.wire import Record
from testbed.scenario.model import Frozen

if TYPE_CHECKING:
    from testbed.port.pipeline import Pipeline

MAX_QUEUES = 64
"""Of one port."""
_QUEUES = Record("I default", "4x")
_QUEUE = Record(
    *("I id", "I level", "I quantum_bytes", "I limit_packets", "Q limit_bytes"),
    *("Q promised_bps", "Q peak_bps", "I burst_bytes", "4x"),
)
_PS_PER_S = 10**12


class Queue(Frozen, frozen=True, kw_only=True):
    """A queue. OpenFlow `set_queue: id` selects it; 0 is best effort."""

    id: int = 0
    name: str = ""
    level: int = 0
    """0 is served first; queues of one level share by their quantum."""
    promised_bps: int = 0
    """Served first, of whatever level, when it has lately had less; 0: no promise."""
    peak_bps: int = 0
    """Its packets begin no faster than at this rate; 0: the port's."""
    limit_packets: int = 1000
    """Room for packets that wait, the one in transmission not counted."""
    limit_bytes: int = 0
    """0: packets only."""
    quantum_bytes: int = FULL_FRAME_BYTES
    """Its turn among queues of one level, on the wire."""
    burst_bytes: int = 2 * FULL_FRAME_BYTES
    """How much of its promise it may save up."""


class Queues(Stage, frozen=True, kw_only=True):
    """Where packets wait."""

    ATTRIBUTE: ClassVar[int] = 3
    STOCK: ClassVar[bool] = True
    queues: tuple[Queue, ...] = ()
    """Empty: one FIFO, queue 0, of `buffer_packets`."""
    buffer_packets: int = 1000
    """Room that each queue of the link's port has."""
    default: int = 0
    """Where packets go that name no queue, or one that is not there."""

    @property
    def served(self) -> tuple[Queue, ...]:
        """The queues; of a FIFO its one."""
        return self.queues or (Queue(limit_packets=self.buffer_packets),)

    def encode(self, ids: Sequence[int]) -> bytes:
        return _QUEUES.pack(self) + b"".join(map(_QUEUE.pack, self.served))

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Queues:
        queues = tuple(Queue(**found) for found in _QUEUE.each(data, _QUEUES.size))
        return cls(queues=queues, default=_QUEUES.unpack(data)["default"])

    def stored(self) -> Queues:
        nameless = (msgspec.structs.replace(one, name="") for one in self.served)
        return Queues(queues=tuple(nameless), default=self.default)

    def wrong(self, port: Pipeline) -> Iterator[tuple[str, str]]:
        least = min(queue.limit_packets for queue in self.served)
        if least < 1:
            yield f"buffer of {least} packets holds nothing", "at least 1 packet"
        if not self.queues:
            return
        rate = port.rate_bps
        if rate is None:
            yield "several queues without a rate", "a rate, which the queues share"
            return
        if 0 not in {queue.id for queue in self.queues}:
            yield "there is no queue 0", "queue 0, for packets that name none"
        for queue in self.queues:
            if not 0 <= queue.id < 0xFFD:
                yield f"queue number {queue.id} cannot be selected", "0 to 4092"
            if not 0 <= queue.promised_bps <= (queue.peak_bps or rate) <= rate:
                yield (
                    f"queue {queue.id} has a promised rate of {queue.promised_bps} and a peak "
                    f"of {queue.peak_bps or rate} bit/s",
                    f"0 <= promised <= peak <= {rate} bit/s",
                )

    def events(self) -> Waiting:
        return Waiting(self)


# Service


class Load(NamedTuple):
    """What comes to a queue."""

    curve: Curve
    """What it may take of the transmitter while another queue waits."""
    largest_bits: int
    smallest_bits: int


class Loads:
    """What comes to a port, and to the queues before and behind each of its levels.

    Bits are those on the wire.
    """

    def __init__(self, port: Pipeline, loads: Mapping[int, Load]) -> None:
        """`loads` are those of all queues with traffic, by number."""
        self.port, self.loads = port, loads
        self.level: dict[int, list[Queue]] = defaultdict(list)
        for queue in port.served:
            if queue.id in loads:
                self.level[queue.level].append(queue)
        self.higher: dict[int, Curve] = {}
        """Level -> all that comes to the levels before it."""
        self.first: dict[int, Bucket] = {}
        """Level -> what queues of the levels before it are promised."""
        self.behind: dict[int, Bucket] = {}
        """Level -> what queues of the levels behind it are promised."""
        self.block: dict[int, int] = {}
        """Level -> the largest packet of the levels behind it."""
        before, promised = NOTHING, Bucket(0, 0)
        for level in sorted(self.level):
            self.higher[level], self.first[level] = before, promised
            queues = self.level[level]
            before = total([before, *(loads[q.id].curve for q in queues)])
            promised = together([promised, *self.promises(queues)])
        promised, largest = Bucket(0, 0), 0
        for level in sorted(self.level, reverse=True):
            self.behind[level], self.block[level] = promised, largest
            queues = self.level[level]
            promised = together([promised, *self.promises(queues)])
            largest = max(largest, *(loads[q.id].largest_bits for q in queues))
        self.largest = largest

    def promises(self, queues: Iterable[Queue]) -> list[Bucket]:
        """What queues get ahead of their level: n packets take n - 1 of promise and savings."""
        return [
            Bucket(8 * q.burst_bytes + self.loads[q.id].largest_bits, q.promised_bps)
            for q in queues
            if q.promised_bps
        ]

    def meeting(self, queue: Queue) -> Loads:
        """The same, of those queues whose gates are ever open with this one's."""
        cycle_ns = self.port.cycle_ns
        if not cycle_ns:
            return self
        own = self.port.windows(queue.id)
        met = [q for q in self.port.served if meet(self.port.windows(q.id), own, cycle_ns)]
        return Loads(self.port, {q.id: self.loads[q.id] for q in met if q.id in self.loads})

    def servers(self, queue: Queue) -> list[Server]:
        """What a queue with traffic is known to be served."""
        return _servers(self.meeting(queue), queue)


def _servers(here: Loads, queue: Queue) -> list[Server]:
    port, loads, level = here.port, here.loads, queue.level
    assert port.rate_bps is not None
    own, open_ = loads[queue.id], port.windows(queue.id)
    same = [q for q in here.level[level] if q.id != queue.id]
    others = max([here.block[level], *(loads[q.id].largest_bits for q in same)])
    if here.higher[level] != NOTHING:
        others = max(others, here.largest)  # of any other queue, or of its own
    rate, shut_ns = port.rate_bps, 0
    if open_ is not None:
        rate, shut_ns = usable(open_, port.cycle_ns, rate, own.largest_bits, others)
    free = _Free(rate, rate * shut_ns)
    before = total([here.higher[level], *(loads[q.id].curve for q in same)])
    behind, block = here.behind[level], here.block[level]
    if queue.peak_bps and queue.peak_bps < port.rate_bps:
        return _held(free, queue, open_, before, behind, block, own)
    found = free.less(before, behind, block)
    if same and all(not q.promised_bps or _one_size(loads[q.id]) for q in same):
        also = together([behind, *here.promises(same)])
        share = queue.quantum_bytes, queue.quantum_bytes + sum(q.quantum_bytes for q in same)
        turns = sum(_turns(q, queue, loads) for q in same)
        for server in free.less(here.higher[level], also, block + turns):
            found.append(Server(server.bps * share[0] // share[1], server.latency_ns))
    if queue.promised_bps and open_ is None:
        first = together([here.first[level], *here.promises(same)])
        for server in free.less(NOTHING, first, others):
            found += _kept(server, queue, own)
    return [server for server in found if server.bps > 0]


@dataclass(frozen=True)
class _Free:
    """A transmitter, open for its own packets at this rate after `shut` bits."""

    bps: int
    shut: int

    def less(self, before: Curve, also: Bucket, block: int) -> list[Server]:
        """What `before`, by any of its buckets, `also` and some bits leave of it."""
        bits, bps = block + also.bits, also.bps
        left = []
        for bucket in before:
            rate = self.bps - bps - bucket.bps
            if rate > 0:
                left.append(Server(rate, up((bits + bucket.bits) * S + self.shut, rate)))
        return left


def _one_size(load: Load) -> bool:
    """Else a small packet sent in turn would let a large one be behind its promise sooner."""
    return load.largest_bits == load.smallest_bits


def _kept(server: Server, queue: Queue, own: Load) -> list[Server]:
    """The promised rate, from what a queue has whenever it is behind.

    It may first have to wait until it is behind again: a packet at the promised rate.
    What it lacks by then must not be more than it can save, or it is forgotten.
    """
    lack = up(queue.promised_bps * server.latency_ns, S)
    if server.bps < queue.promised_bps or lack > 8 * queue.burst_bytes:
        return []
    packet_ns = up(own.largest_bits * S, queue.promised_bps)
    return [Server(queue.promised_bps, server.latency_ns + packet_ns)]


def _turns(other: Queue, queue: Queue, loads: Mapping[int, Load]) -> int:
    """What another queue of the level may have beyond its share by quanta.

    It has at most a turn more than the queue is given quanta, and of an earlier turn less than
    a packet. The queue is given one when its packet is not covered: after s bits fewer than
    (s + packet) / quantum + 1, the first of them at once.
    """
    rounds = up(8 * other.quantum_bytes * loads[queue.id].largest_bits, 8 * queue.quantum_bytes)
    return 8 * other.quantum_bytes + rounds + loads[other.id].largest_bits


def _held(
    free: _Free,
    queue: Queue,
    open_: Sequence[Window] | None,
    before: Curve,
    also: Bucket,
    block: int,
    own: Load,
) -> list[Server]:
    """A queue with a peak rate p. Each packet begins L / p after the one before it, and then
    may find one of another queue in transmission: 1 / R' = (1 / p + block / (C x l)) / share,
    l the smallest packet, share what the others' rates leave of C."""
    if open_ is not None:
        return []
    found = []
    for server in free.less(before, also, block):
        per_bit = own.smallest_bits * free.bps + block * queue.peak_bps  # over p x C x l
        rate = server.bps * queue.peak_bps * own.smallest_bits // per_bit
        first_ns = up(own.largest_bits * free.bps * S, queue.peak_bps * server.bps)
        found.append(Server(rate, server.latency_ns + first_ns))
    return [server for server in found if server.bps > 0]


# Event model


class Waiting(Events):
    """The packets that wait, with their numbers; background has -1."""

    def __init__(self, of: Queues) -> None:
        self.default = of.default
        self.queue = {queue.id: queue for queue in of.served}
        self.packets: dict[int, deque[tuple[Arrival, int]]] = {id_: deque() for id_ in self.queue}
        self.real = 0
        """How many of them are no background."""
        self._bytes = dict.fromkeys(self.queue, 0)
        self._deficit = dict.fromkeys(self.queue, 0)
        self._due_ps = dict.fromkeys(self.queue, 0)
        self._held_ps = dict.fromkeys(self.queue, 0)
        levels = sorted({queue.level for queue in of.served})
        self._turns: dict[int, deque[int]] = {level: deque() for level in levels}

    def chosen(self, id_: int) -> int:
        """Where a packet waits that names queue `id_`."""
        return id_ if id_ in self.queue else self.default

    def full(self, id_: int, size: int) -> bool:
        """Whether a packet has no room."""
        queue, waiting = self.queue[id_], self.packets[id_]
        return len(waiting) >= queue.limit_packets or bool(
            queue.limit_bytes and self._bytes[id_] + size > queue.limit_bytes
        )

    def put(self, id_: int, arrival: Arrival, number: int) -> None:
        """Last into a queue."""
        queue, waiting = self.queue[id_], self.packets[id_]
        if not waiting:
            self._turns[queue.level].append(id_)
            self._deficit[id_] = queue.quantum_bytes
        waiting.append((arrival, number))
        self.real += number >= 0
        self._bytes[id_] += arrival.bytes

    def first_bytes(self, id_: int) -> int:
        """Of the queue's first packet."""
        return self.packets[id_][0][0].bytes

    def backlogged(self) -> list[int]:
        """The queues with packets."""
        return [id_ for turns in self._turns.values() for id_ in turns]

    def begin_ns(self, queue: int, from_ns: int, end: Callable[[int], Fraction]) -> int:
        return max(from_ns, -(-self._held_ps[queue] // 1000))

    def take(
        self, now_ns: int, ready: Callable[[int], bool], bits: Callable[[int], int]
    ) -> tuple[Arrival, int]:
        """The packet that is served now, some queue being `ready`; `bits` are those that
        packets have on the wire, by their bytes."""
        id_ = self._promised(now_ns, ready)
        if id_ is None:
            id_ = self._round(ready, bits)
            self._deficit[id_] -= bits(self.first_bytes(id_)) // 8
        arrival, number = self.packets[id_].popleft()
        self.real -= number >= 0
        self._bytes[id_] -= arrival.bytes
        queue = self.queue[id_]
        if not self.packets[id_]:
            self._turns[queue.level].remove(id_)
        picobits = bits(arrival.bytes) * _PS_PER_S
        if queue.promised_bps:
            saved_ps = queue.burst_bytes * 8 * _PS_PER_S // queue.promised_bps
            since_ps = min(max(self._due_ps[id_], now_ns * 1000 - saved_ps), now_ns * 1000)
            self._due_ps[id_] = since_ps + picobits // queue.promised_bps
        if queue.peak_bps:
            self._held_ps[id_] = now_ns * 1000 + picobits // queue.peak_bps
        return arrival, number

    def _promised(self, now_ns: int, ready: Callable[[int], bool]) -> int | None:
        behind = [
            (self.queue[id_].level, self._due_ps[id_], place, id_)
            for place, id_ in enumerate(self.queue)
            if self.packets[id_]
            and self.queue[id_].promised_bps
            and self._due_ps[id_] <= now_ns * 1000
            and ready(id_)
        ]
        return min(behind)[-1] if behind else None

    def _round(self, ready: Callable[[int], bool], bits: Callable[[int], int]) -> int:
        for turns in self._turns.values():
            while able := [id_ for id_ in turns if ready(id_)]:
                first = able[0]
                if bits(self.first_bytes(first)) <= 8 * self._deficit[first]:
                    return first
                self._deficit[first] += self.queue[first].quantum_bytes
                turns.remove(first)
                turns.append(first)
        raise AssertionError("no queue may be served")
