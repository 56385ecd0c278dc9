"""What the plan says of promises that its policy does not keep."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.plan.compile import compile_plan
from testbed.plan.unkept import unkept
from testbed.scenario.model import Slice
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
