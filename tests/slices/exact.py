"""Path algorithms against every path of a graph, between all pairs of its nodes."""

from __future__ import annotations

from itertools import islice, permutations

import networkx as nx
import pytest

from testbed.errors import PlanError
from testbed.slices.disjoint import Avoid, disjoint_pair
from testbed.slices.paths import constrained_path, least_cost_paths
from tests.slices.graphs import disjoint, every_path, least_pair, stubs, total

MOST_PATHS = 100


def check_ranked(graph: nx.DiGraph) -> int:
    """least_cost_paths gives them all, in order. Returns how many."""
    found = 0
    for src, dst in permutations(graph, 2):
        every = every_path(graph, src, dst)
        ranked = sorted((total(graph, path, "cost"), len(path), path) for path in every)
        given = list(islice(least_cost_paths(graph, src, dst, "cost"), MOST_PATHS))
        assert given == [row[2] for row in ranked[:MOST_PATHS]]
        found += len(given)
    return found


def check_within(graph: nx.DiGraph) -> int:
    """constrained_path is exact, with bounds from too tight to loose. Returns how many."""
    found = 0
    for src, dst in permutations(graph, 2):
        ranked = sorted(
            (total(graph, p, "cost"), total(graph, p, "delay_ns"), len(p), p)
            for p in every_path(graph, src, dst)
        )
        least = min(row[1] for row in ranked)
        for bound in (least, least + 2, least + 5):
            best = next(row for row in ranked if row[1] <= bound)
            assert constrained_path(graph, src, dst, bound, cost="cost") == best[3]
            found += 1
        with pytest.raises(PlanError, match="or less"):
            constrained_path(graph, src, dst, least - 1, cost="cost")
    return found


def check_pairs(graph: nx.DiGraph, avoid: Avoid) -> tuple[int, int]:
    """disjoint_pair has the least sum, or refuses where there is none. Returns how often."""
    found = refused = 0
    for src, dst in permutations(graph, 2):
        best = least_pair(graph, src, dst, avoid)
        if best is None:
            with pytest.raises(PlanError, match="no two disjoint paths"):
                disjoint_pair(graph, src, dst, avoid=avoid, weight="cost")
            refused += 1
            continue
        pair = disjoint_pair(graph, src, dst, avoid=avoid, weight="cost")
        costs = [total(graph, path, "cost") for path in pair[:2]]
        assert sum(costs) == pair.cost == best
        assert costs == sorted(costs)
        assert disjoint(pair.primary, pair.backup, avoid, stubs(graph, src, dst))
        for path in pair[:2]:
            assert nx.is_simple_path(graph, path)
            assert (path[0], path[-1]) == (src, dst)
        found += 1
    return found, refused
