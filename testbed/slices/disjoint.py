"""Two paths that no single failure cuts both of, with the least cost together.

    pair = disjoint_pair(graph, "h1", "h2", avoid="node", weight=sending(graph, 1514))
    pair.primary, pair.backup

The cheapest path first and then what is left can fail where a pair exists (the trap of
two crossing paths), and can cost more. Suurballe's algorithm (Networks 4, 1974; in the
form of Suurballe and Tarjan, Networks 14, 1984) finds the pair of least sum by two
Dijkstras: the second runs in the residual graph of the first. Node-disjoint paths are
link-disjoint ones where every node is split in two with one link between.

A host has one link, which any pair shares: paths are disjoint between the switches that
the two ends hang on. A link stands for both its directions, as a cut fibre does.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from itertools import islice, pairwise
from typing import Literal, NamedTuple

import networkx as nx

from testbed.errors import PlanError
from testbed.slices.paths import (
    Nodes,
    Weight,
    constrained_path,
    least_cost_path,
    least_cost_paths,
    measure_of,
    path_sum,
)
from testbed.units import show_ns

MOST_PRIMARIES = 1000
"""Of a pair with a delay bound: how many primaries are tried before the best is taken."""

_Side = tuple[str, int]
"""A node where packets enter (0) and leave (1)."""
_Arc = tuple[_Side, _Side]

Avoid = Literal["link", "node"]


class Pair(NamedTuple):
    """Two disjoint paths."""

    primary: Nodes
    """The cheaper one."""
    backup: Nodes
    cost: int
    """Of both together, the links that they must share counted twice."""
    proved: bool = True
    """No pair costs less."""


def disjoint_pair(
    graph: nx.DiGraph,
    src: str,
    dst: str,
    *,
    avoid: Avoid = "node",
    weight: Weight = None,
    bound_ns: int | None = None,
    delay: Weight = "delay_ns",
) -> Pair:
    """The two paths from `src` to `dst` of least cost together, disjoint by link or node.

    Args:
        weight: what is minimised (paths.py); None counts hops.
        bound_ns: the one-way delay of each path is at most this. That problem is NP-hard:
            primaries are tried by cost, each with the best backup left, until no other
            pair can cost less, or MOST_PRIMARIES have been tried (`proved` is False).

    Raises PlanError when there is none; it names a link or node that every path crosses.
    """
    head, start = _stub(graph, src, dst)
    tail, end = _stub(graph, dst, src)
    before, after = tuple(head), tuple(reversed(tail))
    if start == end:
        whole = least_cost_path(graph, src, dst, weight)
        raise _single(whole, f"{src} and {dst} are on one switch, {start}")
    fixed = path_sum(graph, (*before, start), weight) + path_sum(graph, (end, *after), weight)
    core = graph.copy()
    core.remove_nodes_from([*before, *after])
    found = _least_sum(core, start, end, avoid, weight)
    if bound_ns is not None:
        spent = path_sum(graph, (*before, start), delay) + path_sum(graph, (end, *after), delay)
        found = _in_time(core, found, avoid, weight, bound_ns, spent, delay)
    primary, backup = ((*before, *nodes, *after) for nodes in (found.primary, found.backup))
    return Pair(primary, backup, found.cost + 2 * fixed, found.proved)


def _stub(graph: nx.DiGraph, end: str, other: str) -> tuple[list[str], str]:
    """The nodes at `end` that have one link, and the first that has more."""
    passed: list[str] = []
    node = end
    if len(graph[node]) == 1:
        (peer,) = graph[node]
        if peer != other:
            passed, node = [node], peer
    return passed, node


def _least_sum(graph: nx.DiGraph, src: str, dst: str, avoid: Avoid, weight: Weight) -> Pair:
    arcs = _split(graph, src, dst, avoid, weight)
    source, sink = (src, 1), (dst, 0)
    distance, parent = _dijkstra(arcs, source)
    if sink not in distance:
        raise PlanError(f"there is no path from {src} to {dst}", where=f"topology {graph.name!r}")
    first = set(_trail(parent, source, sink))
    reduced: dict[_Side, dict[_Side, int]] = defaultdict(dict)
    for tail, heads in arcs.items():
        for head, cost in heads.items():
            if tail in distance and head in distance and (tail, head) not in first:
                reduced[tail][head] = cost + distance[tail] - distance[head]
    for tail, head in first:
        reduced[head][tail] = 0
    reached, parent = _dijkstra(reduced, source)
    if sink not in reached:
        raise _cut(graph, src, dst, reached, first)
    second = set(_trail(parent, source, sink))
    used = {arc for arc in first | second if arc[::-1] not in first | second}
    links = [(tail, head) for (tail, _), (head, _) in used if tail != head]
    union = graph.edge_subgraph(links)
    primary = least_cost_path(union, src, dst, weight)
    rest = dict(sorted(set(links) - set(pairwise(primary))))
    backup = [src]
    while backup[-1] != dst:
        backup.append(rest[backup[-1]])
    cost = sum(path_sum(graph, nodes, weight) for nodes in (primary, tuple(backup)))
    return Pair(primary, tuple(backup), cost)


def _split(
    graph: nx.DiGraph, src: str, dst: str, avoid: Avoid, weight: Weight
) -> dict[_Side, dict[_Side, int]]:
    """Arcs from leaving to entering sides. Hops break ties: each costs 1 of `scale`."""
    scale = 2 * len(graph) + 1
    measure = measure_of(weight)
    arcs: dict[_Side, dict[_Side, int]] = defaultdict(dict)

    def enters(name: str) -> _Side:
        return (name, 0) if (avoid == "node" and name != src) or name == dst else (name, 1)

    for tail, head, edge in graph.edges(data=True):
        if tail != dst and head != src:
            arcs[tail, 1][enters(head)] = measure(tail, head, edge) * scale + 1
    if avoid == "node":
        for name in graph:
            if name not in (src, dst):
                arcs[name, 0][name, 1] = 0
    return arcs


def _dijkstra(
    arcs: dict[_Side, dict[_Side, int]], source: _Side
) -> tuple[dict[_Side, int], dict[_Side, _Side]]:
    """Distances and predecessors; of equal ones the predecessor whose name is first."""
    distance: dict[_Side, int] = {}
    parent: dict[_Side, _Side] = {}
    heap = [(0, source, source)]
    while heap:
        cost, node, before = heapq.heappop(heap)
        if node in distance:
            continue
        distance[node], parent[node] = cost, before
        for head, step in arcs.get(node, {}).items():
            if head not in distance:
                heapq.heappush(heap, (cost + step, head, node))
    return distance, parent


def _trail(parent: dict[_Side, _Side], source: _Side, sink: _Side) -> list[_Arc]:
    arcs = []
    while sink != source:
        arcs.append((parent[sink], sink))
        sink = parent[sink]
    return arcs


def _in_time(
    graph: nx.DiGraph,
    least: Pair,
    avoid: Avoid,
    weight: Weight,
    bound_ns: int,
    spent_ns: int,
    delay: Weight,
) -> Pair:
    """The cheapest pair of which each path takes at most `bound_ns`, `spent_ns` outside."""
    left_ns = bound_ns - spent_ns

    def slower(pair: Pair) -> int:
        return max(path_sum(graph, nodes, delay) for nodes in (pair.primary, pair.backup))

    if slower(least) <= left_ns:
        return least
    src, dst = least.primary[0], least.primary[-1]
    best: Pair | None = None
    primaries = least_cost_paths(graph, src, dst, weight)
    for primary in islice(primaries, MOST_PRIMARIES):
        cost = path_sum(graph, primary, weight)
        if best is not None and 2 * cost >= best.cost:
            return best
        if path_sum(graph, primary, delay) > left_ns:
            continue
        try:
            backup = constrained_path(
                _without(graph, primary, avoid), src, dst, left_ns, cost=weight, delay=delay
            )
        except PlanError:
            continue
        total = cost + path_sum(graph, backup, weight)
        if best is None or total < best.cost:
            best = Pair(primary, backup, total)
    whole = next(primaries, None) is None
    if best is not None:
        return best._replace(proved=whole)
    fast = _least_sum(graph, src, dst, avoid, delay)
    raise PlanError(
        f"no two {avoid}-disjoint paths from {src} to {dst} take {show_ns(bound_ns)} or less"
        + ("" if whole else f" among the {MOST_PRIMARIES} cheapest primaries"),
        where=f"topology {graph.name!r}",
        expected=f"{show_ns(slower(fast) + spent_ns)}, as the pair of least delay together takes",
    )


def _without(graph: nx.DiGraph, path: Nodes, avoid: Avoid) -> nx.DiGraph:
    left = graph.copy()
    left.remove_edges_from([arc for hop in pairwise(path) for arc in (hop, hop[::-1])])
    if avoid == "node":
        left.remove_nodes_from(path[1:-1])
    return left


def _cut(
    graph: nx.DiGraph, src: str, dst: str, reached: dict[_Side, int], first: set[_Arc]
) -> PlanError:
    """What of the first path leads out of all that the residual graph reaches."""
    ((tail, _), (head, _)) = min(
        arc for arc in first if arc[0] in reached and arc[1] not in reached
    )
    what = f"node {tail}" if tail == head else f"link {tail}-{head}"
    return _single((src, dst), f"every path from {src} to {dst} crosses {what}")


def _single(path: Nodes, why: str) -> PlanError:
    return PlanError(
        f"there are no two disjoint paths from {path[0]} to {path[-1]}",
        where=why,
        expected="two ways that share no link",
        remedy="add a link round it, or order no diversity",
    )
