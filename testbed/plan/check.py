"""Holds a plan against its promises, by walking packets through its rules in memory.

    delivered   each packet of a path once, at its end (frer: once by each of its ways)
    on its way  along the planned nodes, by the planned labels and queues
    isolated    by rules of its own path only; what hosts forge gets into no path
    protected   with any one link down, along the backup that is planned for it, unless
                no way at all is left

Without failures, best effort reaches every host from every other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, permutations, zip_longest

import msgspec

from testbed.errors import PlanError
from testbed.plan.fabric import Fabric, Hop, Link, Trace
from testbed.plan.matches import IPV4, MPLS, example, plan_matches
from testbed.plan.model import Backup, Host, Match, Path, Placed, Plan, Rule
from testbed.plan.openflow import Fields, Key, Packet, Tag, key
from testbed.slices.policy import BEST_EFFORT

ICMP = 1

Way = tuple[tuple[str, int | None], ...]
"""The nodes of a packet's way, and the label it has when it leaves each."""


def check_plan(plan: Plan) -> int:
    """Walk every session and load both ways, with each link down that matters to them,
    and best effort between all hosts.

    Returns how many packets were walked; raises PlanError at the first that did not go
    as planned.
    """
    check = _Check(plan)
    paths: dict[int, Path] = {}
    for path, match in plan_matches(plan):
        check.path(path, match)
        paths[path.cookie] = path
    for path in paths.values():
        check.forged(path)
    check.best_effort()
    return check.walked


def check_orders(plan: Plan, orders: Sequence[Placed]) -> int:
    """Walk the packets of slices ordered at run time, and those of the plan that are in a
    slice of their own.

    `plan` has the rules and queues of the orders as well. Raises PlanError.
    """
    check = _Check(plan)
    for placed in orders:
        for one in placed.carried:
            for match in one.matches:
                check.path(one.path, match)
            check.forged(one.path)
    for path, match in plan_matches(plan):
        if path.slice != BEST_EFFORT:
            check.path(path, match)
    return check.walked


class _Check:
    def __init__(self, plan: Plan) -> None:
        self.walked = 0
        self._plan, self._fabric = plan, Fabric(plan)
        self._hosts = {host.name: host for host in plan.hosts}
        prepared = tuple(chain.from_iterable(repair.prepare for repair in plan.repairs))
        rules = (*plan.rules, *prepared)
        self._prepared = Fabric(msgspec.structs.replace(plan, rules=rules)) if prepared else None
        self._switched: dict[tuple[int, Link], dict[Key, Rule]] = {
            (repair.cookie, frozenset(repair.failed)): {key(r): r for r in repair.switch_over}
            for repair in plan.repairs
        }

    def path(self, path: Path, match: Match) -> None:
        """Its packets, without and with failures."""
        packet, where = example(match), f"path {path.id}"
        walk = self._fabric.send(path.src, packet)
        self.walked += 1
        ways = [_way(path), *(_copy(path, b) for b in path.backups if b.failed is None)]
        _follow(walk.traces, ways, path, where)
        if path.protection == "none":
            return
        for link in sorted(walk.links, key=sorted):
            if not link & self._hosts.keys():
                self._failure(path, packet, link, ways)

    def _failure(self, path: Path, packet: Fields, link: Link, ways: Sequence[Way]) -> None:
        """The packet while one link is down, once switches or controller have acted."""
        where = f"path {path.id} while {'-'.join(sorted(link))} is down"
        down = frozenset((link,))
        if not self._fabric.joined(path.src, path.dst, down):
            return
        self.walked += 1
        if path.protection == "frer":
            walk = self._fabric.send(path.src, packet, down)
            left = [way for way in ways if link not in _links(way)]
            _require(bool(left), "all copies of a packet are lost", where)
            arrived = [trace for trace in walk.traces if not trace.fault]
            _follow(arrived, left, path, where)
            return
        backup = next((b for b in path.backups if frozenset(b.failed or ()) == link), None)
        if backup is None:
            raise PlanError("there is no backup", where=where, expected=path.protection)
        if path.protection == "fast_failover":
            walk = self._fabric.send(path.src, packet, down)
            _follow(walk.traces, [_detour(path, backup)], path, where)
            return
        switched = self._switched.get((path.cookie, link))
        if switched is None or self._prepared is None:
            raise PlanError("the controller has no repair", where=where)
        walk = self._prepared.send(path.src, packet, down, switched)
        _follow(walk.traces, [_copy(path, backup)], path, where)

    def forged(self, path: Path) -> None:
        """A host that sends labels of a path, or another's packets, is in no path."""
        labels = [path.label, *(backup.label for backup in path.backups)]
        for host in (path.src, path.dst):
            for label in labels:
                if label is None:
                    continue
                tagged = Packet({"eth_type": IPV4}, (Tag(MPLS, label, 0),))
                walk = (self._prepared or self._fabric).send(host, tagged)
                self.walked += 1
                _require(
                    not any(trace.hops for trace in walk.traces),
                    f"{host} can send packets with label {label}",
                    f"path {path.id}",
                    "labelled packets of hosts dropped",
                )

    def best_effort(self) -> None:
        for a, b in permutations(self._plan.hosts, 2):
            where = f"best effort from {a.name} to {b.name}"
            (trace, *more) = self._fabric.send(a.name, _ping(a, b)).traces
            self.walked += 1
            _require(not trace.fault, f"packet {trace.fault} at {trace.end}", where)
            _require(trace.end == b.name, f"packet was delivered to {trace.end}", where)
            _require(not more, f"packet was delivered {len(more) + 1} times", where)
            for hop in trace.hops:
                _require(hop.cookie == 0, f"{hop.switch} gave it to path {hop.cookie}", where)
                _leaves(hop, 0, where)


def _ping(a: Host, b: Host) -> dict[str, int | str]:
    return {"eth_type": IPV4, "ipv4_src": a.ip, "ipv4_dst": b.ip, "ip_proto": ICMP}


def _way(path: Path) -> Way:
    """The path itself: its label between the first and the last switch."""
    return _labelled(path.nodes, path.label)


def _copy(path: Path, backup: Backup) -> Way:
    """A backup from the first host on."""
    return _labelled(backup.nodes, backup.label)


def _detour(path: Path, backup: Backup) -> Way:
    """The path up to where the backup leaves it, and the backup."""
    at = path.nodes.index(backup.nodes[0])
    return _labelled(path.nodes, path.label)[:at] + _labelled(backup.nodes, backup.label)


def _labelled(nodes: Sequence[str], label: int | None) -> Way:
    """Hosts send without a label, and last switches take it off."""
    last = len(nodes) - 2
    inside = ((node, None if at >= last else label) for at, node in enumerate(nodes))
    return tuple(inside)


def _links(way: Way) -> Iterator[Link]:
    return (frozenset(pair) for pair in pairwise(node for node, _ in way))


def _follow(traces: Sequence[Trace], ways: Sequence[Way], path: Path, where: str) -> None:
    """One copy along each way, whatever the order."""
    found = sorted(traces, key=lambda trace: -_common(trace.nodes(path.src), ways[0]))
    for trace, way in zip(found, ways, strict=False):
        _require(not trace.fault, f"packet {trace.fault} at {trace.end}", where)
        planned = [node for node, _ in way]
        for real, expected in zip_longest(trace.nodes(path.src), planned, fillvalue="nowhere"):
            _require(real == expected, f"packet went to {real}", where, expected)
        for hop, (node, label) in zip(trace.hops, way[1:], strict=False):
            _require(hop.cookie == path.cookie, f"{node} used rule {hop.cookie}", where)
            _require(hop.label == label, f"left {node} with label {hop.label}", where, f"{label}")
            _leaves(hop, path.queue, where)
    copies = len(traces)
    _require(copies == len(ways), f"{copies} copies of a packet", where, f"{len(ways)}")


def _common(nodes: Sequence[str], way: Way) -> int:
    """How many nodes two ways have in common from the start."""
    same = [a == b for a, (b, _) in zip(nodes, way, strict=False)]
    return same.index(False) if False in same else len(same)


def _leaves(hop: Hop, queue: int, where: str) -> None:
    """By the path's queue if that matters at the port, else by none. None is queue 0."""
    expected = queue if hop.port.selects else None
    _require(
        (hop.queue or 0) == (expected or 0),
        f"left {hop.port.name} by queue {hop.queue}",
        where,
        f"{expected}",
    )
    ids = [q.id for q in hop.port.queues]
    _require(
        expected is None or not ids or expected in ids,
        f"{hop.port.name} has no queue {queue}",
        where,
        f"{ids}",
    )


def _require(fine: bool, what: str, where: str, expected: str = "") -> None:
    if not fine:
        raise PlanError(what, where=where, expected=expected)
