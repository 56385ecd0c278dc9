"""OpenFlow switches in memory: what one does with a packet (specification 1.3.5).

    tables     the highest priority that matches wins; goto-table goes on (5.1, 5.3)
    groups     all, indirect, fast failover by port liveness (5.6.1, 6.5)
    actions    push, set and pop of MPLS and VLAN tags, queue, group, output (5.12)
    buckets    are action sets: carried out in the order of clause 5.10

What the specification leaves undefined is a PacketError here, such as two rules of one
priority that match one packet. Look-up is tuple-space search: rules are hashed by
priority and by the set of fields they match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import NamedTuple

from testbed.net.matches import MPLS
from testbed.net.tables import Bucket, Group, Key, Rule, key

VLAN = 0x8100
VLAN_PRESENT = 0x1000
"""OFPVID_PRESENT: set in vlan_vid of every packet with a tag (table 13)."""
IN_PORT = 0xFFFF_FFF8
"""OFPP_IN_PORT: a packet leaves by its input port only if told so (clause 5.12)."""
_DEPTH = 8
"""Groups that give packets to groups, at most."""

Fields = Mapping[str, int | str]


class PacketError(Exception):
    """A packet that a switch drops, or for which the specification says nothing."""


class Tag(NamedTuple):
    """An MPLS label or VLAN tag on a packet."""

    ethertype: int
    value: int
    """Label, or VLAN id without OFPVID_PRESENT."""
    priority: int
    """Traffic class, or PCP."""


class Packet(NamedTuple):
    """The OXM fields of a packet without tags, and its tags, outermost last."""

    fields: Fields
    tags: tuple[Tag, ...] = ()

    @property
    def label(self) -> int | None:
        """Outermost MPLS label."""
        return self.tags[-1].value if self.tags and self.tags[-1].ethertype == MPLS else None

    def seen(self, in_port: int) -> dict[str, int | str]:
        """What a switch can match: behind a label the rest is hidden (clause 7.2.3.8)."""
        found: dict[str, int | str] = {"in_port": in_port, "vlan_vid": 0}
        tags = list(self.tags)
        if tags and tags[-1].ethertype == VLAN:
            found |= {"vlan_vid": VLAN_PRESENT | tags[-1].value, "vlan_pcp": tags[-1].priority}
            while tags and tags[-1].ethertype == VLAN:
                tags.pop()
        if not tags:
            return found | dict(self.fields)
        bottom = int(len(tags) == 1 or tags[-2].ethertype != MPLS)
        label = {"mpls_label": tags[-1].value, "mpls_tc": tags[-1].priority}
        return found | {"eth_type": MPLS, "mpls_bos": bottom, **label}


class Sent(NamedTuple):
    """A packet that leaves a switch."""

    port: int
    packet: Packet
    queue: int | None
    """None: none was selected."""
    cookie: int
    """Of the rule that sent it."""


class _Shape(NamedTuple):
    """Rules of one priority that match on the same fields."""

    priority: int
    values: Callable[[Fields], object]
    """Of these fields. Raises KeyError where a packet has not all of them."""
    rules: dict[object, list[Rule]]


class _State(NamedTuple):
    """A packet between two actions."""

    packet: Packet
    queue: int | None


class Switch:
    """One switch with its tables and groups."""

    def __init__(self, rules: Iterable[Rule], groups: Iterable[Group] = ()) -> None:
        tables: dict[int, list[Rule]] = defaultdict(list)
        for rule in rules:
            tables[rule.table].append(rule)
        self._tables = {number: _shapes(here) for number, here in tables.items()}
        self._groups = {group.id: group for group in groups}

    def receive(
        self,
        packet: Packet,
        in_port: int,
        live: Callable[[int], bool] = lambda _: True,
        instead: Mapping[Key, Rule] | None = None,
    ) -> list[Sent]:
        """What leaves the switch when `packet` comes in; nothing if it is dropped.

        Args:
            live: whether a port is, asked of each port that a group watches.
            instead: rules that have been replaced since, by their key.

        Raises PacketError.
        """
        state, number = _State(packet, None), 0
        sent: list[Sent] = []
        while True:
            rule = self._look_up(number, state.packet.seen(in_port))
            rule = instead.get(key(rule), rule) if instead else rule
            act = _Actions(self._groups, live, rule.cookie, sent)
            state = act.apply(rule.actions, state)
            if rule.goto is None:
                return sent
            if rule.goto <= number:
                raise PacketError(f"goes from table {number} back to table {rule.goto}")
            number = rule.goto

    def _look_up(self, table: int, fields: Fields) -> Rule:
        """The only matching rule of the highest priority that has any."""
        found: list[Rule] = []
        for shape in self._tables.get(table, ()):
            if found and shape.priority < found[0].priority:
                break
            try:
                values = shape.values(fields)
            except KeyError:
                continue
            found += shape.rules.get(values, ())
        if len(found) != 1:
            raise PacketError(
                f"{len(found)} rules of one priority match" if found else "no rule matches"
            )
        return found[0]


def _shapes(rules: Iterable[Rule]) -> list[_Shape]:
    shapes: dict[tuple[int, tuple[str, ...]], _Shape] = {}
    for rule in rules:
        fields = tuple(sorted(rule.match))
        of = rule.priority, fields
        if of not in shapes:
            values = itemgetter(*fields) if fields else _nothing
            shapes[of] = _Shape(rule.priority, values, defaultdict(list))
        shape = shapes[of]
        shape.rules[shape.values(rule.match)].append(rule)
    return sorted(shapes.values(), key=lambda shape: -shape.priority)


def _nothing(_: Fields) -> object:
    """What a rule without a match compares."""
    return None


class _Actions(NamedTuple):
    """Carries out the actions of one rule."""

    groups: Mapping[int, Group]
    live: Callable[[int], bool]
    cookie: int
    sent: list[Sent]

    def apply(self, actions: Iterable[dict[str, int]], state: _State, depth: int = 0) -> _State:
        """Carry out a list of actions; what leaves is added to `sent`. Raises PacketError."""
        for action in actions:
            ((kind, value),) = action.items()
            if kind == "output":
                self.sent.append(Sent(value, state.packet, state.queue, self.cookie))
            elif kind == "set_queue":
                state = _State(state.packet, value)
            elif kind == "group":
                self._group(value, state, depth)
            else:
                state = _State(_changed(state.packet, kind, value), state.queue)
        return state

    def _group(self, id_: int, state: _State, depth: int) -> None:
        """Each bucket works on a copy of the packet."""
        if id_ not in self.groups:
            raise PacketError(f"there is no group {id_}")
        if depth == _DEPTH:
            raise PacketError(f"group {id_} is reached through {_DEPTH} groups")
        for bucket in self._chosen(self.groups[id_]):
            self.apply(sorted(bucket.actions, key=_in_set), state, depth + 1)

    def _chosen(self, group: Group) -> Iterator[Bucket]:
        if group.kind == "all":
            yield from group.buckets
        elif group.kind == "indirect":
            if len(group.buckets) != 1:
                raise PacketError(f"indirect group {group.id} has {len(group.buckets)} buckets")
            yield group.buckets[0]
        else:
            alive = (b for b in group.buckets if b.watch_port is None or self.live(b.watch_port))
            first = next(alive, None)
            if first is None:
                raise PacketError(f"group {group.id} has no live bucket")
            yield first


_ORDER = ("pop_mpls", "pop_vlan", "push_mpls", "push_vlan", "set", "set_queue", "group", "output")


def _in_set(action: dict[str, int]) -> int:
    """Place of an action in an action set (clause 5.10)."""
    (kind,) = action
    known = kind if kind in _ORDER else "set"
    return _ORDER.index(known)


def _changed(packet: Packet, kind: str, value: int) -> Packet:
    """The packet after an action on its tags. Raises PacketError."""
    tags = packet.tags
    top = tags[-1] if tags else None
    of = top.ethertype if top else None
    match kind:
        case "push_mpls" if value == MPLS and of in (None, MPLS):
            # the header below is copied, or else zero (table 7)
            tags = (*tags, top or Tag(MPLS, 0, 0))
        case "push_vlan" if value == VLAN and of in (None, MPLS, VLAN):
            tags = (*tags, top if top and of == VLAN else Tag(VLAN, 0, 0))
        case "set_mpls_label" if top and of == MPLS:
            tags = (*tags[:-1], top._replace(value=value))
        case "set_mpls_tc" if top and of == MPLS:
            tags = (*tags[:-1], top._replace(priority=value))
        case "set_vlan_vid" if top and of == VLAN and value & VLAN_PRESENT:
            tags = (*tags[:-1], top._replace(value=value & ~VLAN_PRESENT))
        case "set_vlan_pcp" if top and of == VLAN:
            tags = (*tags[:-1], top._replace(priority=value))
        case "pop_mpls" if of == MPLS and value == _below(packet):
            tags = tags[:-1]
        case "pop_vlan" if of == VLAN:
            tags = tags[:-1]
        case _:
            raise PacketError(f"action {kind} {value} does not apply")
    return packet._replace(tags=tags)


def _below(packet: Packet) -> int | str | None:
    """EtherType of what is under the outermost tag."""
    return packet.tags[-2].ethertype if len(packet.tags) > 1 else packet.fields.get("eth_type")
