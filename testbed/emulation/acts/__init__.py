"""How deltas are carried out that do more than change ports and links: one file a kind.

node.py        a switch starts again
controller.py  its process is killed, or started
order.py       the northbound service is asked

Of all others the network is made as the state after them says (emulation/become.py).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from testbed.scenario.delta import Delta

if TYPE_CHECKING:
    from testbed.emulation.control import Controller
    from testbed.emulation.network import LabNet
    from testbed.scenario.events.order import OrderEvent


class Orders(Protocol):
    """The northbound service of a lab."""

    def carry(self, event: OrderEvent, /) -> dict[str, Any]: ...


class Lab(NamedTuple):
    """What there is to act on."""

    net: LabNet
    control: Controller
    north: Orders | None


Told = dict[str, Any] | None
"""What there is to tell of a delta besides that it is carried out."""
Act = Callable[[Lab, Any], Told]
ACTS: dict[type[Delta], Act] = {}


def act(kind: type[Delta]) -> Callable[[Act], Act]:
    """Register how deltas of a kind are carried out, after the network's state is theirs."""

    def register(function: Act) -> Act:
        ACTS[kind] = function
        return function

    return register


def carry_out(lab: Lab, delta: Delta) -> Told:
    """Have a delta happen, now. Raises EmulationError, and InputError for what cannot be."""
    lab.net.apply(delta)
    further = ACTS.get(type(delta))
    return further(lab, delta) if further else None


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
