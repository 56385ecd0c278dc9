"""What paths cost in time: delay, and the transmission of the packets that will be sent.

    sending(graph, size)           a weight for the searches of paths.py and disjoint.py:
                                   what one frame takes on each link
    message_ns(graph, nodes, ...)  what a message takes over a path, packets back to back
    fastest_path                   of all paths the one on which a demand's message is there first
    timely_path                    of those on which it is there in time, the one of fewest links

All of them meet no other traffic. Frames have a label between switches. For a message of one
packet a path's time is the sum over its links; the packets of a longer one follow each other
at the pace of the slowest link, so that the sooner first packet may have the later last. The
fastest path is searched by when each packet is there, the one of fewest links by the slowest
link that it may have.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import le
from typing import Any

import networkx as nx

from testbed.errors import PlanError
from testbed.frames import FULL_FRAME_BYTES, LABEL_BYTES, label_bytes
from testbed.port.curves import S
from testbed.port.transmitter import Transmitter
from testbed.slices.paths import (
    Nodes,
    Weight,
    constrained_path,
    least_cost_path,
    least_sums,
    no_path,
    too_slow,
)
from testbed.slices.policy import Demand

Times = tuple[int, ...]
"""When each frame of a message is somewhere, ns."""


def sender(edge: Mapping[str, Any]) -> Transmitter:
    """What sends on a link, by its attributes in the graph."""
    overhead_bytes = edge.get("overhead_bytes", 0)
    return Transmitter(rate_bps=edge["rate_bps"], overhead_bytes=overhead_bytes)


def sending(graph: nx.DiGraph, size: int) -> Weight:
    """What a frame of `size` bytes, its label apart, takes on each link: one-way ns."""
    known: dict[tuple[str, str], int] = {}

    def weight(tail: str, head: str, edge: Mapping[str, Any]) -> int:
        link = tail, head
        if link not in known:
            label = LABEL_BYTES * _inner(graph, link)
            known[link] = edge["delay_ns"] + sender(edge).sent_ns(size + label)
        return known[link]

    return weight


def _inner(graph: nx.DiGraph, link: tuple[str, str]) -> bool:
    """Whether it is between switches."""
    return all(graph.nodes[end]["role"] == "switch" for end in link)


def largest_bytes(demand: Demand) -> int:
    """Of the frames that will be sent; a full one where that is not known."""
    return demand.traffic.largest_bytes if demand.traffic else FULL_FRAME_BYTES


def message_bytes(demand: Demand) -> tuple[int, ...]:
    """The frames of one message, in the order they are sent."""
    traffic = demand.traffic
    if traffic is None:
        return (FULL_FRAME_BYTES,)
    if traffic.message_packets == 1:
        return (traffic.largest_bytes,)
    return (*(traffic.largest_bytes,) * (traffic.message_packets - 1), traffic.smallest_bytes)


def serialisation_ns(
    senders: Sequence[Transmitter], nodes: Sequence[str], sizes: Sequence[int], label: bool = True
) -> int:
    """When the last frame of a message is sent over a path, store and forward, all delays
    aside.

    Args:
        senders: of every link along `nodes`.
        sizes: of the frames in bytes, their label apart, sent back to back.
    """
    ready = (0,) * len(sizes)
    for hop, transmitter in enumerate(senders):
        more = label_bytes(hop, nodes, label)
        ready = _sent(ready, transmitter, [transmitter.wire_bits(size + more) for size in sizes])
    return ready[-1]


def _sent(ready: Times, transmitter: Transmitter, bits: Sequence[int]) -> Times:
    """When each of some frames has been sent on a link, from when each is there to be sent."""
    rate = transmitter.rate_bps
    if rate is None:
        return ready
    free = 0  # when it has sent all before, in ns times its rate
    found = []
    for at, more in zip(ready, bits, strict=True):
        free = max(free, at * rate) + more * S
        found.append(-(-free // rate))
    return tuple(found)


def message_ns(graph: nx.DiGraph, nodes: Nodes, sizes: Sequence[int]) -> int:
    """What a message takes over a path: one-way, from its first bit to its last."""
    edges = [graph.edges[hop] for hop in pairwise(nodes)]
    senders = [sender(edge) for edge in edges]
    delay_ns = sum(int(edge["delay_ns"]) for edge in edges)
    return delay_ns + serialisation_ns(senders, nodes, sizes)


def fastest_path(graph: nx.DiGraph, demand: Demand) -> Nodes:
    """The path on which the demand's message is there first. Exact.

    Of equal times the path with fewer hops wins, then node names. A way to a node is
    dominated if by another no frame is there later, nor is that one longer or after it by
    names. Ways are taken by what the last frame needs at least to the end (A*: Hart,
    Nilsson and Raphael 1968). Raises PlanError when there is no path.
    """
    src, dst, sizes = demand.src, demand.dst, message_bytes(demand)
    weight = sending(graph, sizes[-1])
    if len(sizes) == 1:
        return least_cost_path(graph, src, dst, weight)
    left = least_sums(graph, dst, weight)
    if src not in left:
        raise no_path(graph, src, dst)
    over = _crossing(graph, sizes)
    heap: list[tuple[int, int, Nodes, Times]] = [(left[src], 0, (src,), (0,) * len(sizes))]
    kept: dict[str, list[tuple[int, Nodes, Times]]] = defaultdict(list)
    while heap:
        _, hops, nodes, ready = heapq.heappop(heap)
        node = nodes[-1]
        if node == dst:
            return nodes
        if any(
            (fewer, names) <= (hops, nodes) and all(map(le, sooner, ready))
            for fewer, names, sooner in kept[node]
        ):
            continue
        kept[node].append((hops, nodes, ready))
        for peer in graph[node]:
            if peer in left and peer not in nodes:
                then = over(ready, node, peer)
                at_least = then[-1] + left[peer]
                heapq.heappush(heap, (at_least, hops + 1, (*nodes, peer), then))
    raise AssertionError("there is a path")


def _crossing(graph: nx.DiGraph, sizes: Sequence[int]) -> Callable[[Times, str, str], Times]:
    """When frames of these sizes are at the other end of a link, from when they are at one."""
    known: dict[tuple[str, str], tuple[Transmitter, list[int], int]] = {}

    def over(ready: Times, tail: str, head: str) -> Times:
        link = tail, head
        if link not in known:
            edge = graph.edges[link]
            more = LABEL_BYTES * _inner(graph, link)
            transmitter = sender(edge)
            bits = [transmitter.wire_bits(size + more) for size in sizes]
            known[link] = transmitter, bits, edge["delay_ns"]
        transmitter, bits, delay_ns = known[link]
        return tuple([at + delay_ns for at in _sent(ready, transmitter, bits)])

    return over


def timely_path(graph: nx.DiGraph, demand: Demand, most_ns: int) -> Nodes:
    """Of the paths on which the demand's message takes `most_ns` at most that of fewest hops.

    A message of several packets is counted as if all of them were as large as the largest.
    Raises PlanError if there is none; it tells what the fastest path takes.
    """
    src, dst, sizes = demand.src, demand.dst, message_bytes(demand)
    fastest = fastest_path(graph, demand)
    least_ns = message_ns(graph, fastest, sizes)
    if least_ns > most_ns:
        raise too_slow(graph, src, dst, most_ns, least_ns)
    weight = sending(graph, sizes[0])
    found = [fastest]
    for some, ahead_ns in _by_slowest(graph, sizes[:-1]):
        try:
            left_ns = most_ns - ahead_ns - (len(sizes) > 1)
            found.append(constrained_path(some, src, dst, left_ns, delay=weight))
        except PlanError:
            continue
    return min(found, key=lambda nodes: (len(nodes), message_ns(graph, nodes, sizes), nodes))


def _by_slowest(graph: nx.DiGraph, ahead: Sequence[int]) -> Iterator[tuple[nx.DiGraph, int]]:
    """The network of the links that have some rate or more, for every rate there is, and what
    the frames before the last take at least at that rate."""
    if not ahead:
        yield graph, 0
        return
    rates = {edge["rate_bps"] for _, _, edge in graph.edges(data=True)}
    for rate in sorted(rates, key=lambda bps: bps or float("inf")):
        slow = [
            (tail, head)
            for tail, head, edge in graph.edges(data=True)
            if (rate is not None and (edge["rate_bps"] or rate) < rate)
            or (rate is None and edge["rate_bps"] is not None)
        ]
        some = graph.copy()
        some.remove_edges_from(slow)
        least = min(
            sum(map(sender(edge).wire_bits, ahead))
            for _, _, edge in graph.edges(data=True)
            if edge["rate_bps"] == rate
        )
        yield some, least * S // rate if rate else 0
