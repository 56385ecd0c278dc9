"""What a flow's packets take along their whole path, the bursts of others paid once.

Ports are servers of all that may go before a packet of the flow: `wide` ones of its queue, of
the queues of its level and of those before them, by the port's own rate; `own` ones of its
queue alone, by what the scheduler leaves it (testbed/port/queues.py). What goes before over
several ports in a row is crossing traffic over all of them (tandem.py), of any order, or of the
order it came if it shares the queue. Each of these is tried, and the least taken:

    any order   whoever shares the queue may go before
    in order    whoever shares the queue came before. Between two ports at which their number
                changes, whoever has another queue is of any order
    mixed       in order those that share most of the ports, in any order the others

A port holds back a packet until it is whole, so that its server is late by the largest packet;
but the last port, which is looked at as it begins to send. A packet that is lost on the
way takes no more than one that is not. Flows are counted in bits by their longest label.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from testbed.port.curves import Bucket, S, Server, together, up
from testbed.port.queues import Queue
from testbed.port.transmitter import ROUNDING_NS
from testbed.slices.tandem import Cross, any_order, in_order

if TYPE_CHECKING:
    from testbed.slices.bounds import Flow, Network


class _At(NamedTuple):
    """A flow at a port of the path, by its place on its own path."""

    flow: Flow
    place: int


@dataclass(frozen=True)
class _Port:
    """A port with a rate, and what may go before a packet there."""

    place: int
    """On the path."""
    server: Server
    same: tuple[_At, ...]
    """Who else shares the queue."""
    others: tuple[_At, ...]
    """Who is in another queue that may go before."""
    held: Bucket
    """Of queues with a peak rate, all together."""


@dataclass(frozen=True)
class _Way:
    """Ports in a row that a flow shares, from one to another."""

    first: int
    at: tuple[_At, ...]
    """The flow there, port by port."""
    same: bool
    """In the same queue."""

    @property
    def last(self) -> int:
        return self.first + len(self.at) - 1

    def part(self, first: int, last: int) -> _Way:
        """Of it what is between two ports, both included."""
        return _Way(first, self.at[first - self.first : last - self.first + 1], self.same)


_Key = tuple[str, int, bool]
"""Flow, its place, and whether it is in the same queue."""
Left = Callable[[Sequence[_Port], Sequence[_Way]], Server | None]


class Along:
    """The path of a flow in a settled network, or the hops of it before one."""

    def __init__(
        self, network: Network, flow: Flow, until: int | None = None, *, sooner: bool = True
    ) -> None:
        """`sooner`: others come no later than by the ports that they have passed in a row, too,
        not only by the sum of their waits there."""
        self.network, self.flow, self._sooner = network, flow, sooner
        self._hops = flow.hops[:until]
        self._buckets: dict[tuple[str, int, int], Bucket | None] = {}
        self._shaped = [n for n, h in enumerate(self._hops) if network.ports[h.port].rate_bps]

    def least_ns(self, burst: Bucket, told_bits: int) -> int | None:
        """The least bound: one-way, from the first queue to the arrival of the last bit.

        Args:
            burst: what the flow sends, in bits by its longest label.
            told_bits: of the packets whose delay it is.
        """
        if len(self._shaped) < 2:
            return None  # one port is as good by itself
        found = []
        for wide in (True, False):
            ports = list(self._ports(wide))
            if len(ports) < len(self._shaped):
                continue
            ways = list(self._ways(ports))
            lefts: tuple[Left, ...] = (self._any_order, self._in_order, self._mixed)
            for left in lefts if any(way.same for way in ways) else lefts[:1]:
                server = left(ports, ways)
                if server is not None:
                    found.append(server.wait_ns((burst,), told_bits))
        waits = [wait for wait in found if wait is not None]
        return min(waits) + self._rest_ns(told_bits) if waits else None

    def _rest_ns(self, told_bits: int) -> int:
        """Propagation and devices, and the packet's own transmission at the last port."""
        ports = [self.network.ports[hop.port] for hop in self._hops]
        last = self._shaped[-1]
        bits = told_bits + self._hops[last].extra_bits
        rest = up(bits * S, ports[last].rate_bps or 1) + ROUNDING_NS
        return rest + sum(port.delay_ns + port.spread_ns for port in ports)

    def _ports(self, wide: bool) -> Iterator[_Port]:
        """Each as a server, until one that is none."""
        for place in self._shaped:
            port = self._port(place, wide)
            if port is None:
                return
            yield port

    def _port(self, place: int, wide: bool) -> _Port | None:
        hop = self.flow.hops[place]
        port, members = self.network.ports[hop.port], self.network.members[hop.port]
        (queue,) = (q for q in port.served if q.id == hop.queue)
        own = _At(self.flow, place)
        same = tuple(at for at in map(_At._make, members[queue.id]) if at != own)
        if wide and not port.gates and not queue.peak_bps:
            found = self._wide(place, queue, same)
            if found is not None:
                return found
        server = self._own(place)
        return None if server is None else _Port(place, server, same, (), Bucket(0, 0))

    def _own(self, place: int) -> Server | None:
        """The best that the queue is served, for all that comes to it."""
        hop = self.flow.hops[place]
        served = self.network.at[hop.port, hop.queue]
        slow = min(served.curve, key=lambda b: (b.bps, b.bits), default=None)
        if slow is None or served.full:
            return None
        fit = [s for s in served.servers if s.bps > slow.bps]
        best = min(fit, key=lambda s: s.latency_ns + up(slow.bits * S, s.bps), default=None)
        if best is None:
            return None
        largest = self.network.loads[hop.port].loads[hop.queue].largest_bits
        rate = self.network.ports[hop.port].rate_bps or 1
        return Server(best.bps, best.latency_ns + self._late_ns(place, up(largest * S, rate)))

    def _wide(self, place: int, queue: Queue, same: tuple[_At, ...]) -> _Port | None:
        hop = self.flow.hops[place]
        port, loads = self.network.ports[hop.port], self.network.loads[hop.port]
        rate = port.rate_bps or 1
        members = self.network.members[hop.port]
        block, behind = loads.block[queue.level], loads.behind[queue.level]
        others, held, largest = list[_At](), Bucket(0, 0), 0
        for other in port.served:
            if other.level > queue.level or other.id not in loads.loads:
                continue
            longest = loads.loads[other.id].largest_bits
            largest = max(largest, longest)
            if other.id == queue.id:
                continue
            here = list(map(_At._make, members[other.id]))
            if not all(at.flow.burst or any(hop.policer for hop in at.flow.hops) for at in here):
                return None
            if not other.peak_bps:
                others += here
                continue
            # it may wait while others are served, and be in transmission as a period begins
            buckets = [self._bucket(at, at.flow.hops[at.place].extra_bits) for at in here]
            known = [bucket for bucket in buckets if bucket is not None]
            waits = [self.network.waits[at.flow.id][at.place] for at in here]
            if None in waits or len(known) < len(buckets):
                return None
            late_ns = max(wait or 0 for wait in waits) + up(longest * S, rate)
            held = together([held, together(known).late(late_ns)])
            block = max(block, longest)
        left = rate - behind.bps
        if left <= 0:
            return None
        bits = block + behind.bits
        if place == self._shaped[-1]:
            largest = 0
        latency = up((bits + largest) * S, left) + self._late_ns(place, 0)
        return _Port(place, Server(left, latency), same, tuple(others), held)

    def _late_ns(self, place: int, packet_ns: int) -> int:
        """What a port adds to its server until a packet is whole, and at the next one."""
        if place == self._shaped[-1]:
            return 0
        following = self._shaped[self._shaped.index(place) + 1]
        hops = self.flow.hops[place:following]
        spread = sum(self.network.ports[hop.port].spread_ns for hop in hops)
        return packet_ns + ROUNDING_NS + spread

    # What others leave

    def _any_order(self, ports: Sequence[_Port], ways: Sequence[_Way]) -> Server | None:
        crossing = [self._cross(way, ports, whole=True) for way in ways]
        known = [cross for cross in crossing if cross is not None]
        if len(known) < len(crossing):
            return None
        held = [Cross(port.held, n, n) for n, port in enumerate(ports)]
        return any_order([port.server for port in ports], known + held)

    def _in_order(self, ports: Sequence[_Port], ways: Sequence[_Way]) -> Server | None:
        same = list(_nested(way for way in ways if way.same))
        return self._blocks(ports, same, [way for way in ways if not way.same])

    def _mixed(self, ports: Sequence[_Port], ways: Sequence[_Way]) -> Server | None:
        most = max(len(way.at) for way in ways if way.same)
        same = list(_nested(w for w in ways if w.same and len(w.at) == most))
        rest = [way for way in ways if not (way.same and len(way.at) == most)]
        return self._blocks(ports, same, rest)

    def _blocks(
        self, ports: Sequence[_Port], same: Sequence[_Way], rest: Sequence[_Way]
    ) -> Server | None:
        """The ports between which `same` stay the same as one server each, and those in order."""
        cuts = {0, len(ports), *(w.first for w in same), *(w.last + 1 for w in same)}
        edges = sorted(cuts)
        number = {edge: n for n, edge in enumerate(edges)}
        servers = []
        for first, end in pairwise(edges):
            parts = [
                way.part(max(first, way.first), min(end - 1, way.last))
                for way in rest
                if way.first < end and way.last >= first
            ]
            inner = [_Way(way.first - first, way.at, way.same) for way in parts]
            server = self._any_order(ports[first:end], inner)
            if server is None:
                return None
            servers.append(server)
        crossing = []
        for way in same:
            cross = self._cross(way, ports, whole=False)
            if cross is None:
                return None
            crossing.append(Cross(cross.bucket, number[way.first], number[way.last + 1] - 1))
        return in_order(servers, crossing)

    def _cross(self, way: _Way, ports: Sequence[_Port], *, whole: bool) -> Cross | None:
        """What comes by a way.

        Args:
            whole: a packet counts when it has been sent at the way's last port. So it came
                to the first as much earlier as it took to be sent at each.
        """
        extra = max(at.flow.hops[at.place].extra_bits for at in way.at)
        bucket = self._bucket(way.at[0], extra)
        if bucket is None:
            return None
        if whole:
            # the path's last port is looked at as it begins to send, not when it has sent
            early = [at for number, at in enumerate(way.at, way.first) if number < len(ports) - 1]
            sent_ns = sum(self._sent_ns(at) for at in early)
            bucket = Bucket(max(0, bucket.bits - bucket.bps * sent_ns // S), bucket.bps)
        return Cross(bucket, way.first, way.last)

    def _bucket(self, at: _At, extra_bits: int) -> Bucket | None:
        """What a flow sends as it comes there."""
        key = at.flow.id, at.place, extra_bits
        if key not in self._buckets:
            self._buckets[key] = self.network.bucket(*at, extra_bits, sooner=self._sooner)
        return self._buckets[key]

    def _sent_ns(self, at: _At) -> int:
        """What a flow's packet is sent there at least."""
        hop = at.flow.hops[at.place]
        bits = at.flow.smallest_bits + hop.extra_bits
        return bits * S // (self.network.ports[hop.port].rate_bps or 1)

    def _ways(self, ports: Sequence[_Port]) -> Iterator[_Way]:
        """Who goes before, over as many ports in a row as may be."""
        going: dict[_Key, _Way] = {}
        for number, port in enumerate(ports):
            here = {
                (at.flow.id, at.place, same): at
                for same, some in ((True, port.same), (False, port.others))
                for at in some
            }
            before = ports[number - 1].place
            for (id_, place, same), way in list(going.items()):
                del going[id_, place, same]
                key = id_, place + port.place - before, same
                if key in here and self._follows(way.at[-1], before, port.place):
                    going[key] = _Way(way.first, (*way.at, here.pop(key)), same)
                else:
                    yield way
            going |= {key: _Way(number, (at,), key[2]) for key, at in here.items()}
        yield from going.values()

    def _follows(self, at: _At, place: int, until: int) -> bool:
        """Whether another flow goes by the same ports from one place of the path to another."""
        step = at.place - place
        return all(
            at.flow.hops[n + step].port == self.flow.hops[n].port for n in range(place, until + 1)
        )


def _nested(ways: Iterable[_Way]) -> Iterator[_Way]:
    """The ways, cut where one begins on another and ends beyond it."""
    heap = [(way.first, -way.last, number, way) for number, way in enumerate(ways)]
    heapq.heapify(heap)
    ends: list[int] = []
    while heap:
        first, _, number, way = heapq.heappop(heap)
        while ends and ends[-1] < first:
            ends.pop()
        if ends and way.last > ends[-1]:
            rest = way.part(ends[-1] + 1, way.last)
            heapq.heappush(heap, (rest.first, -rest.last, number, rest))
            way = way.part(first, ends[-1])
        ends.append(way.last)
        yield way
