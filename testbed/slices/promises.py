"""The worst delay of every demand of the orders that are in a network together.

Each order has a queue of its own at every switch port of its paths, served at the rate it
keeps there and by priority; behind all of them is best effort, which never stops and has
its share (htb, see testbed/port/queues.py). Hosts send what was ordered in one queue. Demands whose
traffic no token bucket holds have no bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import networkx as nx

from testbed.frames import LABELLED_FRAME_BYTES, SMALLEST_TCP_BYTES, label_bytes
from testbed.port.channel import Channel
from testbed.port.curves import Bucket
from testbed.port.pipeline import Pipeline
from testbed.port.queues import Queue, Queues
from testbed.port.transmitter import Transmitter
from testbed.slices.bounds import Bound, Flow, Hop, Network
from testbed.slices.policy import BEST_EFFORT_SHARE, LATE_NS, Demand

Link = tuple[str, str]

FULL_BITS = 8 * LABELLED_FRAME_BYTES
SMALL_BITS = 8 * SMALLEST_TCP_BYTES
_LAST = 128
"""Level of best effort, after all priorities."""


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

    def __init__(self, graph: nx.DiGraph) -> None:
        self.worst: dict[str, int | None] = {}
        """Demand id -> one-way delay that no packet exceeds, ns; None: nothing bounds it."""
        self.orders: set[str] = set()
        self._graph = graph
        self._network = Network()

    def fork(self) -> Promises:
        """The same again, for a trial."""
        other = Promises(self._graph)
        other.worst, other.orders = self.worst.copy(), self.orders.copy()
        other._network = self._network.fork()
        return other

    def enter(self, entries: Iterable[Entry]) -> None:
        """Further orders, and what that does to all worst delays."""
        network = self._network
        for entry in entries:
            self.orders.add(entry.id)
            here = {link for _, nodes in entry.demands for link in pairwise(nodes)}
            ports = {link: self._port(link, entry) for link in sorted(here)}
            new = [link for link in ports if _name(link) not in network.ports]
            named = {_name(link): port for link, port in ports.items()}
            rest = (_rest(link, ports[link]) for link in new if self._scheduled(link))
            network.add(named, rest)
            network.add({}, self._flows(entry, ports))
        network.settle()
        for id_ in network.crossing(network.touched):
            if id_ in self.worst:
                found = network.bound(network.flows[id_])
                self.worst[id_] = found.latency_ns if isinstance(found, Bound) else None

    def _scheduled(self, link: Link) -> bool:
        """Whether the port towards the link has queues: a switch's, with a rate."""
        switch = self._graph.nodes[link[0]]["role"] == "switch"
        return switch and self._graph.edges[link]["rate_bps"] is not None

    def _port(self, link: Link, entry: Entry) -> Pipeline:
        edge = self._graph.edges[link]
        rate = edge["rate_bps"]
        if not self._scheduled(link):
            return _port(edge)
        best = Queue(id=0, level=_LAST, promised_bps=rate // BEST_EFFORT_SHARE)
        port = self._network.ports.get(_name(link)) or _port(edge, best)
        kept = entry.kept.get(link, 0)
        most = rate if entry.maximum_bps is None else max(kept, entry.maximum_bps)
        peak = most if most < rate else 0
        own = Queue(id=len(port.queues), level=entry.priority, promised_bps=kept, peak_bps=peak)
        return port.having(Queues(queues=(*port.queues, own)))

    def _flows(self, entry: Entry, ports: dict[Link, Pipeline]) -> Iterator[Flow]:
        for demand, nodes in entry.demands:
            self.worst[demand.id] = None
            hops = tuple(
                Hop(
                    _name(link),
                    ports[link].queues[-1].id if self._scheduled(link) else 0,
                    8 * (label_bytes(number, nodes) + ports[link].transmitter.overhead_bytes),
                )
                for number, link in enumerate(pairwise(nodes))
            )
            yield _flow(demand, hops, demand.after if demand.after in self.worst else "")


def sender(edge: Mapping[str, Any]) -> Transmitter:
    """What sends on a link, by its attributes in the graph."""
    overhead_bytes = edge.get("overhead_bytes", 0)
    return Transmitter(rate_bps=edge["rate_bps"], overhead_bytes=overhead_bytes)


def _port(edge: Mapping[str, Any], *queues: Queue) -> Pipeline:
    channel = Channel(propagation_ns=edge["delay_ns"])
    return Pipeline(stages=(Queues(queues=queues), sender(edge), channel))


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
