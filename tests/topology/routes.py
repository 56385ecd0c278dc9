"""Paths over a described network, for the tests."""

from __future__ import annotations

import networkx as nx

from testbed.topology.model import Network


def names(network: Network, role: str) -> list[str]:
    return [node.name for node in network.nodes if node.role == role]


def least_ns(network: Network, a: str, b: str) -> int:
    """The least one-way delay from a to b; other hosts carry no transit."""
    others = set(names(network, "host")) - {a, b}
    graph = network.graph()
    graph.remove_nodes_from(others)
    return int(nx.dijkstra_path_length(graph, a, b, weight="delay_ns"))


def fewest_hops_ns(network: Network, a: str, b: str) -> list[int]:
    """The one-way delays of all paths with the fewest hops."""
    graph = network.graph()
    graph.remove_nodes_from(set(names(network, "host")) - {a, b})
    paths = nx.all_shortest_paths(graph, a, b)
    return [int(nx.path_weight(graph, path, "delay_ns")) for path in paths]
