"""All switches of a state with their rules, and where a packet goes through them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.net.openflow import IN_PORT, Fields, Packet, PacketError, Sent, Switch
from testbed.net.state import Pair, State
from testbed.net.tables import Group, Key, Rule
from testbed.port.pipeline import Port

DOWN = "left by a port that is down"
SILENT = "left by a link that loses all"
MOST_COPIES = 64
"""Of one packet; more is taken for a storm."""


class Hop(NamedTuple):
    """How a packet left a switch."""

    switch: str
    port: Port
    queue: int | None
    """None: none was selected."""
    label: int | None
    """Outermost MPLS label."""
    cookie: int


@dataclass(frozen=True)
class Trace:
    """Where one copy of a packet went."""

    hops: tuple[Hop, ...]
    end: str
    """The host it was delivered to, or the switch where it ended."""
    fault: str = ""
    """Why it was not delivered; empty if it was."""

    def nodes(self, src: str) -> tuple[str, ...]:
        """Sent from `src`."""
        return (src, *(hop.switch for hop in self.hops), self.end)


@dataclass
class Walk:
    """Every copy of a packet, and the links whose state decided where they went."""

    traces: list[Trace] = field(default_factory=list)
    links: set[Pair] = field(default_factory=set)


class Fabric:
    """The rules and groups of a state, installed, with what is wrong with it."""

    def __init__(self, state: State) -> None:
        self._hosts = {host.name for host in state.hosts}
        self._access = {port.node: port for port in state.ports if port.node in self._hosts}
        self._out = {(port.node, port.number): port for port in state.ports}
        self._number = {(port.node, port.name): port.number for port in state.ports}
        self._peers: dict[str, set[str]] = defaultdict(set)
        for port in state.ports:
            self._peers[port.node].add(port.peer_node)
        rules: dict[str, list[Rule]] = defaultdict(list)
        groups: dict[str, list[Group]] = defaultdict(list)
        for rule in state.rules:
            if rule.switch in state.condition.bare:
                continue
            rules[rule.switch].append(rule)
        for group in state.groups:
            if group.switch in state.condition.bare:
                continue
            groups[group.switch].append(group)
        self._switches = {
            switch.name: Switch(rules[switch.name], groups[switch.name])
            for switch in state.switches
        }
        self._down = state.seen_down()
        self._lost = frozenset(map(frozenset, state.condition.silent)) - self._down

    def joined(self, a: str, b: str, down: frozenset[Pair]) -> bool:
        """Whether any way leads from node to node, whatever the rules."""
        reached, edge = {a}, [a]
        while edge:
            node = edge.pop()
            more = {peer for peer in self._peers[node] if frozenset((node, peer)) not in down}
            edge += more - reached
            reached |= more
        return b in reached

    def send(
        self,
        host: str,
        packet: Fields | Packet,
        down: frozenset[Pair] = frozenset(),
        instead: Mapping[Key, Rule] | None = None,
    ) -> Walk:
        """Follow a packet, by its OXM fields, from `host` on, while the links `down` are
        besides those that the state has down."""
        packet = packet if isinstance(packet, Packet) else Packet(packet)
        walk = Walk()
        start, down = self._access[host], down | self._down
        self._arrive(walk, _Way(start, packet), down, instead or {})
        return walk

    def _arrive(
        self, walk: Walk, way: _Way, down: frozenset[Pair], instead: Mapping[Key, Rule]
    ) -> None:
        """At the other end of the port that a copy left by."""
        link = _link(way.port)
        walk.links.add(link)
        node = way.port.peer_node
        if link in down:
            walk.traces.append(way.ended(way.port.node, DOWN))
        elif link in self._lost:
            walk.traces.append(way.ended(way.port.node, SILENT))
        elif len(walk.traces) >= MOST_COPIES:
            walk.traces.append(way.ended(node, f"is one of more than {MOST_COPIES} copies"))
        elif node in self._hosts:
            walk.traces.append(way.ended(node, "still has a label" if way.packet.tags else ""))
        else:
            self._forward(walk, way, down, instead)

    def _forward(
        self, walk: Walk, way: _Way, down: frozenset[Pair], instead: Mapping[Key, Rule]
    ) -> None:
        switch, in_port = way.port.peer_node, self._number[way.port.peer_node, way.port.peer_name]
        here = (way.port.name, way.packet.tags)
        if here in way.seen:
            walk.traces.append(way.ended(switch, "loops"))
            return

        def live(number: int) -> bool:
            port = self._out.get((switch, number))
            if port is None:
                return False
            walk.links.add(_link(port))
            return _link(port) not in down

        try:
            sent = self._switches[switch].receive(way.packet, in_port, live, instead)
        except PacketError as fault:
            walk.traces.append(way.ended(switch, str(fault)))
            return
        if not sent:
            walk.traces.append(way.ended(switch, "dropped"))
        for copy in sent:
            # clause 5.12: a packet does not leave by its input port, unless by that name
            out = None if copy.port == in_port else self._out.get((switch, copy.port))
            if copy.port == IN_PORT:
                out = self._out[switch, in_port]
            if out is None:
                walk.traces.append(way.ended(switch, f"cannot leave by port {copy.port}"))
            else:
                self._arrive(walk, way.on(switch, out, copy, here), down, instead)


class _Way(NamedTuple):
    """One copy on its way: the port it left by, and what it has behind it."""

    port: Port
    packet: Packet
    hops: tuple[Hop, ...] = ()
    seen: frozenset[object] = frozenset()

    def ended(self, node: str, fault: str) -> Trace:
        return Trace(self.hops, node, fault)

    def on(self, switch: str, out: Port, copy: Sent, here: object) -> _Way:
        hop = Hop(switch, out, copy.queue, copy.packet.label, copy.cookie)
        return _Way(out, copy.packet, (*self.hops, hop), self.seen | {here})


def _link(port: Port) -> Pair:
    return frozenset((port.node, port.peer_node))
