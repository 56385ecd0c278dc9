"""The difference of two states carried out on a network's links and ports.

Links that overlap in what is wrong with them come back one by one: the states say when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.net.state import State
from testbed.port.pipeline import Port

if TYPE_CHECKING:
    from testbed.emulation.network import LabNet


def become(net: LabNet, before: State, after: State) -> None:
    """Have ports delay and lose, and links carry, as another state says.

    Queues and what is in them stay as they are. Raises EmulationError.
    """
    was: dict[str, Port] = {}
    now: dict[str, Port] = {}
    for planned in before.ports:
        port = net.port(planned)
        was[port.name], now[port.name] = before.now(port), after.now(port)
    net.reshape(was, now)
    for up in (False, True):
        turned = [
            port
            for port in before.ports
            if after.up(port.node, port.peer_node) is up
            and before.up(port.node, port.peer_node) is not up
        ]
        net.carry(turned, up=up)
