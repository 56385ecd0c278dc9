"""The northbound service is asked."""

from __future__ import annotations

from testbed.emulation.acts import Lab, Told, act
from testbed.scenario.events.order import OrderEvent


@act(OrderEvent)
def order(lab: Lab, delta: OrderEvent) -> Told:
    assert lab.north is not None
    return lab.north.carry(delta)
