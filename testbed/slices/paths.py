"""Paths that are the same on every machine and in every run.

    least_cost_path    Dijkstra
    least_cost_paths   one after the other, the cheapest first (Yen)
    constrained_path   least cost within a one-way delay: exact, Pareto labels
    least_sums         from every node to one

All order paths in full: by cost (or what they minimise), then hops, then node names.
Costs and delays are whole numbers, so that sums are exact and ties are ties. A weight is
the name of an edge attribute, or a function of the two nodes and the attributes of the edge
between them (costs.py has some); None counts hops.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

import networkx as nx

from testbed.errors import PlanError
from testbed.units import show_ns

Nodes = tuple[str, ...]
Ranked = tuple[int, int, Nodes]
"""Cost, hops, node names."""
_Measure = Callable[[str, str, Mapping[str, Any]], int]
Weight = str | _Measure | None


def least_cost_path(graph: nx.DiGraph, src: str, dst: str, weight: Weight = None) -> Nodes:
    """The path with the least sum of `weight`; hop count without one.

    Of equal sums the path with fewer hops wins, then the one whose node names sort
    first. networkx would break ties by insertion order, and listing all its ties can be
    exponential.

    Raises PlanError when there is no path.
    """
    found = _search(graph, (src,), dst, measure_of(weight))
    if found is None:
        raise no_path(graph, src, dst)
    return found[2]


def least_cost_paths(
    graph: nx.DiGraph, src: str, dst: str, weight: Weight = None
) -> Iterator[Nodes]:
    """Every path without a loop, the cheapest first (Yen, Management Science 17, 1971).

    Take as many as needed; nothing comes if there is no path.
    """
    measure = measure_of(weight)
    first = _search(graph, (src,), dst, measure)
    heap = [] if first is None else [first]
    known = {ranked[2] for ranked in heap}
    given: list[Nodes] = []
    while heap:
        _, _, nodes = heapq.heappop(heap)
        yield nodes
        given.append(nodes)
        for at in range(1, len(nodes)):
            root = nodes[:at]
            taken = {other[at] for other in given if other[:at] == root}
            spur = _search(graph, root, dst, measure, taken)
            if spur is not None and spur[2] not in known:
                known.add(spur[2])
                heapq.heappush(heap, spur)


def constrained_path(
    graph: nx.DiGraph,
    src: str,
    dst: str,
    bound_ns: int,
    *,
    cost: Weight = None,
    delay: Weight = "delay_ns",
) -> Nodes:
    """The path of least cost whose one-way delay is at most `bound_ns`. Exact.

    Of equal costs the one with less delay wins, then fewer hops, then names. Labels
    (Aneja, Aggarwal and Nair 1983) are taken by cost, so that a label is dominated if
    its node had one of no more delay before. Labels that cannot reach `dst` in time are
    not made. The problem is NP-hard: costs of many digits can take long; hops cannot.

    Raises PlanError when there is none; it tells the least delay there is.
    """
    price, lag = measure_of(cost), measure_of(delay)
    left = least_sums(graph, dst, delay)
    if src not in left:
        raise no_path(graph, src, dst)
    if left[src] > bound_ns:
        raise too_slow(graph, src, dst, bound_ns, left[src])
    heap: list[tuple[int, int, int, Nodes]] = [(0, 0, 0, (src,))]
    fastest: dict[str, int] = {}
    while heap:
        paid, spent, hops, nodes = heapq.heappop(heap)
        node = nodes[-1]
        if node == dst:
            return nodes
        if spent >= fastest.get(node, spent + 1):
            continue
        fastest[node] = spent
        for peer, edge in graph[node].items():
            then = spent + lag(node, peer, edge)
            if peer in left and then + left[peer] <= bound_ns:
                more = price(node, peer, edge)
                heapq.heappush(heap, (paid + more, then, hops + 1, (*nodes, peer)))
    raise AssertionError("the fastest path is within the bound")


def path_sum(graph: nx.DiGraph, nodes: Nodes, weight: Weight) -> int:
    """The sum of a weight along a path; hops without one."""
    measure = measure_of(weight)
    return sum(measure(*hop, graph.edges[hop]) for hop in pairwise(nodes))


def measure_of(weight: Weight) -> _Measure:
    """The weight as a function of an edge."""
    if callable(weight):
        return weight

    def value(tail: str, head: str, edge: Mapping[str, Any]) -> int:
        return 1 if weight is None else int(edge[weight])

    return value


def _search(
    graph: nx.DiGraph,
    root: Nodes,
    dst: str,
    measure: _Measure,
    taken: Collection[str] = (),
) -> Ranked | None:
    """The best path that begins with `root` and goes on to none of `taken`.

    Dijkstra (1959) over (cost, hops, names): appending a link keeps that order, so the
    first time a node is taken from the heap its path is the best one.
    """
    cost = sum(measure(*hop, graph.edges[hop]) for hop in pairwise(root))
    heap: list[Ranked] = [(cost, len(root) - 1, root)]
    done = set(root[:-1])
    while heap:
        cost, hops, nodes = heapq.heappop(heap)
        node = nodes[-1]
        if node == dst:
            return cost, hops, nodes
        if node in done:
            continue
        done.add(node)
        for peer, edge in graph[node].items():
            if peer not in done and not (peer in taken and len(nodes) == len(root)):
                heapq.heappush(heap, (cost + measure(node, peer, edge), hops + 1, (*nodes, peer)))
    return None


def least_sums(graph: nx.DiGraph, dst: str, weight: Weight) -> dict[str, int]:
    """From every node that can reach `dst`, the least sum of a weight to it."""
    measure = measure_of(weight)
    least: dict[str, int] = {}
    heap = [(0, dst)]
    while heap:
        cost, node = heapq.heappop(heap)
        if node in least:
            continue
        least[node] = cost
        for peer, edge in graph.pred[node].items():
            if peer not in least:
                heapq.heappush(heap, (cost + measure(peer, node, edge), peer))
    return least


def no_path(graph: nx.DiGraph, src: str, dst: str) -> PlanError:
    """That nothing leads from node to node."""
    return PlanError(f"there is no path from {src} to {dst}", where=f"topology {graph.name!r}")


def too_slow(graph: nx.DiGraph, src: str, dst: str, bound_ns: int, least_ns: int) -> PlanError:
    """That even the fastest path, which takes `least_ns`, is later than `bound_ns`."""
    return PlanError(
        f"no path from {src} to {dst} takes {show_ns(bound_ns)} or less",
        where=f"topology {graph.name!r}",
        expected=f"{show_ns(least_ns)} or more, one-way: the fastest path's delay",
    )
