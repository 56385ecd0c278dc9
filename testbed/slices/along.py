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
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from testbed.port.curves import Bucket, S, Server, together, up
from testbed.port.queues import Queue
from testbed.port.transmitter import ROUNDING_NS
from testbed.slices.tandem import Cross, any_order, in_order

if TYPE_CHECKING:
    from testbed.slices.bounds import At, Flow, Hop, Network


@dataclass(frozen=True)
class _Port:
    """A port with a rate, and what may go before a packet there."""

    place: int
    """On the path."""
    server: Server
    same: tuple[At, ...]
    """Who shares the queue."""
    others: tuple[At, ...]
    """Who is in another queue that may go before."""
    held: Bucket
    """Of queues with a peak rate, all together."""


@dataclass(frozen=True)
class _Way:
    """Ports in a row that a flow shares, from one to another."""

    first: int
    at: tuple[At, ...]
    """The flow there, port by port."""
    same: bool
    """In the same queue."""

    @property
    def last(self) -> int:
        return self.first + len(self.at) - 1


_Key = tuple[str, int, bool]
"""Flow, its place, and whether it is in the same queue."""


class _Span(NamedTuple):
    """Ports in a row, both included, that some ways or parts of them have."""

    first: int
    last: int
    same: bool


@dataclass(frozen=True)
class _Beside:
    """Who goes before on the ports of a row."""

    ways: dict[_Span, list[_Way]]
    own: dict[str, _Way]
    """Of the flows that take the whole path, in the same queue."""
    sums: dict[tuple[_Span, int, int, bool], Bucket | None]
    """What comes by all ways of a span, over a part of it."""


@dataclass(frozen=True)
class _Row:
    """The ports as servers, and who goes before on them."""

    ports: tuple[_Port, ...]
    beside: _Beside

    @property
    def whole(self) -> _Span:
        return _Span(0, len(self.ports) - 1, same=True)


_Part = tuple[_Span, int, int]
"""Ways, and the first and last port of a part of them."""


class Along:
    """A path in a settled network, for all flows that take it."""

    def __init__(self, network: Network, hops: tuple[Hop, ...], *, sooner: bool = True) -> None:
        """`sooner`: others come no later than by the ports that they have passed in a row, too,
        not only by the sum of their waits there."""
        self.network, self._hops, self._sooner = network, hops, sooner
        self._beside: dict[bool, _Beside] = {}
        """Of all rows in which some, or none, of another queue go before."""
        self._shaped = [n for n, h in enumerate(hops) if network.ports[h.port].rate_bps]
        made = (self._row(wide) for wide in (True, False)) if len(self._shaped) > 1 else ()
        self._rows = [row for row in made if row is not None]

    def least_ns(self, flow: Flow, burst: Bucket, told_bits: int) -> int | None:
        """The least bound of a flow: one-way, from the first queue to the arrival of the last
        bit. None: there is none, or one port, which is as good by itself.

        Args:
            flow: begins with the path.
            burst: what it sends, in bits by its longest label.
            told_bits: of the packets whose delay it is.
        """
        found = []
        for row in self._rows:
            same = [span for span in row.beside.ways if span.same]
            most = max((span.last - span.first for span in same), default=0)
            longest = [span for span in same if span.last - span.first == most]
            for ordered in [[], *([same] if same else []), *([longest] if longest != same else [])]:
                server = self._left(row, flow, ordered)
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

    def _row(self, wide: bool) -> _Row | None:
        ports = []
        for place in self._shaped:
            port = self._port(place, wide)
            if port is None:
                return None
            ports.append(port)
        others = any(port.others for port in ports)
        if others not in self._beside:
            self._beside[others] = self._who(ports)
        return _Row(tuple(ports), self._beside[others])

    def _who(self, ports: Sequence[_Port]) -> _Beside:
        ways: dict[_Span, list[_Way]] = defaultdict(list)
        for way in self._ways(ports):
            ways[_Span(way.first, way.last, way.same)].append(way)
        whole = ways.get(_Span(0, len(ports) - 1, same=True), ())
        return _Beside(dict(ways), {way.at[0].flow.id: way for way in whole}, {})

    def _port(self, place: int, wide: bool) -> _Port | None:
        hop = self._hops[place]
        port, members = self.network.ports[hop.port], self.network.members[hop.port]
        (queue,) = (q for q in port.served if q.id == hop.queue)
        same = members[queue.id]
        if wide and not port.gates and not queue.peak_bps:
            found = self._wide(place, queue, same)
            if found is not None:
                return found
        server = self._own(place)
        return None if server is None else _Port(place, server, same, (), Bucket(0, 0))

    def _own(self, place: int) -> Server | None:
        """The best that the queue is served, for all that comes to it."""
        hop = self._hops[place]
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

    def _wide(self, place: int, queue: Queue, same: tuple[At, ...]) -> _Port | None:
        hop = self._hops[place]
        port, loads = self.network.ports[hop.port], self.network.loads[hop.port]
        rate = port.rate_bps or 1
        members = self.network.members[hop.port]
        block, behind = loads.block[queue.level], loads.behind[queue.level]
        held, largest = Bucket(0, 0), 0
        others: list[At] = []
        for other in port.served:
            if other.level > queue.level or other.id not in loads.loads:
                continue
            longest = loads.loads[other.id].largest_bits
            largest = max(largest, longest)
            if other.id == queue.id:
                continue
            here = members[other.id]
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
        hops = self._hops[place:following]
        spread = sum(self.network.ports[hop.port].spread_ns for hop in hops)
        return packet_ns + ROUNDING_NS + spread

    # What others leave

    def _left(self, row: _Row, flow: Flow, ordered: Sequence[_Span]) -> Server | None:
        """Of the ports, in the order it came beside ways of the `ordered` spans, in any order
        beside the rest: between two ports at which the first change, the ports are one server."""
        parts = list(_nested(ordered))
        rest = [span for span in row.beside.ways if span not in ordered]
        cuts = {0, len(row.ports), *(p[1] for p in parts), *(p[2] + 1 for p in parts)}
        edges = sorted(cuts)
        number = {edge: n for n, edge in enumerate(edges)}
        servers = []
        for first, end in pairwise(edges):
            crossing = [Cross(port.held, n, n) for n, port in enumerate(row.ports[first:end])]
            for span in rest:
                here = span, max(first, span.first), min(end - 1, span.last)
                if here[1] <= here[2]:
                    bucket = self._others(row, here, flow, early=True)
                    if bucket is None:
                        return None
                    crossing.append(Cross(bucket, here[1] - first, here[2] - first))
            server = any_order([port.server for port in row.ports[first:end]], crossing)
            if server is None:
                return None
            servers.append(server)
        before = []
        for part in parts:
            bucket = self._others(row, part, flow, early=False)
            if bucket is None:
                return None
            before.append(Cross(bucket, number[part[1]], number[part[2] + 1] - 1))
        return in_order(servers, before)

    def _others(self, row: _Row, part: _Part, flow: Flow, *, early: bool) -> Bucket | None:
        """What comes by a part of the ways of a span, the flow's own packets apart."""
        span, first, last = part
        beside, key = row.beside, (*part, early)
        if key not in beside.sums:
            ways = beside.ways[span]
            each = [self._part(row, way, first, last, early=early) for way in ways]
            known = [bucket for bucket in each if bucket is not None]
            beside.sums[key] = together(known) if len(known) == len(each) else None
        every = beside.sums[key]
        if every is None or span != row.whole:
            return every
        own = self._part(row, beside.own[flow.id], first, last, early=early)
        assert own is not None
        return Bucket(every.bits - own.bits, every.bps - own.bps)

    def _part(self, row: _Row, way: _Way, first: int, last: int, *, early: bool) -> Bucket | None:
        """What comes by a way, of it what is between two ports, both included.

        Args:
            early: a packet counts when it has been sent at the way's last port. So it came
                to the first as much earlier as it took to be sent at each.
        """
        part = way.at[first - way.first : last - way.first + 1]
        extra = max([at.flow.hops[at.place].extra_bits for at in part])
        bucket = self._bucket(part[0], extra)
        if bucket is None or not early:
            return bucket
        # the path's last port is looked at as it begins to send, not when it has sent
        end = len(row.ports) - 1
        sent_ns = sum([self._sent_ns(at) for n, at in enumerate(part, first) if n < end])
        return Bucket(max(0, bucket.bits - bucket.bps * sent_ns // S), bucket.bps)

    def _bucket(self, at: At, extra_bits: int) -> Bucket | None:
        """What a flow sends as it comes there."""
        return self.network.bucket(*at, extra_bits, sooner=self._sooner)

    def _sent_ns(self, at: At) -> int:
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

    def _follows(self, at: At, place: int, until: int) -> bool:
        """Whether another flow goes by the same ports from one place of the path to another."""
        step = at.place - place
        return all(
            at.flow.hops[n + step].port == self._hops[n].port for n in range(place, until + 1)
        )


def _nested(spans: Iterable[_Span]) -> Iterator[_Part]:
    """The spans, cut where one begins on another and ends beyond it."""
    heap = [(span.first, -span.last, span) for span in spans]
    heapq.heapify(heap)
    ends: list[int] = []
    while heap:
        first, less, span = heapq.heappop(heap)
        last = -less
        while ends and ends[-1] < first:
            ends.pop()
        if ends and last > ends[-1]:
            heapq.heappush(heap, (ends[-1] + 1, less, span))
            last = ends[-1]
        ends.append(last)
        yield span, first, last
