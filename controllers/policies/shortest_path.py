"""The baseline slices are compared with: multi-hop best effort."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.slices.paths import least_cost_path
from testbed.slices.policy import Demand, Policy


class ShortestPath(Policy):
    """Fewest hops, all slices in one shared FIFO."""

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        return least_cost_path(graph, demand.src, demand.dst)
