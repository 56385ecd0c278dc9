"""What a policy has without writing it."""

from __future__ import annotations

import networkx as nx
import pytest

from controllers.policies.delay_constrained import DelayConstrained
from controllers.policies.disjoint_pair import DisjointPair
from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.scenario.model import Slice
from testbed.slices.policy import Demand, Policy, Route
from tests.plan.networks import MS, triangle

GOLD = Slice(id="gold", sst=2)


def test_name_and_summary_come_from_the_class() -> None:
    assert (ShortestPath.name, LowestDelay.name) == ("shortest_path", "lowest_delay")
    assert LowestDelay.summary == "Least one-way delay, a queue for each slice, served by priority."


def test_only_lowest_delay_has_queues() -> None:
    assert ShortestPath().queue_of(GOLD) is None
    assert LowestDelay().queue_of(GOLD) == "gold"


def demand(delay_ns: int | None = None, dst: str = "h2", slice_: Slice = GOLD) -> Demand:
    return Demand(id="d", slice=slice_, src="h1", dst=dst, delay_ns=delay_ns)


def routes(policy: Policy, *demands: Demand) -> list[Route]:
    return policy.routes(nx.freeze(triangle().graph()), demands)


SHORT, FAST = ("h1", "s1", "s2", "h2"), ("h1", "s1", "s3", "s2", "h2")


def test_delay_constrained_takes_more_hops_only_where_it_must() -> None:
    asked = [demand(), demand(2 * MS), demand(MS)]
    assert [route.nodes for route in routes(DelayConstrained(), *asked)] == [SHORT, SHORT, FAST]


def test_disjoint_pair_has_the_slower_way_as_backup() -> None:
    aside = demand(dst="h3")
    assert routes(DisjointPair(), demand(), aside) == [
        Route(nodes=FAST, backup=SHORT),
        Route(nodes=("h1", "s1", "h3")),
    ]


@pytest.mark.parametrize("diversity", ["none", "link", "node"])
def test_disjoint_pair_keeps_both_within_the_promise(diversity: str) -> None:
    slice_ = Slice(id="gold", sst=2, diversity=diversity)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=r"paths from s1 to s2 take 1\.00 ms or less"):
        routes(DisjointPair(), demand(MS, slice_=slice_))
