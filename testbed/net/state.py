"""What the network is at a moment, and how a delta makes the next moment of it.

    after = state + cut_fibre("x1", "x2")

A State is data: JSON in and out, compared by value, cheap to change since what a delta
leaves alone is shared. What a kind of delta does is registered by its file in
testbed/net/deltas/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self, cast

import msgspec

from testbed.errors import unknown
from testbed.links.kinds import AnyLink
from testbed.net.nodes import Host, Switch
from testbed.net.paths import Book, Carried
from testbed.net.tables import Group, Key, Repair, Rule, key
from testbed.port.pipeline import Port
from testbed.scenario.delta import Delta
from testbed.scenario.model import Frozen, Recovery, Scheduler, Slice

Pair = frozenset[str]
"""The two nodes of a link."""


class Condition(Frozen, frozen=True, kw_only=True):
    """What is wrong with the network. Links and nodes are in order, each once."""

    cut: tuple[tuple[str, str], ...] = ()
    """Links whose ends have lost their carrier, each by its nodes in order."""
    silent: tuple[tuple[str, str], ...] = ()
    """Links that lose every packet and keep their carrier."""
    dropped: tuple[str, ...] = ()
    """Nodes all of whose links are down."""
    slow: dict[str, int] = msgspec.field(default_factory=dict)
    """Node -> how much later than planned it forwards, ns one-way."""
    controller: bool = True
    """It runs."""
    bare: tuple[str, ...] = ()
    """Switches without tables, until a controller comes."""


class State(Frozen, frozen=True, kw_only=True):
    """The network at a moment."""

    seed: int
    scheduler: Scheduler = "htb"
    """How ports choose the next packet."""
    policy: str
    """Name of what chooses paths and queues."""
    recovery: Recovery = Recovery(control_delay_ns=0)
    hosts: tuple[Host, ...]
    switches: tuple[Switch, ...]
    links: tuple[AnyLink, ...] = ()
    ports: tuple[Port, ...]
    """As they are planned and queued; see `now` for what is wrong with them besides."""
    slices: tuple[Slice, ...] = ()
    """Those planned beforehand; orders are in the book."""
    paths: tuple[Carried, ...] = ()
    """Of planned traffic."""
    book: Book = Book()
    rules: tuple[Rule, ...]
    """What switches have, or are given again when they have lost it."""
    groups: tuple[Group, ...] = ()
    repairs: tuple[Repair, ...] = ()
    """What a controller does when links fail, for the paths that order it."""
    ways: dict[int, int] = msgspec.field(default_factory=dict)
    """Cookie of a path that is on a backup -> which, from 1 (net/restoration.py)."""
    condition: Condition = Condition()

    def __add__(self, delta: Delta) -> Self:
        """The state after a delta. Raises InputError for what cannot happen to this one."""
        return cast("Self", EFFECTS[type(delta)](self, delta))

    def carried(self) -> tuple[Carried, ...]:
        """Every path with its packets, planned ones first."""
        return (*self.paths, *(one for placed in self.book.placed for one in placed.carried))

    def port(self, node: str, peer: str) -> Port:
        """The port of `node` towards `peer`. Raises KeyError."""
        for port in self.ports:
            if port.node == node and port.peer_node == peer:
                return port
        raise KeyError(f"{node} has no port towards {peer}")

    def now(self, port: Port) -> Port:
        """A port as it delays and loses while things are wrong."""
        extra_ns = self.condition.slow.get(port.node, 0)
        silent = pair(port.node, port.peer_node) in self.condition.silent
        if not extra_ns and not silent:
            return port
        channel = port.channel
        return port.having(
            msgspec.structs.replace(
                channel,
                device_ns=channel.device_ns + extra_ns,
                loss=1.0 if silent else channel.loss,
            )
        )

    def up(self, a: str, b: str) -> bool:
        """Whether the ends of the link between two nodes have a carrier."""
        gone = self.condition
        return pair(a, b) not in gone.cut and a not in gone.dropped and b not in gone.dropped

    def down(self) -> frozenset[Pair]:
        """The links without a carrier."""
        gone = self.condition
        if not gone.cut and not gone.dropped:
            return frozenset()
        return frozenset(
            frozenset((port.node, port.peer_node))
            for port in self.ports
            if not self.up(port.node, port.peer_node)
        )

    def broken(self) -> frozenset[Pair]:
        """The links that nothing gets through."""
        return self.down() | {frozenset(link) for link in self.condition.silent}

    def seen_down(self) -> frozenset[Pair]:
        """The links that those who watch them take for failed: BFD sees silence too."""
        if self.recovery.bfd_ns is None or not self.condition.silent:
            return self.down()
        silent = {frozenset(link) for link in self.condition.silent}
        return self.down() | (silent & self.guarded())

    def guarded(self) -> set[Pair]:
        """The links, by their two nodes, whose failure somebody has to see."""
        towards = {(port.node, port.number): port.peer_node for port in self.ports}
        links = {frozenset(repair.failed) for repair in self.repairs}
        for group in self.groups:
            for bucket in group.buckets:
                if bucket.watch_port is not None:
                    links.add(frozenset((group.switch, towards[group.switch, bucket.watch_port])))
        return links

    def check_link(self, a: str, b: str, where: str) -> None:
        """Raises InputError unless there is a link between two nodes."""
        self.check_node(a, where)
        peers = {port.peer_node for port in self.ports if port.node == a}
        if b not in peers:
            raise unknown(f"neighbour of {a}", b, peers, where=where)

    def check_node(self, name: str, where: str) -> None:
        """Raises InputError unless there is such a node."""
        names = {host.name for host in self.hosts} | {switch.name for switch in self.switches}
        if name not in names:
            raise unknown("node", name, names, where=where)


Effect = Callable[[State, Any], State]
EFFECTS: dict[type[Delta], Effect] = {}
"""What a kind of delta makes of a state."""


def effect(kind: type[Delta]) -> Callable[[Effect], Effect]:
    """Register what deltas of a kind do."""

    def register(function: Effect) -> Effect:
        EFFECTS[kind] = function
        return function

    return register


def pair(a: str, b: str) -> tuple[str, str]:
    """A link by its nodes, in order."""
    return (a, b) if a < b else (b, a)


def with_rules(
    rules: Iterable[Rule], add: Iterable[Rule], delete: Iterable[Rule] = ()
) -> tuple[Rule, ...]:
    """As a switch has it: what is added replaces its like in place (OpenFlow 1.3.5 clause 6.4)."""
    found: dict[Key, Rule] = {key(rule): rule for rule in rules}
    for rule in add:
        found[key(rule)] = rule
    for rule in delete:
        found.pop(key(rule), None)
    return tuple(found.values())
