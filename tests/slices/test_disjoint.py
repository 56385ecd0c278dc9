"""Disjoint pairs against every pair there is."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest

from testbed.errors import PlanError
from testbed.slices import disjoint as module
from testbed.slices.disjoint import Avoid, disjoint_pair
from tests.plan.networks import triangle
from tests.slices.exact import check_pairs
from tests.slices.graphs import atlas, disjoint, least_pair, stubs, total


@pytest.mark.thorough
@pytest.mark.parametrize("avoid", ["link", "node"])
def test_least_sum_on_all_small_graphs(avoid: Avoid) -> None:
    counts = [check_pairs(graph, avoid) for graph in atlas(6)]
    found, refused = map(sum, zip(*counts, strict=True))
    assert found > 3000
    assert refused > 500


@pytest.mark.parametrize("avoid", ["link", "node"])
def test_each_path_in_time_on_all_small_graphs(avoid: Avoid) -> None:
    later = 0
    for graph in atlas(5, least_nodes=4):
        src, dst = "n0", f"n{len(graph) - 1}"
        free = least_pair(graph, src, dst, avoid)
        if free is None:
            continue
        for bound in (3, 6, 9):
            best = least_pair(graph, src, dst, avoid, bound)
            if best is None:
                with pytest.raises(PlanError, match="or less"):
                    disjoint_pair(graph, src, dst, avoid=avoid, weight="cost", bound_ns=bound)
                continue
            pair = disjoint_pair(graph, src, dst, avoid=avoid, weight="cost", bound_ns=bound)
            assert pair.proved
            assert pair.cost == best
            assert disjoint(pair.primary, pair.backup, avoid, stubs(graph, src, dst))
            assert max(total(graph, path, "delay_ns") for path in pair[:2]) <= bound
            later += best > free
    assert later > 5  # the bound made a difference


def test_the_trap() -> None:
    """The cheapest path takes both ways' links, so that nothing is left beside it."""
    graph = nx.DiGraph(name="trap")
    for a, b, cost in (
        ("s", "a", 1),
        ("a", "b", 1),
        ("b", "t", 1),
        ("s", "b", 5),
        ("a", "t", 5),
    ):
        graph.add_edge(a, b, cost=cost)
        graph.add_edge(b, a, cost=cost)
    pair = disjoint_pair(graph, "s", "t", weight="cost")
    assert pair[:3] == (("s", "a", "t"), ("s", "b", "t"), 12)


def test_hosts_share_their_only_link() -> None:
    pair = disjoint_pair(triangle().graph(), "h1", "h2", weight="delay_ns")
    assert pair.primary == ("h1", "s1", "s3", "s2", "h2")
    assert pair.backup == ("h1", "s1", "s2", "h2")


def test_an_order_of_insertion_changes_nothing() -> None:
    ties = nx.DiGraph(name="ties")
    hops = [hop for mid in "qwertz" for hop in pairwise(("a", mid, "b"))]
    ties.add_edges_from(hops)
    other = nx.DiGraph(name="ties")
    other.add_edges_from(reversed(hops))
    assert disjoint_pair(ties, "a", "b") == disjoint_pair(other, "a", "b")
    assert disjoint_pair(ties, "a", "b").primary == ("a", "e", "b")


def test_what_every_path_crosses_is_named() -> None:
    bow = nx.Graph(["ab", "az", "zb", "bc", "by", "yc"]).to_directed()
    with pytest.raises(PlanError) as caught:
        disjoint_pair(bow, "a", "c")
    assert caught.value.where == "every path from a to c crosses node b"
    assert disjoint_pair(bow, "a", "c", avoid="link").cost == 6

    bridge = nx.Graph(["ab", "ac", "bc", "cd", "de", "df", "ef"]).to_directed()
    with pytest.raises(PlanError) as caught:
        disjoint_pair(bridge, "a", "f", avoid="link")
    assert caught.value.where == "every path from a to f crosses link c-d"


def test_both_hosts_on_one_switch() -> None:
    with pytest.raises(PlanError) as caught:
        disjoint_pair(triangle().graph(), "h1", "h3")
    assert caught.value.where == "h1 and h3 are on one switch, s1"


def test_a_search_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nx.DiGraph(name="cut short")
    for mid, (cost, delay) in {"p": (1, 9), "q": (2, 5), "r": (6, 1), "t": (7, 1)}.items():
        nx.add_path(graph, ("a", mid, "b"), cost=cost, delay_ns=delay)
    whole = disjoint_pair(graph, "a", "b", weight="cost", bound_ns=10)
    assert (whole.cost, whole.proved) == (2 * 2 + 2 * 6, True)
    monkeypatch.setattr(module, "MOST_PRIMARIES", 2)
    assert disjoint_pair(graph, "a", "b", weight="cost", bound_ns=10).proved is False
    monkeypatch.setattr(module, "MOST_PRIMARIES", 1)
    with pytest.raises(PlanError, match="among the 1 cheapest"):
        disjoint_pair(graph, "a", "b", weight="cost", bound_ns=10)
