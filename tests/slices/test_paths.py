"""least_cost_path against every path there is."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from testbed.errors import PlanError
from testbed.slices.paths import least_cost_path
from testbed.topology.model import Network
from tests.plan.networks import networks


@pytest.mark.parametrize("weight", ["delay_ns", None])
@settings(deadline=None)
@given(network=networks())
def test_no_path_is_better(network: Network, weight: str | None) -> None:
    graph = network.graph()

    def rank(path: list[str]) -> tuple[int, int, tuple[str, ...]]:
        cost = sum(graph.edges[hop][weight] if weight else 1 for hop in pairwise(path))
        return cost, len(path), tuple(path)

    src, dst = "h0", "h1"
    best = min(nx.all_simple_paths(graph, src, dst), key=rank)
    assert least_cost_path(graph, src, dst, weight) == tuple(best)


def test_ties_go_by_hops_then_names() -> None:
    graph = nx.DiGraph(name="ties")
    for path in (("a", "z", "d"), ("a", "c", "d"), ("a", "b", "e", "d")):
        for hop in pairwise(path):
            graph.add_edge(*hop, delay_ns=0)
    assert least_cost_path(graph, "a", "d", "delay_ns") == ("a", "c", "d")


def test_no_path_is_an_error() -> None:
    graph = nx.DiGraph([("a", "b")], name="one way")
    with pytest.raises(PlanError, match="no path from b to a"):
        least_cost_path(graph, "b", "a")
