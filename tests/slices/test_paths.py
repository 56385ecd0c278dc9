"""Paths against every path there is."""

from __future__ import annotations

from itertools import islice, pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from testbed.errors import PlanError
from testbed.slices.paths import constrained_path, larac, least_cost_path, least_cost_paths
from testbed.topology.model import Network
from tests.plan.networks import networks
from tests.slices.graphs import atlas, every_path, total


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


def test_within_a_delay_on_all_small_graphs() -> None:
    """All pairs of all connected graphs up to 5 nodes, bounds from too tight to loose."""
    gaps, cases = [], 0
    for graph in atlas(5):
        for src in graph:
            for dst in graph:
                if src == dst:
                    continue
                ranked = sorted(
                    (total(graph, p, "cost"), total(graph, p, "delay_ns"), len(p), p)
                    for p in every_path(graph, src, dst)
                )
                least = min(row[1] for row in ranked)
                for bound in (least, least + 2, least + 5):
                    best = next(row for row in ranked if row[1] <= bound)
                    found = constrained_path(graph, src, dst, bound, cost="cost")
                    assert found == best[3]
                    near = larac(graph, src, dst, bound, cost="cost")
                    assert total(graph, near.nodes, "delay_ns") <= bound
                    assert total(graph, near.nodes, "cost") == near.cost
                    assert near.lower_bound <= best[0] <= near.cost
                    gaps.append(near.cost - best[0])
                    cases += 1
                with pytest.raises(PlanError, match="or less"):
                    constrained_path(graph, src, dst, least - 1, cost="cost")
                with pytest.raises(PlanError, match="or less"):
                    larac(graph, src, dst, least - 1, cost="cost")
    assert cases > 1000
    assert 0 < sum(map(bool, gaps)) < cases / 4  # it is a heuristic, and a good one


def test_too_slow_tells_the_fastest() -> None:
    graph = nx.DiGraph([("a", "b", {"delay_ns": 1_500_000})], name="line")
    with pytest.raises(PlanError) as caught:
        constrained_path(graph, "a", "b", 1_000_000)
    assert caught.value.what == "no path from a to b takes 1.00 ms or less"
    assert caught.value.expected.startswith("1.50 ms")
