"""What paths cost in time: delay, and the transmission of the packets that will be sent.

    sending(graph, size)           a weight for the searches of paths.py and disjoint.py:
                                   what one frame takes on each link
    message_ns(graph, nodes, ...)  what a message takes over a path, packets back to back
    fastest_path                   of all paths the one on which a demand's message is there first
    timely_path                    of those on which it is there in time, the one of fewest links

All of them meet no other traffic. Frames have a label between switches. For a message of one
packet a path's time is the sum over its links; the packets of a longer one follow each other
at the pace of the slowest link. So paths are searched by the slowest link that they may have.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
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
    least_cost_paths,
    path_sum,
    too_slow,
)
from testbed.slices.policy import Demand

MOST_PATHS = 200
"""Of one slowest link, paths that are tried for a message of several packets."""


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
            inner = all(graph.nodes[end]["role"] == "switch" for end in link)
            known[link] = edge["delay_ns"] + sender(edge).sent_ns(size + LABEL_BYTES * inner)
        return known[link]

    return weight


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
    ready = [0] * len(sizes)
    for hop, transmitter in enumerate(senders):
        rate = transmitter.rate_bps
        if rate is None:
            continue
        more = label_bytes(hop, nodes, label)
        free = 0  # when it has sent all before, in ns times its rate
        for number, size in enumerate(sizes):
            free = max(free, ready[number] * rate) + transmitter.wire_bits(size + more) * S
            ready[number] = -(-free // rate)
    return ready[-1]


def message_ns(graph: nx.DiGraph, nodes: Nodes, sizes: Sequence[int]) -> int:
    """What a message takes over a path: one-way, from its first bit to its last."""
    edges = [graph.edges[hop] for hop in pairwise(nodes)]
    senders = [sender(edge) for edge in edges]
    delay_ns = sum(int(edge["delay_ns"]) for edge in edges)
    return delay_ns + serialisation_ns(senders, nodes, sizes)


def fastest_path(graph: nx.DiGraph, demand: Demand) -> Nodes:
    """The path on which the demand's message is there first.

    Of equal times the path with fewer hops wins, then node names. Exact for up to
    MOST_PATHS candidates of each slowest link. Raises PlanError when there is no path.
    """
    src, dst, sizes = demand.src, demand.dst, message_bytes(demand)
    if len(sizes) == 1:
        return least_cost_path(graph, src, dst, sending(graph, sizes[0]))
    least_cost_path(graph, src, dst)  # raises if there is none
    weight = sending(graph, sizes[-1])
    best: tuple[int, int, Nodes] | None = None
    heap: list[tuple[int, int, Nodes]] = []
    more: list[Iterator[tuple[int, Nodes]]] = []
    for some, ahead_ns in _by_slowest(graph, sizes[:-1]):
        more.append(_at_least(some, demand, weight, ahead_ns))
        _push(heap, more, len(more) - 1)
    tried = [0] * len(more)
    while heap:
        at_least, number, nodes = heapq.heappop(heap)
        if best is not None and at_least > best[0]:
            break
        found = (message_ns(graph, nodes, sizes), len(nodes), nodes)
        best = found if best is None else min(best, found)
        tried[number] += 1
        if tried[number] < MOST_PATHS:
            _push(heap, more, number)
    assert best is not None
    return best[2]


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


def _at_least(
    graph: nx.DiGraph, demand: Demand, weight: Weight, ahead_ns: int
) -> Iterator[tuple[int, Nodes]]:
    """Paths by what a message takes at least on them."""
    for nodes in least_cost_paths(graph, demand.src, demand.dst, weight):
        yield path_sum(graph, nodes, weight) + ahead_ns, nodes


def _push(
    heap: list[tuple[int, int, Nodes]], more: Sequence[Iterator[tuple[int, Nodes]]], number: int
) -> None:
    following = next(more[number], None)
    if following is not None:
        heapq.heappush(heap, (following[0], number, following[1]))
