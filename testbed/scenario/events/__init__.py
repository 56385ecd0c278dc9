"""What can happen during an experiment, for Experiment.at(): one file a kind.

    self.at("3 s", cut_fibre("x1", "x2"))

link.py        a link is cut, falls silent, is mended
node.py        a node loses its links or gets them back, forwards late, starts again
controller.py  the controller is killed, or started again
order.py       a slice is ordered, changed or ended

A file has a Delta with the data and its words, and functions that make one. What it makes
of the network is in the file of the same name in testbed/net/deltas/; how it is carried out
in testbed/emulation/acts/, if it does more than change ports and links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from testbed.scenario.delta import Delta, kinds
from testbed.scenario.events.controller import kill_controller, start_controller
from testbed.scenario.events.link import cut_fibre, mend_fibre, silence_fibre
from testbed.scenario.events.node import drop_node, restart_switch, revive_node, slow_node
from testbed.scenario.events.order import modify, order, withdraw

__all__ = [
    "Event",
    "cut_fibre",
    "drop_node",
    "kill_controller",
    "mend_fibre",
    "modify",
    "order",
    "restart_switch",
    "revive_node",
    "silence_fibre",
    "slow_node",
    "start_controller",
    "withdraw",
]

if TYPE_CHECKING:
    Event = Delta
else:
    Event = Union[kinds(__name__, __path__)]  # noqa: UP007 - as many as there are files
