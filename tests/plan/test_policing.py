"""Policers stand where a slice with a maximum rate enters the network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.net.walk import walk_failures
from testbed.plan.model import Plan
from testbed.port.policers import Policer
from testbed.scenario.model import Background, Protection, Slice
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Policy
from tests.plan.networks import GOLD, MBIT, SILVER, compiled, probe, scenario

CAPPED = msgspec.structs.replace(GOLD, maximum_bps=15 * MBIT)


def asked(*slices: Slice, burst_bytes: int | None = 16_000, **changes: Any) -> Scenario:
    one = scenario(slices=slices, probes=(probe("a"), probe("b", slice="silver")))
    return msgspec.structs.replace(one, policing_burst_bytes=burst_bytes, **changes)


def policed(plan: Plan) -> dict[tuple[str, str], tuple[Policer, ...]]:
    return {(p.node, p.peer_node): p.policers for p in plan.ports if p.policers}


def test_at_the_first_port_of_each_direction() -> None:
    plan = compiled(LowestDelay(), asked(CAPPED, SILVER))
    bucket = Policer(queue=1, name="gold", rate_bps=15 * MBIT, burst_bytes=16_000)
    assert policed(plan) == {("s1", "s3"): (bucket,), ("s2", "s3"): (bucket,)}


def test_nobody_is_policed_unless_asked_for_or_without_a_maximum() -> None:
    assert not policed(compiled(LowestDelay(), asked(CAPPED, SILVER, burst_bytes=None)))
    assert not policed(compiled(LowestDelay(), asked(GOLD, SILVER)))


def test_in_a_fifo_packets_still_name_their_slice_where_they_enter() -> None:
    plan = compiled(LowestDelay(), asked(CAPPED, SILVER, scheduler="fifo"))
    port = plan.port("s1", "s3")
    assert not port.queues
    assert [policer.name for policer in port.policers] == ["gold"]
    selecting = {
        rule.switch for rule in plan.rules if any("set_queue" in action for action in rule.actions)
    }
    assert selecting == {"s1", "s2"}
    assert walk_failures(plan) > 0


def test_slices_of_one_queue_share_a_bucket() -> None:
    class Shared(LowestDelay):
        """A queue for all."""

        def queue_of(self, slice_: Slice) -> str:
            return "premium"

    both = compiled(Shared(), asked(CAPPED, msgspec.structs.replace(SILVER, maximum_bps=20 * MBIT)))
    (bucket,) = both.port("s1", "s3").policers
    assert (bucket.name, bucket.rate_bps) == ("premium", 35 * MBIT)
    assert not policed(compiled(Shared(), asked(CAPPED, SILVER)))  # silver may send all


@pytest.mark.parametrize(
    ("protection", "entrances"),
    [
        # fast failover turns round at s3 too, which is no entrance
        ("fast_failover", {("s1", "s3"), ("s1", "s2"), ("s2", "s3"), ("s2", "s1")}),
        ("reactive", {("s1", "s3"), ("s1", "s2"), ("s2", "s3"), ("s2", "s1")}),
        ("frer", {("s1", "s3"), ("s1", "s2"), ("s2", "s3"), ("s2", "s1")}),
    ],
)
def test_backups_are_entrances_too(protection: Protection, entrances: set[tuple[str, str]]) -> None:
    safe = msgspec.structs.replace(CAPPED, protection=protection)
    plan = compiled(LowestDelay(), asked(safe, SILVER))
    shaped = {(p.node, p.peer_node) for p in plan.ports}
    assert set(policed(plan)) == entrances & shaped
    assert walk_failures(plan) > 0


@pytest.mark.parametrize(
    ("policy", "given", "says"),
    [
        (ShortestPath(), asked(CAPPED, SILVER), "slice gold has no queue of its own|queue_of()"),
        (LowestDelay(), asked(CAPPED, SILVER, burst_bytes=1000), "1000 bytes|at least 1542"),
        (
            LowestDelay(),
            asked(
                CAPPED,
                SILVER,
                backgrounds=(
                    Background(
                        id="b",
                        src="h1",
                        dst="h2",
                        slice="gold",
                        rate_bps=16 * MBIT,
                        duration_ns=10**9,
                    ),
                ),
            ),
            "background of 16 Mbit/s|background b, slice gold|15 Mbit/s|flow()",
        ),
    ],
)
def test_refused(policy: Policy, given: Scenario, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        compiled(policy, given)
    for part in says.split("|"):
        assert part in str(caught.value)
