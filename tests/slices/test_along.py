"""Ports in a row: bounds near the best known ones, and no packet that a search finds over them."""

from __future__ import annotations

import pytest

from benchmarks.tandems import Net, low, low_ns, sink, sink_ns, tree, worst_ns
from testbed.slices.bounds import Bound, bounds


def bound_ns(net: Net) -> int:
    found = bounds(net.ports, net.flows)[net.flows[0].id]
    assert isinstance(found, Bound)
    return found.latency_ns


@pytest.mark.parametrize("count", [2, 5, 10])
def test_low_priority_pays_the_high_burst_once(count: int) -> None:
    net = low(count)
    assert bound_ns(net) <= 1.05 * low_ns(net)
    assert 0.9 * bound_ns(net) <= worst_ns(net, count, 40) <= bound_ns(net)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_a_tree_to_one_sink_pays_each_burst_once(count: int) -> None:
    net = sink(count)
    assert bound_ns(net) <= 1.05 * sink_ns(net)
    assert 0.5 * bound_ns(net) <= worst_ns(net, count, 10) <= bound_ns(net)


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_a_search_finds_no_packet_over_its_bound(seed: int) -> None:
    net = tree(seed)
    assert worst_ns(net, seed, 15) <= bound_ns(net)
