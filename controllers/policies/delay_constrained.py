"""As few links as the promised delay allows."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.scenario.model import Slice
from testbed.slices.costs import timely_path
from testbed.slices.paths import least_cost_path
from testbed.slices.policy import Demand, Policy


class DelayConstrained(Policy):
    """Fewest hops within the promised one-way delay, a queue for each slice."""

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        if demand.delay_ns is None:
            return least_cost_path(graph, demand.src, demand.dst)
        return timely_path(graph, demand, demand.delay_ns)

    def queue_of(self, slice_: Slice) -> str:
        return slice_.id
