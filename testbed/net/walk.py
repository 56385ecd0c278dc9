"""Holds a state against its paths, by walking packets through its tables in memory.

    delivered   each packet of a path once, at its end (frer: once by each of its ways)
    on its way  along the planned nodes, by the planned labels and queues
    isolated    by rules of its own path only; what hosts forge gets into no path
    lost        only where something of the way is broken that nothing goes round

and before anything is broken, `walk_failures`:

    protected   with any one link down, along the backup that is planned for it, unless
                no way at all is left

Without failures, best effort reaches every host from every other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, permutations, zip_longest

import msgspec

from testbed.errors import PlanError
from testbed.net.fabric import DOWN, SILENT, Fabric, Hop, Trace
from testbed.net.matches import IPV4, MPLS, example, rank
from testbed.net.nodes import Host
from testbed.net.openflow import Fields, Packet, Tag
from testbed.net.paths import Carried, Path
from testbed.net.state import Pair, State
from testbed.net.tables import Key, Match, Rule, key
from testbed.net.ways import Way, Ways, copy, detour, links, own

ICMP = 1


def walk(state: State) -> int:
    """Follow the packets of every path, planned or ordered, and best effort between all
    hosts, in the state as it is: they get where they should or are lost at what is broken.

    Returns how many packets were walked; raises PlanError at the first that went astray.
    """
    check = _Check(state)
    check.all_present(state.carried())
    check.best_effort(skip=check.taken.keys())
    return check.walked


def walk_each(first: State, later: Iterable[State]) -> int:
    """As walk() does in each of the later states that is equal to none before it."""
    known, walked = [first], 0
    for state in later:
        if state not in known:
            walked += walk(state)
            known.append(state)
    return walked


def walk_paths(state: State, carried: Iterable[Carried]) -> int:
    """As walk() does, but of these paths only, such as those that a step leaves alone."""
    check = _Check(state)
    check.all_present(carried)
    return check.walked


def walk_failures(state: State) -> int:
    """Follow the packets of every path, with each link down that matters to them, and best
    effort between all hosts, in a state of which nothing is broken.

    Returns how many packets were walked; raises PlanError at the first that did not go
    as planned.
    """
    check = _Check(state)
    for one in state.paths:
        for match in one.matches:
            check.path(one.path, match)
    for one in state.paths:
        check.forged(one.path)
    check.best_effort(skip=check.taken.keys())
    return check.walked


def _whole(state: State) -> Iterator[Carried]:
    """Directions that take all packets between their ends; of orders last, whose planned
    paths are of best effort then."""
    for one in state.paths:
        if any(match.dscp is None and match.ip_proto is None for match in one.matches):
            yield one
    for placed in state.book.placed:
        for one in placed.carried:
            if any(rank(match) == 0 for match in one.matches):
                yield one


class _Check:
    def __init__(self, state: State) -> None:
        self.walked = 0
        self._state, self._fabric = state, Fabric(state)
        self._broken, self._ways = state.broken(), Ways(state)
        self.taken = {(one.path.src, one.path.dst): one for one in _whole(state)}
        self._peers: dict[str, list[str]] = {}
        for port in state.ports:
            self._peers.setdefault(port.node, []).append(port.peer_node)
        self._hosts = {host.name: host for host in state.hosts}
        prepared = tuple(chain.from_iterable(repair.prepare for repair in state.repairs))
        rules = (*state.rules, *prepared)
        self._prepared = Fabric(msgspec.structs.replace(state, rules=rules)) if prepared else None
        self._switched: dict[tuple[int, Pair], dict[Key, Rule]] = {
            (repair.cookie, frozenset(repair.failed)): {key(r): r for r in repair.switch_over}
            for repair in state.repairs
        }

    def path(self, path: Path, match: Match) -> None:
        """Its packets, without and with failures."""
        packet, where = example(match), f"path {path.id}"
        walk = self._fabric.send(path.src, packet)
        self.walked += 1
        ways = [own(path), *(copy(path, b) for b in path.backups if b.failed is None)]
        _follow(walk.traces, ways, path, where)
        if path.protection == "none":
            return
        for link in sorted(walk.links, key=sorted):
            if not link & self._hosts.keys():
                self._failure(path, packet, link, ways)

    def all_present(self, carried: Iterable[Carried]) -> None:
        """Paths with all their packets; nobody can send into them besides."""
        for one in carried:
            for match in one.matches:
                taken = self.taken.get((one.path.src, one.path.dst), one)
                self.present(one.path if match.dscp is not None else taken.path, match)
            self.forged(one.path)

    def present(self, path: Path, match: Match) -> None:
        """Its packets as things are: delivered by the ways that are whole, if any is."""
        where = f"path {path.id}"
        walk = self._fabric.send(path.src, example(match))
        self.walked += 1
        arrived = [trace for trace in walk.traces if not trace.fault]
        _follow(arrived, self._ways.whole(path), path, where)
        for trace in walk.traces:
            if trace.fault:
                _require(self._lost(trace), f"packet {trace.fault} at {trace.end}", where)

    def _lost(self, trace: Trace) -> bool:
        """Whether a copy was lost at what is broken."""
        if trace.fault in (DOWN, SILENT) or trace.end in self._state.condition.bare:
            return True
        return any(frozenset((trace.end, peer)) in self._broken for peer in self._peers[trace.end])

    def _failure(self, path: Path, packet: Fields, link: Pair, ways: Sequence[Way]) -> None:
        """The packet while one link is down, once switches or controller have acted."""
        where = f"path {path.id} while {'-'.join(sorted(link))} is down"
        down = frozenset((link,))
        if not self._fabric.joined(path.src, path.dst, down):
            return
        self.walked += 1
        if path.protection == "frer":
            walk = self._fabric.send(path.src, packet, down)
            left = [way for way in ways if link not in links(way)]
            _require(bool(left), "all copies of a packet are lost", where)
            arrived = [trace for trace in walk.traces if not trace.fault]
            _follow(arrived, left, path, where)
            return
        backup = next((b for b in path.backups if frozenset(b.failed or ()) == link), None)
        if backup is None:
            raise PlanError("there is no backup", where=where, expected=path.protection)
        if path.protection == "fast_failover":
            walk = self._fabric.send(path.src, packet, down)
            _follow(walk.traces, [detour(path, backup)], path, where)
            return
        switched = self._switched.get((path.cookie, link))
        if switched is None or self._prepared is None:
            raise PlanError("the controller has no repair", where=where)
        walk = self._prepared.send(path.src, packet, down, switched)
        _follow(walk.traces, [copy(path, backup)], path, where)

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

    def best_effort(self, skip: Collection[tuple[str, str]] = ()) -> None:
        """Between all hosts but those `skip`."""
        for a, b in permutations(self._state.hosts, 2):
            if (a.name, b.name) in skip:
                continue
            where = f"best effort from {a.name} to {b.name}"
            (trace, *more) = self._fabric.send(a.name, _ping(a, b)).traces
            self.walked += 1
            if trace.fault and self._lost(trace):
                continue
            _require(not trace.fault, f"packet {trace.fault} at {trace.end}", where)
            _require(trace.end == b.name, f"packet was delivered to {trace.end}", where)
            _require(not more, f"packet was delivered {len(more) + 1} times", where)
            for hop in trace.hops:
                if hop.cookie:
                    raise PlanError(f"{hop.switch} gave it to path {hop.cookie}", where=where)
                _leaves(hop, 0, where)


def _ping(a: Host, b: Host) -> dict[str, int | str]:
    return {"eth_type": IPV4, "ipv4_src": a.ip, "ipv4_dst": b.ip, "ip_proto": ICMP}


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
    if (hop.queue or 0) != (expected or 0):
        what = f"left {hop.port.name} by queue {hop.queue}"
        raise PlanError(what, where=where, expected=f"{expected}")
    ids = [q.id for q in hop.port.queues] if expected is not None else []
    if ids and expected not in ids:
        raise PlanError(f"{hop.port.name} has no queue {queue}", where=where, expected=f"{ids}")


def _require(fine: bool, what: str, where: str, expected: str = "") -> None:
    if not fine:
        raise PlanError(what, where=where, expected=expected)
