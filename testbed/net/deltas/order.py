"""What is asked of the northbound service."""

from __future__ import annotations

from testbed.net.state import State, effect
from testbed.scenario.events.order import OrderEvent
from testbed.scenario.orders.write import to_ietf


@effect(OrderEvent)
def order(state: State, delta: OrderEvent) -> State:
    """A question changes nothing: the answer does (install.py). Raises InputError for one
    that cannot be put."""
    if delta.slice is not None:
        to_ietf([delta.slice])
    return state
