"""What a queue of a port is served at least: rate-latency servers, by scheduler.

A server (R, T) gives a queue that has packets waiting at least R x (t - T) bits in any t
seconds (Le Boudec and Thiran, Network Calculus, 1.3.1). A port is a transmitter of rate C
that never stops a packet it has begun. Whatever else may be sent before a queue's packet
is taken from C as a token bucket (b, r): R = C - r, T = b / R (theorem 6.2.1). What that
is depends on the scheduler:

    fifo             nothing: one queue, R = C, T = 0
    strict_priority  what comes to higher levels and to the same level; one packet of a
                     lower level, which was in transmission
    htb              as strict_priority, and lower queues that are behind their promised
                     rates; or, whatever higher levels send, the queue's own promised rate
    time_aware       as strict_priority while the gate is open (IEEE 802.1Q-2022 8.6.8.4),
                     less the guard band of a packet that would not end in time

Queues of one level also have deficit round robin (Shreedhar and Varghese 1996), and one
with a peak rate may wait for a packet of others before each of its own. A queue can have
several servers, none of them the best for all traffic.

Bits, bit/s and whole nanoseconds, rounded so that a server is never too good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

S = 1_000_000_000


class Bucket(NamedTuple):
    """A token bucket: at most bits + bps x t in any t seconds."""

    bits: int
    bps: int

    def late(self, ns: int) -> Bucket:
        """The same packets, each up to so much later than the others."""
        return Bucket(self.bits + up(self.bps * ns, S), self.bps)


Curve = tuple[Bucket, ...]
"""The least of some token buckets; empty: anything may come."""
NOTHING: Curve = (Bucket(0, 0),)


class Server(NamedTuple):
    """At least bps x (t - latency) in any t seconds of backlog."""

    bps: int
    latency_ns: int

    def wait_ns(self, curve: Curve, told_bits: int) -> int | None:
        """The longest wait of a packet of the curve's traffic for its transmission."""
        ahead = min((b.bits for b in curve if b.bps <= self.bps), default=None)
        if ahead is None:
            return None
        return self.latency_ns + up(max(0, ahead - told_bits) * S, self.bps)

    def backlog_bits(self, curve: Curve) -> int | None:
        """The most that waits or is in transmission (theorem 1.4.1)."""
        fit = [b.late(self.latency_ns).bits for b in curve if b.bps <= self.bps]
        return min(fit, default=None)


@dataclass(frozen=True)
class Window:
    """When a gate is open in a cycle; it may close in the next."""

    open_ns: int
    close_ns: int
    blocked: bool = False
    """A packet of another queue may be in transmission as it opens."""


@dataclass(frozen=True)
class Queue:
    """A queue of a port. Level 0 is served first; 0 is no promise, no peak."""

    id: int = 0
    level: int = 0
    limit_packets: int = 1000
    quantum_bits: int = 8 * 1514
    promised_bps: int = 0
    saved_bits: int = 8 * 3028
    """How much of its promise it may save up."""
    peak_bps: int = 0
    windows: tuple[Window, ...] | None = None
    """None: always open."""


@dataclass(frozen=True)
class Port:
    """One direction of a link."""

    name: str
    rate_bps: int | None
    """None: infinitely fast."""
    delay_ns: int = 0
    """After the last bit has left, one-way."""
    queues: tuple[Queue, ...] = (Queue(),)
    cycle_ns: int = 0
    """Of the gates."""


class Load(NamedTuple):
    """What comes to a queue."""

    curve: Curve
    """What it may take of the transmitter while another queue waits."""
    largest_bits: int
    smallest_bits: int


class Loads:
    """What comes to a port, and to the queues before and behind each of its levels."""

    def __init__(self, port: Port, loads: Mapping[int, Load]) -> None:
        """`loads` are those of all queues with traffic, by number."""
        self.port, self.loads = port, loads
        self.level: dict[int, list[Queue]] = defaultdict(list)
        for queue in port.queues:
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
            promised = _sum([promised, *self.promises(queues)])
        promised, largest = Bucket(0, 0), 0
        for level in sorted(self.level, reverse=True):
            self.behind[level], self.block[level] = promised, largest
            queues = self.level[level]
            promised = _sum([promised, *self.promises(queues)])
            largest = max(largest, *(loads[q.id].largest_bits for q in queues))
        self.largest = largest

    def promises(self, queues: Iterable[Queue]) -> list[Bucket]:
        """What queues get ahead of their level: n packets take n - 1 of promise and savings."""
        return [
            Bucket(q.saved_bits + self.loads[q.id].largest_bits, q.promised_bps)
            for q in queues
            if q.promised_bps
        ]

    def meeting(self, queue: Queue) -> Loads:
        """The same, of those queues whose gates are ever open with this one's."""
        if not self.port.cycle_ns:
            return self
        met = [q for q in self.port.queues if _meet(q, queue, self.port.cycle_ns)]
        some = {q.id: self.loads[q.id] for q in met if q.id in self.loads}
        return Loads(self.port, some)

    def servers(self, queue: Queue) -> list[Server]:
        """What a queue with traffic is known to be served."""
        return _servers(self.meeting(queue), queue)


def _servers(here: Loads, queue: Queue) -> list[Server]:
    port, loads, level = here.port, here.loads, queue.level
    assert port.rate_bps is not None
    own = loads[queue.id]
    same = [q for q in here.level[level] if q.id != queue.id]
    others = max([here.block[level], *(loads[q.id].largest_bits for q in same)])
    if here.higher[level] != NOTHING:
        others = max(others, here.largest)  # of any other queue, or of its own
    rate, shut_ns = _open(port, queue, own.largest_bits, others)
    free = _Free(rate, rate * shut_ns)
    before = total([here.higher[level], *(loads[q.id].curve for q in same)])
    behind, block = here.behind[level], here.block[level]
    if queue.peak_bps and queue.peak_bps < port.rate_bps:
        return _held(free, queue, before, behind, block, own)
    found = free.less(before, behind, block)
    if same and all(not q.promised_bps or _one_size(loads[q.id]) for q in same):
        also = _sum([behind, *here.promises(same)])
        share = queue.quantum_bits, queue.quantum_bits + sum(q.quantum_bits for q in same)
        turns = sum(_turns(q, queue, loads) for q in same)
        for server in free.less(here.higher[level], also, block + turns):
            found.append(Server(server.bps * share[0] // share[1], server.latency_ns))
    if queue.promised_bps and queue.windows is None:
        first = _sum([here.first[level], *here.promises(same)])
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
    if server.bps < queue.promised_bps or lack > queue.saved_bits:
        return []
    packet_ns = up(own.largest_bits * S, queue.promised_bps)
    return [Server(queue.promised_bps, server.latency_ns + packet_ns)]


def _turns(other: Queue, queue: Queue, loads: Mapping[int, Load]) -> int:
    """What another queue of the level may have beyond its share by quanta."""
    rounds = up(other.quantum_bits * loads[queue.id].largest_bits, queue.quantum_bits)
    return 2 * other.quantum_bits + rounds + loads[other.id].largest_bits


def _held(
    free: _Free, queue: Queue, before: Curve, also: Bucket, block: int, own: Load
) -> list[Server]:
    """A queue with a peak rate p. Each packet begins L / p after the one before it, and then
    may find one of another queue in transmission: 1 / R' = (1 / p + block / (C x l)) / share,
    l the smallest packet, share what the others' rates leave of C."""
    if queue.windows is not None:
        return []
    found = []
    for server in free.less(before, also, block):
        per_bit = own.smallest_bits * free.bps + block * queue.peak_bps  # over p x C x l
        rate = server.bps * queue.peak_bps * own.smallest_bits // per_bit
        first_ns = up(own.largest_bits * free.bps * S, queue.peak_bps * server.bps)
        found.append(Server(rate, server.latency_ns + first_ns))
    return [server for server in found if server.bps > 0]


def _open(port: Port, queue: Queue, largest: int, others: int) -> tuple[int, int]:
    """Mean rate while the gate lets packets begin, and the longest it does not."""
    assert port.rate_bps is not None
    if queue.windows is None:
        return port.rate_bps, 0
    guard, block = up(largest * S, port.rate_bps), up(others * S, port.rate_bps)
    usable = [(w.open_ns + block * w.blocked, w.close_ns - guard) for w in queue.windows]
    usable = sorted((begin, end) for begin, end in usable if begin < end)
    open_ns = sum(end - begin for begin, end in usable)
    if not open_ns:
        return 0, 0
    shut_ns = 0
    for number, (_, closed) in enumerate(usable):
        had = 0
        later = [(b + port.cycle_ns, e + port.cycle_ns) for b, e in usable[: number + 1]]
        for begin, end in [*usable[number + 1 :], *later]:
            shut_ns = max(shut_ns, begin - closed - had * port.cycle_ns // open_ns)
            had += end - begin
    return port.rate_bps * open_ns // port.cycle_ns, shut_ns


def _meet(one: Queue, other: Queue, cycle_ns: int) -> bool:
    """Whether their gates are ever open together."""
    if one.windows is None or other.windows is None:
        return True
    return any(
        a.open_ns < b.close_ns + turn and b.open_ns + turn < a.close_ns
        for a in one.windows
        for b in other.windows
        for turn in (-cycle_ns, 0, cycle_ns)
    )


def _sum(buckets: Iterable[Bucket]) -> Bucket:
    bits = bps = 0
    for bucket in buckets:
        bits, bps = bits + bucket.bits, bps + bucket.bps
    return Bucket(bits, bps)


def total(curves: Iterable[Curve]) -> Curve:
    """The sum of curves: every bucket that is the least somewhere.

    Each curve goes from its smallest burst to its smallest rate; a sum of any of its
    buckets bounds it, so the order of the steps needs no exact arithmetic.
    """
    bits = bps = 0
    steps: list[tuple[float, int, int]] = []
    for curve in curves:
        if not curve:
            return ()
        now = min(curve)
        bits, bps = bits + now.bits, bps + now.bps
        while slower := [bucket for bucket in curve if bucket.bps < now.bps]:
            at, then = min(((b.bits - now.bits) / (now.bps - b.bps), b) for b in slower)
            steps.append((at, then.bits - now.bits, then.bps - now.bps))
            now = then
    found = [Bucket(bits, bps)]
    for _, more, less in sorted(steps):
        found.append(Bucket(found[-1].bits + more, found[-1].bps + less))
    return tuple(found)


def up(numerator: int, denominator: int) -> int:
    """The quotient, rounded up."""
    return -(-numerator // denominator)
