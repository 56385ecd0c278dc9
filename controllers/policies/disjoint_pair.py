"""Two ways for each slice and direction, planned together."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.scenario.model import Slice
from testbed.slices.costs import fastest_path, largest_bytes, sending
from testbed.slices.disjoint import Avoid, Pair, disjoint_pair
from testbed.slices.policy import Demand, Policy


class DisjointPair(Policy):
    """The faster of two disjoint paths of least delay together; the other stands by.

    Disjoint by node, unless the slice asks for diversity by link.
    """

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        if set(graph[demand.src]) == set(graph[demand.dst]):  # on one switch
            return fastest_path(graph, demand)
        return self._pair(graph, demand).primary

    def backup(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        if set(graph[demand.src]) == set(graph[demand.dst]):
            return ()
        return self._pair(graph, demand).backup

    def _pair(self, graph: nx.DiGraph, demand: Demand) -> Pair:
        avoid: Avoid = "link" if demand.slice.diversity == "link" else "node"
        weight = sending(graph, largest_bytes(demand))
        return disjoint_pair(
            graph,
            demand.src,
            demand.dst,
            avoid=avoid,
            weight=weight,
            bound_ns=demand.delay_ns,
            delay=weight,
        )

    def queue_of(self, slice_: Slice) -> str:
        return slice_.id
