"""The worst delay of every demand of the orders that are in a network together.

Each order has a queue of its own at every switch port of its paths, as the ports' scheduler
serves them (queues.py); best effort has the last, and never stops unless all of it is known.
Hosts send what was ordered in one queue. Demands whose traffic no token bucket holds have no
bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import pairwise
from typing import Any, NamedTuple

import networkx as nx

from testbed.frames import LABELLED_FRAME_BYTES, SMALLEST_TCP_BYTES, label_bytes
from testbed.port.channel import Channel
from testbed.port.curves import Bucket
from testbed.port.pipeline import Pipeline
from testbed.port.queues import Queues
from testbed.scenario.model import Scheduler
from testbed.slices.bounds import Bound, Flow, Hop, Network
from testbed.slices.costs import sender
from testbed.slices.policy import LATE_NS, Demand
from testbed.slices.queues import Member, served

Link = tuple[str, str]
Passing = tuple[Demand, tuple[str, ...]]
"""What is sent, and the path it takes."""

FULL_BITS = 8 * LABELLED_FRAME_BYTES
SMALL_BITS = 8 * SMALLEST_TCP_BYTES
CYCLE_NS = 1_000_000
"""Of gates, unless told otherwise."""


class Entry(NamedTuple):
    """An order in the network."""

    id: str
    priority: int
    """1 is served first, 127 last."""
    kept: dict[Link, int]
    """Its rate on each link."""
    maximum_bps: int | None
    """Its queues are served no faster; None: as fast as their ports."""
    demands: tuple[tuple[Demand, tuple[str, ...]], ...]
    """Each with its path."""


class Promises:
    """Worst delays, kept up as orders enter."""

    def __init__(self, graph: nx.DiGraph, beside: Iterable[Passing] | None = None) -> None:
        """`graph` is Network.graph(); its `scheduler` and `cycle_ns`, if given, are the ports'.

        `beside` is best effort and the paths it takes; None: any of it, without end.
        """
        self.worst: dict[str, int | None] = {}
        """Demand id -> one-way delay that no packet exceeds, ns; None: nothing bounds it."""
        self.orders: set[str] = set()
        self._graph = graph
        self._scheduler: Scheduler = graph.graph.get("scheduler", "htb")
        self._cycle_ns: int = graph.graph.get("cycle_ns", CYCLE_NS)
        self._network = Network()
        self._members: dict[Link, tuple[Member, ...]] = {}
        self._endless = beside is None
        for demand, nodes in beside or ():
            self._pass(demand, nodes)

    def fork(self) -> Promises:
        """The same again, for a trial."""
        other = Promises(self._graph, ())
        other.worst, other.orders = self.worst.copy(), self.orders.copy()
        other._network, other._members = self._network.fork(), self._members.copy()
        other._endless = self._endless
        return other

    def enter(self, entries: Iterable[Entry]) -> None:
        """Further orders, and what that does to all worst delays.

        Raises PlanError where ports cannot have the queues.
        """
        network = self._network
        for entry in entries:
            self.orders.add(entry.id)
            here = {link for _, nodes in entry.demands for link in pairwise(nodes)}
            ports = {link: self._port(link, entry) for link in sorted(here)}
            new = [link for link in ports if self._endless and _name(link) not in network.ports]
            named = {_name(link): port for link, port in ports.items()}
            rest = (_rest(link, ports[link]) for link in new if self._scheduled(link))
            network.add(named, rest)
            network.add({}, self._flows(entry, ports))
        network.settle()
        for id_ in network.crossing(network.touched):
            if id_ in self.worst:
                found = network.bound(network.flows[id_])
                self.worst[id_] = found.latency_ns if isinstance(found, Bound) else None

    def broken(self, demand: Demand) -> bool:
        """Whether its packets may take longer than is promised."""
        most, worst = demand.delay_ns, self.worst[demand.id]
        return most is not None and (worst is None or worst > most)

    def _pass(self, demand: Demand, nodes: tuple[str, ...]) -> None:
        """Best effort that takes a path."""
        if demand.traffic is not None and demand.traffic.burst_bytes == 0:
            return
        known = self._network.ports
        new = {_name(link): _port(self._graph.edges[link]) for link in pairwise(nodes)}
        ports = {name: known.get(name, port) for name, port in new.items()}
        hops = _hops(nodes, {link: ports[_name(link)] for link in pairwise(nodes)}, {})
        self._network.add(ports, [_flow(demand, hops, "")])

    def _scheduled(self, link: Link) -> bool:
        """Whether the port towards the link has queues: a switch's, with a rate."""
        switch = self._graph.nodes[link[0]]["role"] == "switch"
        return switch and self._graph.edges[link]["rate_bps"] is not None

    def _port(self, link: Link, entry: Entry) -> Pipeline:
        edge = self._graph.edges[link]
        if not self._scheduled(link):
            return _port(edge)
        others = self._members.get(link, ())
        own = Member(
            queue=len(others) + 1,
            name=entry.id,
            priority=entry.priority,
            kept_bps=entry.kept.get(link, 0),
            maximum_bps=entry.maximum_bps,
        )
        self._members[link] = (*others, own)
        return served(_port(edge), self._members[link], self._scheduler, self._cycle_ns)

    def _flows(self, entry: Entry, ports: dict[Link, Pipeline]) -> Iterator[Flow]:
        for demand, nodes in entry.demands:
            if demand.traffic is not None and demand.traffic.burst_bytes == 0:
                self.worst[demand.id] = 0
                continue
            self.worst[demand.id] = None
            hops = _hops(nodes, ports, self._members)
            yield _flow(demand, hops, demand.after if demand.after in self.worst else "")


def _hops(
    nodes: tuple[str, ...], ports: Mapping[Link, Pipeline], members: Mapping[Link, Sized]
) -> tuple[Hop, ...]:
    """The ports of a path, with the queue that came last to each."""
    return tuple(
        Hop(
            _name(link),
            len(members.get(link, ())) if ports[link].queues else 0,
            8 * (label_bytes(number, nodes) + ports[link].transmitter.overhead_bytes),
        )
        for number, link in enumerate(pairwise(nodes))
    )


def _port(edge: Mapping[str, Any]) -> Pipeline:
    channel = Channel(propagation_ns=edge["delay_ns"])
    return Pipeline(stages=(Queues(), sender(edge), channel))


def _name(link: Link) -> str:
    return f"{link[0]} -> {link[1]}"


def _rest(link: Link, port: Pipeline) -> Flow:
    """Best effort at a port: it never stops."""
    hop = Hop(_name(link), extra_bits=8 * port.transmitter.overhead_bytes)
    return Flow(f"best effort at {hop.port}", (hop,), None, 1, FULL_BITS, SMALL_BITS, SMALL_BITS)


def _flow(demand: Demand, hops: tuple[Hop, ...], after: str) -> Flow:
    traffic = demand.traffic
    if traffic is None:
        return Flow(demand.id, hops, None, 1, FULL_BITS, SMALL_BITS, SMALL_BITS)
    burst = traffic.burst_bytes
    return Flow(
        id=demand.id,
        hops=hops,
        burst=None if burst is None else Bucket(8 * burst, traffic.rate_bps),
        packets=traffic.burst_packets,
        largest_bits=8 * traffic.largest_bytes,
        smallest_bits=8 * traffic.smallest_bytes,
        told_bits=8 * traffic.smallest_bytes,
        late_ns=LATE_NS,
        after=after,
    )
