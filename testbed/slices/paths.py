"""Least-cost paths that are the same on every machine and in every run."""

from __future__ import annotations

import heapq

import networkx as nx

from testbed.errors import PlanError


def least_cost_path(
    graph: nx.DiGraph, src: str, dst: str, weight: str | None = None
) -> tuple[str, ...]:
    """The path with the least sum of the edge attribute `weight`; hop count without one.

    Of equal sums the path with fewer hops wins, then the one whose node names sort
    first. Dijkstra (1959) over (cost, hops, names): appending a link keeps that order,
    so the first time a node is taken from the heap its path is the best one. networkx
    would break ties by insertion order, and listing all its ties can be exponential.

    Raises PlanError when there is no path.
    """
    heap: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, (src,))]
    done: set[str] = set()
    while heap:
        cost, hops, nodes = heapq.heappop(heap)
        node = nodes[-1]
        if node == dst:
            return nodes
        if node in done:
            continue
        done.add(node)
        for peer, edge in graph[node].items():
            if peer not in done:
                step = 1 if weight is None else edge[weight]
                heapq.heappush(heap, (cost + step, hops + 1, (*nodes, peer)))
    raise PlanError(f"there is no path from {src} to {dst}", where=f"topology {graph.name!r}")
