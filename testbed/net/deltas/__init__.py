"""What each kind of change makes of a state: one file a kind.

link.py        cuts, silence, mending
node.py        nodes without links, slow ones, restarted ones
controller.py  the controller ends, or starts again
order.py       what is asked of the northbound service, which changes nothing by itself
install.py     what its answer does: an order's rules and queues, step by step
reroute.py     a path is put on another of its ways

A kind that experiments ask for has its data in testbed/scenario/events/, others have it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from testbed.scenario.delta import Delta, kinds

_MADE = kinds(__name__, __path__)

if TYPE_CHECKING:
    AnyDelta = Delta
else:
    from testbed.scenario.events import Event

    AnyDelta = Union[(Event, *_MADE)]
