"""The shipped orders are planned like slices written in build()."""

from pathlib import Path
from typing import Any

import pytest

from testbed.plan.model import Plan
from testbed.prepare import network, plan_of
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.model import TopologyRef

ORDERS = Path(__file__).parents[2] / "experiments" / "orders"


def planned(topology: str, file: str, slice_: str, a: str, b: str) -> Plan:
    class Ordered(Experiment):
        """Is it planned?"""

        def build(self) -> None:
            self.topology(topology)
            self.orders(str(ORDERS / file))
            self.probe("telesurgery_haptic", a, b, slice=slice_, duration="2 s")

    def built(ref: TopologyRef) -> Any:
        return network(ref)[0]

    return plan_of(scenario_of("ordered", Ordered, {}, seed=1, network=built)).plan


@pytest.mark.parametrize(
    "order",
    [
        ("city", "city_ietf.json", "surgery", "ue1", "park"),
        ("city", "city_ietf.json", "vehicles", "ue2", "metro"),
        ("metro_mesh", "mesh_ietf.json", "markets", "h1", "h3"),
    ],
    ids=lambda order: str(order[2]),
)
def test_shipped_orders_are_planned(order: tuple[str, str, str, str, str]) -> None:
    plan = planned(*order)
    assert {session.slice for session in plan.sessions} == {order[2]}
