"""Paths against every path there is."""

from __future__ import annotations

from itertools import islice, pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from testbed.errors import PlanError
from testbed.slices.paths import constrained_path, least_cost_path, least_cost_paths
from testbed.topology.model import Network
from tests.plan.networks import networks
from tests.slices.exact import check_ranked, check_within
from tests.slices.graphs import atlas


@pytest.mark.parametrize("weight", ["delay_ns", None])
@settings(deadline=None)
@given(network=networks())
def test_no_path_is_better(network: Network, weight: str | None) -> None:
    graph = network.graph()

    def rank(path: list[str]) -> tuple[int, int, tuple[str, ...]]:
        cost = sum(graph.edges[hop][weight] if weight else 1 for hop in pairwise(path))
        return cost, len(path), tuple(path)

    src, dst = "h0", "h1"
    ranked = sorted(nx.all_simple_paths(graph, src, dst), key=rank)
    assert least_cost_path(graph, src, dst, weight) == tuple(ranked[0])
    found = list(islice(least_cost_paths(graph, src, dst, weight), 20))
    assert found == [tuple(path) for path in ranked[:20]]


def test_ties_go_by_hops_then_names() -> None:
    graph = nx.DiGraph(name="ties")
    for path in (("a", "z", "d"), ("a", "c", "d"), ("a", "b", "e", "d")):
        for hop in pairwise(path):
            graph.add_edge(*hop, delay_ns=0)
    assert least_cost_path(graph, "a", "d", "delay_ns") == ("a", "c", "d")
    assert list(least_cost_paths(graph, "a", "d", "delay_ns"))[1:] == [
        ("a", "z", "d"),
        ("a", "b", "e", "d"),
    ]


def test_no_path_is_an_error() -> None:
    graph = nx.DiGraph([("a", "b")], name="one way")
    with pytest.raises(PlanError, match="no path from b to a"):
        least_cost_path(graph, "b", "a")
    with pytest.raises(PlanError, match="no path from b to a"):
        constrained_path(graph, "b", "a", 10)
    assert list(least_cost_paths(graph, "b", "a")) == []


def test_all_paths_in_order_on_all_small_graphs() -> None:
    assert sum(map(check_ranked, atlas(6))) > 10_000


def test_within_a_delay_on_all_small_graphs() -> None:
    assert sum(map(check_within, atlas(6))) > 10_000


def test_too_slow_tells_the_fastest() -> None:
    graph = nx.DiGraph([("a", "b", {"delay_ns": 1_500_000})], name="line")
    with pytest.raises(PlanError) as caught:
        constrained_path(graph, "a", "b", 1_000_000)
    assert caught.value.what == "no path from a to b takes 1.00 ms or less"
    assert caught.value.expected.startswith("1.50 ms")
