"""Delay and backlog that no packet exceeds, by network calculus.

    found = bounds(ports, flows)     flow id -> Bound, or Endless

A flow is a token bucket: in any t seconds at most burst + rate x t. A port serves each
queue as a rate-latency server (R, T), see testbed/port/queues.py. A packet of l bits then waits at
most T + (b - l) / R for its transmission, b being the burst of all that share its queue
(Le Boudec and Thiran, Network Calculus, theorem 1.4.2). Along a path it is the less of

    hop by hop    the sum over the ports. A flow's burst grows by its rate x all it may
                  have waited before (theorem 1.4.3). What comes over one link comes no
                  faster than that link sends, whoever sends it.
    separated     the flow's own server at every port, in a row (theorem 1.4.6): its burst
                  is paid once, at the slowest; at every port the others' in its queue
                  (proposition 6.2.1), and one packet for store-and-forward (theorem 1.7.1).
    along         the bursts of others, too, once over the ports that they share (along.py).

A full queue drops, so what waits behind a full buffer is bounded too, whoever fills it.
Bursts that depend on each other in a ring are iterated upwards from none; a fixed point
bounds them (Cruz, IEEE Transactions on Information Theory 37, 1991: time stopping).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from testbed.port.curves import Bucket, Curve, S, Server, total, up
from testbed.port.pipeline import Pipeline
from testbed.port.policers import Policer
from testbed.port.queues import Load, Loads, Queue
from testbed.port.transmitter import ROUNDING_NS
from testbed.slices.along import Along

EXACT_ROUNDS = 8
"""When a port was worked out so often, waits there grow by steps, and so settle sooner."""
WORTH = 4
"""A burst that grows by less than one part in so many is not worked out more closely."""
MOST_ROUNDS = 200
"""Bursts that still grow when a port was worked out so often have no bound."""


@dataclass(frozen=True)
class Hop:
    """A port of a flow's path, and the queue its packets take there."""

    port: str
    queue: int = 0
    extra_bits: int = 0
    """That each packet has here and not at its source: a label, and what the wire adds."""
    policer: Policer | None = None
    """Before the queue, of this flow and of all others that name it."""


@dataclass(frozen=True)
class Flow:
    """Packets that take one path."""

    id: str
    hops: tuple[Hop, ...]
    burst: Bucket | None
    """None: no token bucket holds them."""
    packets: int
    """Of a burst."""
    largest_bits: int
    smallest_bits: int
    told_bits: int
    """Size of the packets whose delay is bounded."""
    late_ns: int = 0
    """How much later than by its bucket the source may send."""
    after: str = ""
    """The flow whose packets this one answers, each as it arrives."""


class At(NamedTuple):
    """A flow at a port, by the port's place on its path."""

    flow: Flow
    place: int


@dataclass(frozen=True)
class AtPort:
    """A flow's share of its bound at one port."""

    port: str
    wait_ns: int
    """Until transmission begins."""
    backlog_bits: int | None
    """Of its queue, with the packet in transmission."""
    full: bool
    """Nothing but the size of the buffer limits them."""
    lossless: bool
    """No packet finds its queue full, nor a policer's bucket empty."""


@dataclass(frozen=True)
class Bound:
    """What a flow's packets take at most, if all flows keep to their token buckets."""

    latency_ns: int
    """One-way, from the first queue to the arrival of the last bit."""
    fixed_ns: int
    """Of that: propagation, devices and transmission."""
    concatenated: bool
    """That was less than hop by hop."""
    ports: tuple[AtPort, ...]


@dataclass(frozen=True)
class Endless:
    """There is no bound."""

    port: str
    """The first where traffic that nothing holds, or too much of it, goes before."""


def bounds(
    ports: Mapping[str, Pipeline], flows: Iterable[Flow], of: Iterable[str] | None = None
) -> dict[str, Bound | Endless]:
    """The bound of every flow, by id; or of those only whose ids are given, beside all."""
    network = Network()
    network.add(ports, flows)
    network.settle()
    asked = network.flows if of is None else of
    return {id_: network.bound(network.flows[id_]) for id_ in asked}


@dataclass
class Served:
    """A queue, and what is known of it."""

    servers: list[Server]
    curve: Curve
    """All that comes to it."""
    full: bool = False
    """Nothing but the size of the buffer limits what waits."""


class Network:
    """Ports and flows, and the longest waits known of them.

    More may be added to what is settled: waits only grow, so they go on from where they are.
    """

    def __init__(self) -> None:
        self.ports: dict[str, Pipeline] = {}
        self.flows: dict[str, Flow] = {}
        self.touched: set[str] = set()
        """Ports that settle() has worked out anew."""
        self.waits: dict[str, tuple[int | None, ...]] = {}
        """Flow -> its longest waits, hop by hop; None: nothing bounds it."""
        self.members: dict[str, dict[int, tuple[At, ...]]] = {}
        """Port -> queue -> the flows in it."""
        self.at: dict[tuple[str, int], Served] = {}
        """Port and queue -> what is known of it."""
        self.loads: dict[str, Loads] = {}
        """Port -> what comes to its queues."""
        self._answers: dict[str, tuple[Flow, ...]] = {}
        self._depth: dict[str, int] = {}
        self._due: set[str] = set()
        self._late_at: dict[str, int] = {}
        self._sooner: dict[tuple[str, int], int | None] = {}
        self._buckets: dict[tuple[str, int, int, bool], Bucket | None] = {}
        """What flows send, by the waits that are known."""
        self._paths: dict[tuple[tuple[Hop, ...], bool], Along] = {}

    def fork(self) -> Network:
        """The same again, for a trial."""
        other = Network()
        other.__dict__ = {name: value.copy() for name, value in self.__dict__.items()}
        other.members = {port: queues.copy() for port, queues in self.members.items()}
        other._paths = {}  # those of this one look into it
        return other

    def add(self, ports: Mapping[str, Pipeline], flows: Iterable[Flow]) -> None:
        """Further flows, and ports: one that is there already is now this one."""
        for name, port in ports.items():
            self.ports[name] = port
            self.members.setdefault(name, {})
            self._due.add(name)
            if port.spread_ns:
                self._late_at[name] = port.spread_ns
        for flow in flows:
            self.flows[flow.id] = flow
            self.waits[flow.id] = (0,) * len(flow.hops)
            self._answers[flow.after] = (*self._answers.get(flow.after, ()), flow)
            for place, hop in enumerate(flow.hops):
                queues = self.members.setdefault(hop.port, {})
                queues[hop.queue] = (*queues.get(hop.queue, ()), At(flow, place))
                self._depth[hop.port] = max(self._depth.get(hop.port, 0), place)
                self._due.add(hop.port)

    def crossing(self, ports: Iterable[str]) -> dict[str, None]:
        """The flows that pass any of these ports."""
        members = (self.members.get(name, {}).values() for name in ports)
        return {flow.id: None for queues in members for each in queues for flow, _ in each}

    def settle(self) -> None:
        """Work out every port until no wait grows: in rounds, those first on paths first."""
        self.touched = set()
        self._sooner.clear()
        self._paths.clear()
        self._buckets.clear()
        heap = [(0, self._depth.get(name, 0), name) for name in self._due]
        heapq.heapify(heap)
        times: Counter[str] = Counter()
        while heap:
            _, _, name = heapq.heappop(heap)
            self._due.discard(name)
            self.touched.add(name)
            times[name] += 1
            for flow, place in self._grown(name, times[name]):
                onward = [hop.port for hop in flow.hops[place:]]
                for answer in self._answers.get(flow.id, ()):
                    onward += [hop.port for hop in answer.hops]
                for other in onward:
                    if other not in self._due:
                        self._due.add(other)
                        heapq.heappush(heap, (times[other], self._depth[other], other))

    def _grown(self, name: str, times: int) -> list[At]:
        """The flows that may wait longer at a port than was known, `times` before included."""
        port = self.ports[name]
        if port.rate_bps is None:
            return []
        grown = []
        for queue, served in self._served(name, port):
            members = self.members[name][queue.id]
            largest = max(bits for bits, _ in map(_sizes, members))
            room = (Bucket((queue.limit_packets + 1) * largest, 0),)
            for flow, place in members:
                told = flow.smallest_bits + flow.hops[place].extra_bits
                wait = _wait(served.servers, served.curve, told)
                most = _wait(served.servers, room, told)
                if most is not None and (wait is None or most < wait):
                    wait, served.curve, served.full = most, room, True
                waits = self.waits[flow.id]
                before = waits[place]
                if before is not None and (wait is None or wait > before):
                    now = _coarser(wait, times)
                    self.waits[flow.id] = (*waits[:place], now, *waits[place + 1 :])
                    self._buckets.clear()
                    # a queue that may wait while the transmitter is free counts its own waits
                    again = queue.peak_bps or port.windows(queue.id) is not None
                    grown.append(At(flow, place if again else place + 1))
        return grown

    def _served(self, name: str, port: Pipeline) -> list[tuple[Queue, Served]]:
        queues = [q for q in port.served if q.id in self.members[name]]
        curves = {q.id: self._curve(self.members[name][q.id]) for q in queues}
        loads = {}
        for queue in queues:
            members = self.members[name][queue.id]
            sizes = list(map(_sizes, members))
            largest, smallest = max(s[0] for s in sizes), min(s[1] for s in sizes)
            curve = curves[queue.id]
            if queue.peak_bps or port.windows(queue.id) is not None:
                # it may wait while the transmitter is free: what it takes came before
                waits = [self.waits[flow.id][place] for flow, place in members]
                known = [wait for wait in waits if wait is not None]
                whole = len(known) == len(waits)
                sent_ns = up(largest * S, port.rate_bps or 1)  # one may be in transmission
                curve = tuple(b.late(max(known) + sent_ns) for b in curve) if whole else ()
            if queue.peak_bps:
                curve = (*curve, Bucket(largest, queue.peak_bps))
            loads[queue.id] = Load(curve, largest, smallest)
        found = []
        here = self.loads[name] = Loads(port, loads)
        for queue in queues:
            served = Served(here.servers(queue), curves[queue.id])
            self.at[name, queue.id] = served
            found.append((queue, served))
        return found

    def _curve(self, members: Sequence[At], without: str = "") -> Curve:
        """All that comes to a queue, by the links it comes over."""
        some = [at for at in members if at.flow.id != without]
        policed: dict[Policer | None, list[At]] = defaultdict(list)
        for at in some:
            policed[at.flow.hops[at.place].policer].append(at)
        curve = self._arriving(some)
        if set(policed) - {None}:
            curve += total(
                self._arriving(them) + ((by.passes.late(ROUNDING_NS),) if by else ())
                for by, them in policed.items()
            )
        return curve

    def _arriving(self, members: Sequence[At]) -> Curve:
        over: dict[str, list[At]] = defaultdict(list)
        for at in members:
            over[at.flow.hops[at.place - 1].port if at.place else ""].append(at)
        return total(self._over(link, them) for link, them in over.items())

    def _over(self, link: str, members: Sequence[At]) -> Curve:
        curve: list[Bucket] = []
        each = [self.bucket(flow, place) for flow, place in members]
        whole = [bucket for bucket in each if bucket is not None]
        if len(whole) == len(each):
            curve.append(Bucket(sum(b.bits for b in whole), sum(b.bps for b in whole)))
        rate = self.ports[link].rate_bps if link else None
        if rate is not None:
            largest = max(bits for bits, _ in map(_sizes, members))
            wider = max(  # by a label that was not there
                up(rate * (f.smallest_bits + f.hops[n].extra_bits), _before(f, n))
                for f, n in members
            )
            curve.append(Bucket(largest, max(rate, wider)).late(ROUNDING_NS))
        return tuple(curve)

    def bucket(
        self, flow: Flow, place: int, extra_bits: int | None = None, *, sooner: bool = False
    ) -> Bucket | None:
        """What a flow sends, as it comes to a hop; or what a policer on its way lets pass,
        where that is less. In bits that packets have there, or with `extra_bits`; `sooner`
        as of Along."""
        extra = flow.hops[place].extra_bits if extra_bits is None else extra_bits
        key = flow.id, place, extra, sooner
        if key not in self._buckets:
            self._buckets[key] = self._bucket(flow, place, extra, sooner=sooner)
        return self._buckets[key]

    def _bucket(self, flow: Flow, place: int, extra: int, *, sooner: bool) -> Bucket | None:
        late = self._late(flow, 0, place, sooner=sooner)
        sent = None
        if flow.burst is not None and late is not None:
            sent = _wider(flow, extra).late(late)
        for passed in range(place - 1, -1, -1):
            policer, late = flow.hops[passed].policer, self._late(flow, passed, place)
            if policer is not None and late is not None:
                smallest = flow.smallest_bits
                passes = _longer(
                    policer.passes, smallest + flow.hops[passed].extra_bits, smallest + extra
                )
                if sent is None or passes.bps < sent.bps:
                    return passes.late(late + ROUNDING_NS)
                break
        return sent

    def _late(self, flow: Flow, first: int, place: int, *, sooner: bool = False) -> int | None:
        """How much longer than the fastest a packet may take from hop `first` to this."""
        late = self._waited(flow, first, place, sooner=sooner)
        if first or late is None:
            return late
        late += flow.late_ns
        if not flow.after:
            return late
        asked = self.flows[flow.after]
        before = self._waited(asked, 0, len(asked.hops), sooner=sooner)
        return None if before is None else late + asked.late_ns + before

    def _waited(self, flow: Flow, first: int, place: int, *, sooner: bool) -> int | None:
        """The same of one that is sent at its moment, and answers none."""
        waits = self.waits[flow.id][first:place]
        known = [wait for wait in waits if wait is not None]
        if len(known) < len(waits):
            return None
        late = sum(known) + self._spread(flow, first, place)
        if not sooner or first or flow.burst is None:
            return late
        if late * flow.burst.bps <= S * flow.burst.bits // WORTH:
            return late  # its burst grows by little
        key = flow.id, place
        if key not in self._sooner:
            self._sooner[key] = self._waited_along(flow, place)
        along = self._sooner[key]
        return late if along is None else min(late, along)

    def _waited_along(self, flow: Flow, place: int) -> int | None:
        """How much longer than the fastest a packet takes to a hop, by the ports in a row.

        The smallest may be latest: a larger one waits for as much less as it is larger, which
        takes no longer to send.
        """
        burst = self._burst(flow)
        if burst is None:
            return None
        path = self._along(flow.hops[:place], sooner=False)
        latest = path.least_ns(flow, burst, flow.smallest_bits)
        if latest is None:
            return None
        fastest = 0
        for hop in flow.hops[:place]:
            port = self.ports[hop.port]
            bits = flow.smallest_bits + hop.extra_bits
            fastest += port.delay_ns + (bits * S // port.rate_bps if port.rate_bps else 0)
        return latest - fastest

    def _along(self, hops: tuple[Hop, ...], *, sooner: bool) -> Along:
        if (hops, sooner) not in self._paths:
            self._paths[hops, sooner] = Along(self, hops, sooner=sooner)
        return self._paths[hops, sooner]

    def _burst(self, flow: Flow, *, sooner: bool = False) -> Bucket | None:
        """What a flow sends, in bits by its longest label."""
        late = self._late(flow, 0, 0, sooner=sooner)
        if flow.burst is None or late is None:
            return None
        return _wider(flow, max(hop.extra_bits for hop in flow.hops)).late(late)

    def _spread(self, flow: Flow, first: int, place: int) -> int:
        """How much later than at least its packets may be from hop `first` to this, waits
        aside."""
        late = self._late_at
        return sum(late.get(hop.port, 0) for hop in flow.hops[first:place]) if late else 0

    def bound(self, flow: Flow, enough_ns: float = 0) -> Bound | Endless:
        """The least there is; or that hop by hop, where it is not more than `enough_ns`."""
        waits = []
        for hop, wait in zip(flow.hops, self.waits[flow.id], strict=True):
            if wait is None:
                return Endless(hop.port)
            waits.append(wait)
        sent = fixed = 0
        for hop in flow.hops:
            port = self.ports[hop.port]
            bits = flow.told_bits + hop.extra_bits
            sent = up(bits * S, port.rate_bps) + ROUNDING_NS if port.rate_bps else 0
            fixed += sent + port.delay_ns
        by_hop = fixed + sum(waits) + self._spread(flow, 0, len(flow.hops))
        once = self._concatenated(flow) if by_hop > enough_ns else None
        return Bound(
            latency_ns=by_hop if once is None else min(by_hop, once),
            fixed_ns=fixed,
            concatenated=once is not None and once < by_hop,
            ports=tuple(
                self._at_port(hop, wait) for hop, wait in zip(flow.hops, waits, strict=True)
            ),
        )

    def _at_port(self, hop: Hop, wait: int) -> AtPort:
        served = self.at.get((hop.port, hop.queue))
        if served is None:
            return AtPort(hop.port, wait, 0, full=False, lossless=hop.policer is None)
        backlogs = [server.backlog_bits(served.curve) for server in served.servers]
        least = min((bits for bits in backlogs if bits is not None), default=None)
        return AtPort(hop.port, wait, least, served.full, self._lossless(hop, served, least))

    def _lossless(self, hop: Hop, served: Served, backlog_bits: int | None) -> bool:
        """Whether the backlog fits into the queue, were all its packets of the smallest size and
        another queue's in transmission."""
        if hop.policer is not None or served.full or backlog_bits is None:
            return False
        (queue,) = (queue for queue in self.ports[hop.port].served if queue.id == hop.queue)
        members = self.members[hop.port][hop.queue]
        least_bits = min(flow.smallest_bits + flow.hops[at].extra_bits for flow, at in members)
        return backlog_bits <= queue.limit_packets * least_bits

    def _concatenated(self, flow: Flow) -> int | None:
        """The least bound with all ports in a row."""
        burst = self._burst(flow, sooner=True)
        if burst is None:
            return None
        along = self._along(flow.hops, sooner=True).least_ns(flow, burst, flow.told_bits)
        found = self._separated(flow, burst), along
        return min((once for once in found if once is not None), default=None)

    def _separated(self, flow: Flow, burst: Bucket) -> int | None:
        """The bound with the flow's own servers concatenated."""
        shaped = [n for n, hop in enumerate(flow.hops) if self.ports[hop.port].rate_bps]
        if not shaped:
            return None
        ahead = max(0, burst.bits - flow.told_bits)
        packet = flow.largest_bits + max(hop.extra_bits for hop in flow.hops)
        latency = sum(self.ports[hop.port].delay_ns for hop in flow.hops)
        latency += self._spread(flow, 0, len(flow.hops))
        slowest: list[int] = []
        for place in shaped:
            hop = flow.hops[place]
            cross = self._curve(self.members[hop.port][hop.queue], without=flow.id)
            own = [
                Server(s.bps - c.bps, s.latency_ns + up(c.bits * S, s.bps))
                for s in self.at[hop.port, hop.queue].servers
                for c in cross
                if s.bps - c.bps >= max(1, burst.bps)
            ]
            if not own:
                return None
            best = min(own, key=lambda server: server.latency_ns + up(ahead * S, server.bps))
            latency += best.latency_ns + ROUNDING_NS
            if place == shaped[-1]:
                rate = self.ports[hop.port].rate_bps or 1
                latency += up((flow.told_bits + hop.extra_bits) * S, rate)
            else:
                latency += up(packet * S, best.bps)
            slowest.append(best.bps)
        return latency + up(ahead * S, min(slowest))


def _sizes(member: At) -> tuple[int, int]:
    """The largest and the smallest packet of a flow at a hop."""
    flow, place = member
    extra = flow.hops[place].extra_bits
    return flow.largest_bits + extra, flow.smallest_bits + extra


def _before(flow: Flow, place: int) -> int:
    return flow.smallest_bits + flow.hops[place - 1].extra_bits


def _wider(flow: Flow, extra_bits: int) -> Bucket:
    """A flow's token bucket where its packets are longer."""
    assert flow.burst is not None
    bits = flow.burst.bits + flow.packets * extra_bits
    return Bucket(bits, up(flow.burst.bps * bits, flow.burst.bits))


def _longer(bucket: Bucket, smallest_bits: int, then_bits: int) -> Bucket:
    """Of packets that grow, the smallest from so many bits to so many, or do not."""
    if then_bits <= smallest_bits:
        return bucket
    return Bucket(*(up(number * then_bits, smallest_bits) for number in bucket))


def _coarser(wait: int | None, times: int) -> int | None:
    """A wait as it is kept: exact at first, then by steps of 1 %, then for ever."""
    if wait is None or times > MOST_ROUNDS:
        return None
    if times <= EXACT_ROUNDS:
        return wait
    step = 1 << max(0, wait.bit_length() - 7)
    return up(wait, step) * step


def _wait(found: Sequence[Server], curve: Curve, told_bits: int) -> int | None:
    waits = [server.wait_ns(curve, told_bits) for server in found]
    return min((wait for wait in waits if wait is not None), default=None)
