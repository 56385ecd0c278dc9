"""What the plan says of promises that its policy does not keep."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.plan.compile import compile_plan
from testbed.plan.unkept import unkept
from testbed.scenario.model import Construct, Group, Sdp, Slice
from testbed.slices.policy import Policy
from tests.plan.networks import MBIT, MS, app, probe, scenario, triangle


def told(policy: Policy, **terms: Any) -> list[str]:
    made = scenario(
        slices=(Slice(id="gold", sst=1, **terms),), probes=(probe("p", "h1", "h2", slice="gold"),)
    )
    return unkept(made, compile_plan(made, triangle(), policy, {"app": app()}))


def test_nothing_is_told_of_promises_that_can_be_kept() -> None:
    assert not told(LowestDelay(), delay_ns=MS, guaranteed_bps=MBIT)


@pytest.mark.parametrize("policy", [LowestDelay(), ShortestPath()])
def test_a_path_longer_than_the_promise(policy: Policy) -> None:
    there, back = told(policy, delay_ns=100_000)
    assert there.startswith("Slice gold is promised a delay of 100 us")
    assert ("from h1 to h2" in there, "from h2 to h1" in back) == (True, True)


def test_a_rate_without_a_queue() -> None:
    (line,) = told(ShortestPath(), guaranteed_bps=MBIT)
    assert line == "Slice gold is promised 1 Mbit/s, for which policy shortest_path has no queue."


def test_percentiles_and_groups_are_promises_too() -> None:
    (there, _) = told(LowestDelay(), delay_percentile=99.0, delay_percentile_ns=100_000)
    assert "a delay of 100 us" in there
    ends = (Sdp(id="a", node="h1"), Sdp(id="b", node="h2"))
    one_way = Group(id="g", constructs=(Construct(id="c", senders=("a",), receivers=("b",)),))
    (only,) = told(LowestDelay(), delay_ns=100_000, sdps=ends, groups=(one_way,))
    assert "from h1 to h2" in only


@pytest.mark.parametrize(
    ("terms", "what"),
    [
        ({"availability": 0.99999}, "availability of 0.99999, which no policy plans for"),
        ({"loss": 1e-5}, "loss of 1e-05, which no policy plans for"),
        ({"variation_ns": MS}, "variation of 1.00 ms, which no policy plans for"),
        ({"mtu_bytes": 9000}, "MTU of 9 kB, which is not kept: links carry frames of 1518 bytes"),
    ],
)
def test_terms_that_no_policy_plans_for(terms: dict[str, Any], what: str) -> None:
    for policy in (LowestDelay(), ShortestPath()):
        (line,) = told(policy, **terms)
        assert line.startswith(f"Slice gold is promised {what}")


def test_an_mtu_that_links_carry_needs_no_word() -> None:
    assert not told(LowestDelay(), mtu_bytes=1500)
