"""One pinned path of least delay for each slice and direction."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.scenario.model import Slice
from testbed.slices.costs import fastest_path
from testbed.slices.policy import Demand, Policy


class LowestDelay(Policy):
    """Least one-way delay, a queue for each slice, served by priority."""

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        return fastest_path(graph, demand)

    def queue_of(self, slice_: Slice) -> str:
        return slice_.id
