"""What happens to links and nodes at set times: a network is told, and undoes it later.

What was done is remembered by link and node, so that what overlaps is undone one by
one: a link is up when neither it nor one of its nodes is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from testbed.emulation import links
from testbed.errors import EmulationError
from testbed.port.pipeline import Port
from testbed.scenario.model import ControllerEvent, Event, LinkEvent, NodeEvent, OrderEvent

if TYPE_CHECKING:
    from testbed.emulation.network import LabNet

Link = frozenset[str]


class Disturbances:
    """What is wrong with a network at the moment."""

    def __init__(self, net: LabNet) -> None:
        self._net = net
        self._cut: set[Link] = set()
        self._silent: set[Link] = set()
        self._dropped: set[str] = set()
        self._slow: dict[str, int] = {}

    def apply(self, event: Event) -> None:
        """Carry out an event of the network. Raises EmulationError."""
        if isinstance(event, ControllerEvent | OrderEvent):
            raise EmulationError(f"{event.text} is no event of the network")
        if isinstance(event, LinkEvent):
            self._link(event)
        else:
            self._node(event)

    def _link(self, event: LinkEvent) -> None:
        ends = links.between(self._net.plan.ports, event.a, event.b)
        link = frozenset((event.a, event.b))
        before = self._now(ends)
        for state, action in ((self._cut, "cut"), (self._silent, "silence")):
            if event.action == action:
                state.add(link)
            elif event.action == "mend":
                state.discard(link)
        self._net.reshape(before, self._now(ends))
        self._net.carry(ends, up=self._up(link))

    def _node(self, event: NodeEvent) -> None:
        ports = [port for port in self._net.plan.ports if port.node == event.node]
        if event.action == "restart":
            self._net.restart(event.node)
        elif event.action == "slow":
            before = self._now(ports)
            self._slow[event.node] = event.extra_ns
            self._net.reshape(before, self._now(ports))
        else:
            (self._dropped.add if event.action == "drop" else self._dropped.discard)(event.node)
            for port in ports:
                ends = links.between(self._net.plan.ports, port.node, port.peer_node)
                self._net.carry(ends, up=self._up(frozenset((port.node, port.peer_node))))

    def _up(self, link: Link) -> bool:
        return link not in self._cut and not link & self._dropped

    def _now(self, ports: Iterable[Port]) -> Mapping[str, Port]:
        """Ports by name as they are, or should be."""
        return {port.name: self._port(self._net.port(port)) for port in ports}

    def _port(self, port: Port) -> Port:
        extra_ns = self._slow.get(port.node, 0)
        silent = frozenset((port.node, port.peer_node)) in self._silent
        channel = port.channel
        return port.having(
            msgspec.structs.replace(
                channel,
                device_ns=channel.device_ns + extra_ns,
                loss=1.0 if silent else channel.loss,
            )
        )
