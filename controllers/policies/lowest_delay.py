"""One pinned path of least delay for each slice and direction."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.scenario.model import Slice
from testbed.slices.paths import least_cost_path
from testbed.slices.policy import Demand, Policy


class LowestDelay(Policy):
    """Least one-way delay, a queue for each slice, served by priority."""

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        return least_cost_path(graph, demand.src, demand.dst, weight="delay_ns")

    def queue_of(self, slice_: Slice) -> str:
        return slice_.id
