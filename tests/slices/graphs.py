"""Small graphs and every path in them: what the path algorithms are held against."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, pairwise

import networkx as nx

Nodes = tuple[str, ...]


def atlas(most_nodes: int, least_nodes: int = 2) -> Iterator[nx.DiGraph]:
    """All connected graphs of so many nodes (Read and Wilson's atlas), both ways, with
    random whole costs and delays that make ties likely. The same every time."""
    for number, graph in enumerate(nx.graph_atlas_g()):
        if least_nodes <= len(graph) <= most_nodes and nx.is_connected(graph):
            yield weighted(graph, seed=number)


def weighted(graph: nx.Graph, seed: int) -> nx.DiGraph:
    rng = random.Random(seed)
    both = nx.DiGraph(name=f"atlas {seed}")
    both.add_nodes_from(f"n{node}" for node in graph)
    for u, v in graph.edges:
        for a, b in ((u, v), (v, u)):
            both.add_edge(f"n{a}", f"n{b}", cost=rng.randint(0, 6), delay_ns=rng.randint(0, 6))
    return both


def total(graph: nx.DiGraph, nodes: Nodes, weight: str) -> int:
    return sum(graph.edges[hop][weight] for hop in pairwise(nodes))


def every_path(graph: nx.DiGraph, src: str, dst: str) -> list[Nodes]:
    return [tuple(nodes) for nodes in nx.all_simple_paths(graph, src, dst)]


def disjoint(one: Nodes, other: Nodes, avoid: str, shared: frozenset[str] = frozenset()) -> bool:
    """Whether two paths share no link, whichever way, or no inner node; but `shared` nodes,
    and links at them."""
    if avoid == "node" and (set(one[1:-1]) & set(other[1:-1])) - shared:
        return False
    links = [{frozenset(hop) for hop in pairwise(path)} for path in (one, other)]
    ends = {one[0], one[-1]}
    both = {link for link in links[0] & links[1] if not (link & shared and link & ends)}
    return not both


def stubs(graph: nx.DiGraph, src: str, dst: str) -> frozenset[str]:
    """The only neighbours of ends that have one, and not each other."""
    return frozenset(
        peer
        for end, other in ((src, dst), (dst, src))
        if len(graph[end]) == 1
        for peer in graph[end]
        if peer != other
    )


def least_pair(
    graph: nx.DiGraph, src: str, dst: str, avoid: str, bound_ns: int | None = None
) -> int | None:
    """The least cost of two disjoint paths together, by trying all; None if there are none."""
    shared = stubs(graph, src, dst)
    paths = every_path(graph, src, dst)
    if bound_ns is not None:
        paths = [nodes for nodes in paths if total(graph, nodes, "delay_ns") <= bound_ns]
    costs = [
        total(graph, one, "cost") + total(graph, other, "cost")
        for one, other in combinations(paths, 2)
        if disjoint(one, other, avoid, shared)
    ]
    return min(costs, default=None)
