"""Walks packets through the rules in memory, as OpenFlow 1.3 switches would.

Of the specification this has what the plan uses: one table, exact matches, the highest
priority wins, actions in order (clauses 5.3 and 5.12). Two rules of one priority that
match one packet are a fault here; the specification leaves them undefined. Look-up is
tuple-space search: rules are hashed by priority and by the set of fields they match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, zip_longest
from typing import NamedTuple

from testbed.errors import PlanError
from testbed.plan.matches import IPV4, MPLS, example, plan_matches
from testbed.plan.model import Path, Plan, Port, Rule

ICMP = 1

Fields = Mapping[str, int | str]


@dataclass(frozen=True)
class Hop:
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
    """Where a packet went."""

    hops: tuple[Hop, ...]
    end: str
    """The host it was delivered to, or the switch where it ended."""
    fault: str = ""
    """Why it was not delivered; empty if it was."""


class _Shape(NamedTuple):
    """Rules of one priority that match on the same fields."""

    priority: int
    fields: tuple[str, ...]
    rules: dict[tuple[int | str, ...], list[Rule]]


class Fabric:
    """All switches of a plan, with their rules installed."""

    def __init__(self, plan: Plan) -> None:
        self._hosts = {host.name for host in plan.hosts}
        self._access = {port.node: port for port in plan.ports if port.node in self._hosts}
        self._out = {(port.node, port.number): port for port in plan.ports}
        self._number = {(port.node, port.name): port.number for port in plan.ports}
        rules: dict[str, list[Rule]] = {switch.name: [] for switch in plan.switches}
        for rule in plan.rules:
            rules[rule.switch].append(rule)
        self._tables = {switch: _table(installed) for switch, installed in rules.items()}

    def send(self, host: str, packet: Fields) -> Trace:
        """Follow a packet without labels, given by its OXM fields, from `host` on."""
        hops: list[Hop] = []
        labels: tuple[int, ...] = ()
        port = self._access[host]
        seen: set[tuple[str, tuple[int, ...]]] = set()
        while port.peer_node not in self._hosts:
            switch, in_port = port.peer_node, self._number[port.peer_node, port.peer_name]
            if (port.name, labels) in seen:
                return Trace(tuple(hops), switch, "loops")
            seen.add((port.name, labels))
            found = self._look_up(switch, _visible(packet, labels, in_port))
            if len(found) != 1:
                fault = f"{len(found)} rules of one priority match" if found else "no rule matches"
                return Trace(tuple(hops), switch, fault)
            try:
                labels, queue, number = _apply(found[0], labels)
            except ValueError as error:
                return Trace(tuple(hops), switch, str(error))
            out = self._out.get((switch, number))
            if out is None or number == in_port:
                # clause 5.12: a packet does not leave by its input port
                return Trace(tuple(hops), switch, f"cannot leave by port {number}")
            hops.append(Hop(switch, out, queue, labels[-1] if labels else None, found[0].cookie))
            port = out
        return Trace(tuple(hops), port.peer_node, "still has a label" if labels else "")

    def _look_up(self, switch: str, fields: Fields) -> list[Rule]:
        """The matching rules of the highest priority that has any."""
        found: list[Rule] = []
        for shape in self._tables[switch]:
            if found and shape.priority < found[0].priority:
                break
            try:
                key = tuple(fields[name] for name in shape.fields)
            except KeyError:
                continue
            found += shape.rules.get(key, ())
        return found


def _table(rules: Iterable[Rule]) -> list[_Shape]:
    shapes: dict[tuple[int, tuple[str, ...]], _Shape] = {}
    for rule in rules:
        fields = tuple(sorted(rule.match))
        shape = shapes.setdefault(
            (rule.priority, fields), _Shape(rule.priority, fields, defaultdict(list))
        )
        shape.rules[tuple(rule.match[name] for name in fields)].append(rule)
    return sorted(shapes.values(), key=lambda shape: -shape.priority)


def _visible(packet: Fields, labels: Sequence[int], in_port: int) -> Fields:
    """What a switch sees: behind a label the IP header is hidden (clause 7.2.3.8)."""
    if labels:
        return {"in_port": in_port, "eth_type": MPLS, "mpls_label": labels[-1]}
    return {"in_port": in_port, **packet}


def _apply(rule: Rule, labels: tuple[int, ...]) -> tuple[tuple[int, ...], int | None, int]:
    """Labels, queue and output port after the actions. Raises ValueError."""
    queue: int | None = None
    for action in rule.actions:
        ((kind, value),) = action.items()
        match kind:
            case "push_mpls":
                labels = (*labels, 0)
            case "set_mpls_label" if labels:
                labels = (*labels[:-1], value)
            case "set_mpls_tc" if labels:
                pass
            case "pop_mpls" if len(labels) == 1 and value == IPV4:
                labels = ()
            case "set_queue":
                queue = value
            case "output":
                return labels, queue, value
            case _:
                raise ValueError(f"action {kind} {value} does not apply")
    raise ValueError("dropped")


def check_plan(plan: Plan) -> int:
    """Walk every session and load both ways, and best effort between all hosts.

    Returns how many packets were walked; raises PlanError at the first that did not go
    along its path, by its label and queues, to its end.
    """
    fabric = Fabric(plan)
    walked = 0
    for path, match in plan_matches(plan):
        _follow(fabric.send(path.src, example(match)), path)
        walked += 1
    for a, b in permutations(plan.hosts, 2):
        trace = fabric.send(
            a.name, {"eth_type": IPV4, "ipv4_src": a.ip, "ipv4_dst": b.ip, "ip_proto": ICMP}
        )
        where = f"best effort from {a.name} to {b.name}"
        _require(not trace.fault, f"packet {trace.fault} at {trace.end}", where)
        _require(trace.end == b.name, f"packet was delivered to {trace.end}", where)
        for hop in trace.hops:
            _require(hop.cookie == 0, f"{hop.switch} gave it to path {hop.cookie}", where)
            _leaves(hop, 0, where)
        walked += 1
    return walked


def _follow(trace: Trace, path: Path) -> None:
    where = f"path {path.id}"
    went = (path.src, *(hop.switch for hop in trace.hops), trace.end)
    _require(not trace.fault, f"packet {trace.fault} at {trace.end}", where)
    for real, planned in zip_longest(went, path.nodes, fillvalue="nowhere"):
        _require(real == planned, f"packet went to {real}", where, planned)
    for number, hop in enumerate(trace.hops, start=1):
        label = path.label if number < len(trace.hops) else None
        _require(hop.cookie == path.cookie, f"{hop.switch} used rule {hop.cookie}", where)
        _require(hop.label == label, f"left {hop.switch} with label {hop.label}", where, f"{label}")
        _leaves(hop, path.queue, where)


def _leaves(hop: Hop, queue: int, where: str) -> None:
    """By the path's queue if the port has queues, and by none otherwise."""
    expected = queue if hop.port.queues else None
    _require(
        hop.queue == expected, f"left {hop.port.name} by queue {hop.queue}", where, f"{expected}"
    )
    ids = [q.id for q in hop.port.queues]
    _require(
        expected is None or expected in ids,
        f"{hop.port.name} has no queue {queue}",
        where,
        f"{ids}",
    )


def _require(fine: bool, what: str, where: str, expected: str = "") -> None:
    if not fine:
        raise PlanError(what, where=where, expected=expected)
