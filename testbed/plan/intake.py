"""Slices ordered while the network runs: admitted, put on paths, given queues. Pure.

    intake = Intake(first, policy)                the state that the plan begins with
    book = intake.place(Book(), order)            or RefusedError, with what binds and an offer
    book = intake.replace(book, order)            the same slice, ordered otherwise
    book = intake.remove(book, "surgery")

What is running stays as it is: paths, labels and queue numbers of the plan and of other
orders are never given anew. A direction of an order goes by the policy's path over the
links that have room for its rate, or by the fastest of those if that is too slow.

An order's packets are those between its ends, of the DSCPs it names if it names any. They
come before the plan's best effort; packets of a slice of the plan cannot be ordered away.

The delay an order asks for is held against that of its path without queueing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec
import networkx as nx

from testbed.errors import PlanError, unknown
from testbed.net.paths import Book, Carried, Path, Placed
from testbed.net.state import State
from testbed.net.tables import Match
from testbed.plan.budget import alone_ns
from testbed.plan.routing import queue_names
from testbed.plan.wiring import Wiring
from testbed.port.pipeline import Port
from testbed.port.queues import MAX_QUEUES, Queue
from testbed.scenario.model import Contract, Frozen, Slice
from testbed.slices.costs import sending
from testbed.slices.paths import least_cost_path
from testbed.slices.policy import BEST_EFFORT, BEST_EFFORT_SHARE, Demand, Policy
from testbed.units import show_bps, show_ns

FIRST_ORDER_COOKIE = 1 << 32
FIRST_ORDER_LABEL = 1 << 19
ORDER_LABELS = 1 << 19
"""The upper half of all labels; plans count up from the lowest."""
MAX_DIRECTIONS = 400
"""Of one order: 20 hosts, each with every other, are 380."""

Link = tuple[str, str]


class Refusal(Frozen, frozen=True, kw_only=True):
    """Why an order is not carried: what binds, and what would be."""

    what: str
    path: str = ""
    """Of what cannot be, below the slice in the YANG tree."""
    tag: str = "resource-denied"
    """error-tag of RFC 8040 section 7."""
    where: str = ""
    expected: str = ""
    remedy: str = ""


class RefusedError(PlanError):
    """An order that cannot be met."""

    def __init__(
        self, what: str, *, path: str = "", tag: str = "resource-denied", **said: str
    ) -> None:
        super().__init__(what, **said)
        self.refusal = Refusal(what=what, path=path, tag=tag, **said)


class Intake:
    """Decides about orders for one plan."""

    def __init__(self, first: State, policy: Policy) -> None:
        """`first` is what the plan begins with, which was made with the policy."""
        self._first, self._scheduler = first, first.scheduler
        self.slices = {slice_.id: slice_ for slice_ in first.slices}
        self._policy = policy
        self._names = queue_names(policy, self.slices.values())
        self._ip = {host.name: host.ip for host in first.hosts}
        self._ports = {(port.node, port.peer_node): port for port in first.ports}
        self._graph = nx.freeze(_graph(first))
        self._promised = self._kept()
        self.wiring = Wiring(first.hosts, first.switches, tuple(map(self._marked, first.ports)))
        """All ports that schedule have queues here, so that the rules of an order do not
        depend on who else has queues at a port."""

    # Deciding

    def place(self, book: Book, order: Slice) -> Book:
        """The book with a further order. Raises RefusedError."""
        if order.id in self.slices or book.find(order.id):
            raise RefusedError(
                f"slice {order.id!r} is there already", tag="data-exists", path="/id"
            )
        return self._with(book, book, order, None)

    def replace(self, book: Book, order: Slice) -> Book:
        """The book with an order in place of the one of the same id. Raises RefusedError."""
        return self._with(book, self.remove(book, order.id), order, book.find(order.id))

    def remove(self, book: Book, id_: str) -> Book:
        """The book without an order. Raises RefusedError."""
        if id_ in self.slices:
            raise RefusedError(
                f"slice {id_!r} belongs to the experiment",
                tag="operation-not-supported",
                expected="a slice that was ordered at run time",
            )
        if book.find(id_) is None:
            raise RefusedError(f"there is no slice {id_!r}", tag="data-missing")
        left = tuple(one for one in book.placed if one.slice.id != id_)
        return Book(placed=left, serial=book.serial)

    def _with(self, before: Book, others: Book, order: Slice, old: Placed | None) -> Book:
        if self._scheduler == "time_aware":
            raise RefusedError(
                "the cycles of time-aware ports are planned before traffic",
                tag="operation-not-supported",
                expected="scheduler htb, strict_priority or fifo",
            )
        self._ends(order)
        contracts = order.contracts()
        if not contracts:
            raise RefusedError(
                "connects nothing",
                path="/connection-groups",
                tag="invalid-value",
                expected="a connectivity construct between SDPs on two hosts",
            )
        if len(contracts) > MAX_DIRECTIONS:
            raise RefusedError(
                f"connects {len(contracts)} pairs of hosts",
                path="/connection-groups",
                expected=f"at most {MAX_DIRECTIONS} in one order",
                remedy="several orders",
            )
        name, number = self._queue(others, order)
        room = self._room(others)
        known = {one.path.id: one for one in old.carried} if old else {}
        labels = {c.path.label for p in before.placed for c in p.carried}
        serial, carried = before.serial, list[Carried]()
        for contract in contracts:
            matches = self._matches(order, contract)
            self._apart(others, carried, order, contract, matches)
            nodes = self._route(room, order, contract)
            for link in pairwise(nodes):
                if link in room:
                    room[link] -= contract.slo.guaranteed_bps
            id_ = f"{order.id}/{contract.id}"
            same = known.get(id_)
            if same is not None and (same.path.nodes, same.path.queue) == (nodes, number):
                path = same.path
            else:
                serial += 1
                while FIRST_ORDER_LABEL + serial % ORDER_LABELS in labels:
                    serial += 1
                path = self._path(id_, order, contract, nodes, number, serial)
            carried.append(
                Carried(path=path, matches=matches, guaranteed_bps=contract.slo.guaranteed_bps)
            )
        made = Placed(slice=order, queue_name=name, queue=number, carried=tuple(carried))
        placed = tuple(made if one is old else one for one in before.placed)
        book = Book(placed=placed if old else (*placed, made), serial=serial)
        self._few_queues(book, made)
        return book

    def _ends(self, order: Slice) -> None:
        for sdp in order.sdps:
            path = f"/sdps/sdp[id='{sdp.id}']/node-id"
            if sdp.node is None:
                raise RefusedError(
                    "is missing", path=path, tag="missing-element", expected="a host"
                )
            if sdp.node not in self._ip:
                error = unknown("host", sdp.node, self._ip)
                raise RefusedError(
                    error.what,
                    path=path,
                    tag="invalid-value",
                    expected=error.expected,
                    remedy=error.remedy,
                )

    def _matches(self, order: Slice, contract: Contract) -> tuple[Match, ...]:
        """Packets from one end to the other, of the DSCPs that its criteria name."""
        group, construct, sender, _ = _parts(order, contract)
        criteria = [
            match
            for sdp in order.sdps
            if sdp.id == sender
            for match in sdp.matches
            if match.group == group and match.construct in (None, construct)
        ]
        for match in criteria:
            for kind in ("vlan", "label", "src", "dst", "port", "acl"):
                if getattr(match, kind):
                    raise RefusedError(
                        f"match by {kind} is not carried",
                        path=f"/sdps/sdp[id='{sender}']/service-match-criteria",
                        tag="operation-not-supported",
                        expected="dscp or any",
                    )
        every = Match(ipv4_src=self._ip[contract.src], ipv4_dst=self._ip[contract.dst])
        if not criteria or any(not match.dscp for match in criteria):
            return (every,)
        dscps = sorted({dscp for match in criteria for dscp in match.dscp})
        return tuple(msgspec.structs.replace(every, dscp=dscp) for dscp in dscps)

    def _apart(
        self,
        book: Book,
        own: Sequence[Carried],
        order: Slice,
        contract: Contract,
        matches: Sequence[Match],
    ) -> None:
        """No packet belongs to two slices."""
        dscps = {match.dscp for match in matches}
        ends = (contract.src, contract.dst)
        for owner, path, theirs in self._takers(book, own, order):
            if (path.src, path.dst) != ends:
                continue
            planned = owner in self.slices
            if dscps & theirs or (planned and None in dscps):
                raise RefusedError(
                    f"packets from {path.src} to {path.dst} belong to slice {owner}",
                    path=_yang(order, contract),
                    where=f"contract {contract.id}",
                    expected="packets of no other slice",
                    remedy="a match criterion by another DSCP",
                )

    def _takers(
        self, book: Book, own: Sequence[Carried], order: Slice
    ) -> Iterator[tuple[str, Path, set[int | None]]]:
        """Slices, their paths, and the DSCPs of what takes them."""
        for one in self._first.paths:
            if one.path.slice != BEST_EFFORT:
                yield one.path.slice, one.path, {one.dscp}
        for placed in book.placed:
            for one in placed.carried:
                yield placed.slice.id, one.path, {match.dscp for match in one.matches}
        for one in own:
            yield order.id, one.path, {match.dscp for match in one.matches}

    def _route(self, room: Mapping[Link, int], order: Slice, contract: Contract) -> tuple[str, ...]:
        """The way of one direction. Raises RefusedError."""
        rate, most = contract.slo.guaranteed_bps, contract.slo.delay_ns
        demand = Demand(
            id=f"{order.id}/{contract.id}",
            slice=order,
            src=contract.src,
            dst=contract.dst,
            delay_ns=most,
        )
        graph = self._graph
        weight = sending(graph, contract.packet_bytes)
        if full := [link for link, left in room.items() if left < rate]:
            graph = graph.copy()
            graph.remove_edges_from(full)
            graph = nx.freeze(graph)
        try:
            fastest = least_cost_path(graph, contract.src, contract.dst, weight)
        except PlanError:
            raise self._full(room, order, contract) from None
        least_ns = self._delay_ns(fastest, contract.packet_bytes)
        if most is not None and least_ns > most:
            free = least_cost_path(self._graph, contract.src, contract.dst, weight)
            about = "" if free == fastest else f" over links with room for {show_bps(rate)}"
            raise RefusedError(
                f"the least one-way delay from {contract.src} to {contract.dst}{about} is "
                f"{show_ns(least_ns)}, without queueing",
                path=_yang(order, contract),
                where=f"contract {contract.id}",
                expected=f"one-way-delay-maximum of {show_ns(most)}",
                remedy=f"order {show_ns(least_ns)} or more",
            )
        try:
            nodes = tuple(self._policy.path(graph, demand))
        except PlanError:
            return tuple(fastest)
        sound = nodes[:1] == (contract.src,) and nodes[-1:] == (contract.dst,)
        if not sound or not nx.is_path(graph, nodes):
            return tuple(fastest)
        if most is not None and self._delay_ns(nodes, contract.packet_bytes) > most:
            return tuple(fastest)
        return nodes

    def _full(self, room: Mapping[Link, int], order: Slice, contract: Contract) -> RefusedError:
        """Why no way has room, and how much the widest has."""
        rate = contract.slo.guaranteed_bps
        for widest in sorted({left for left in room.values() if left < rate}, reverse=True):
            graph = self._graph.copy()
            graph.remove_edges_from([link for link, left in room.items() if left < widest])
            if nx.has_path(graph, contract.src, contract.dst):
                break
        weight = sending(graph, contract.packet_bytes)
        way = least_cost_path(graph, contract.src, contract.dst, weight)
        a, b = next(link for link in pairwise(way) if room.get(link, rate) < rate)
        offer = max(widest, 0)
        return RefusedError(
            f"link {a} -> {b} has room for {show_bps(offer)} of the {show_bps(rate)} guaranteed",
            path=_yang(order, contract),
            where=f"contract {contract.id}, from {contract.src} to {contract.dst}",
            expected="a path with room for the guaranteed rate",
            remedy=f"order {show_bps(offer)} or less",
        )

    def _delay_ns(self, nodes: Sequence[str], packet_bytes: int) -> int:
        """One-way, of one packet alone."""
        return alone_ns([self._ports[link] for link in pairwise(nodes)], nodes, packet_bytes)

    def _path(
        self,
        id_: str,
        order: Slice,
        contract: Contract,
        nodes: tuple[str, ...],
        queue: int,
        serial: int,
    ) -> Path:
        label = FIRST_ORDER_LABEL + serial % ORDER_LABELS
        return Path(
            id=id_,
            cookie=FIRST_ORDER_COOKIE + serial,
            slice=order.id,
            src=contract.src,
            dst=contract.dst,
            nodes=nodes,
            label=label if len(nodes) > 3 else None,
            queue=queue,
            policy=self._policy.name,
        )

    # Queues

    def _queue(self, others: Book, order: Slice) -> tuple[str, int]:
        """Name and number: that of those who share it, else the lowest that is free."""
        name = None if self._scheduler == "fifo" else self._policy.queue_of(order)
        numbers = {known: number for number, (known, _) in enumerate(self._names, start=1)}
        numbers |= {one.queue_name: one.queue for one in others.placed if one.queue}
        if order.isolation == "dedicated-queue" and (name is None or name in numbers):
            raise RefusedError(
                f"policy {self._policy.name} has no queue for this slice alone",
                path="/service-slo-sle-policy/sle-policy/isolation",
                expected="a policy that gives each slice its queue",
            )
        if name is None:
            return "", 0
        taken = set(numbers.values())
        free = next(number for number in range(1, len(taken) + 2) if number not in taken)
        return name, numbers.get(name, free)

    def ports(
        self, book: Book, links: Iterable[Link], leaving: Sequence[Placed] = ()
    ) -> tuple[Port, ...]:
        """The shaped switch ports among these, with the queues they have under the book,
        and those of orders that are `leaving` where the book needs none."""
        passing, gone = _passing(book.placed), _passing(leaving)
        names = {one.queue: one.queue_name for one in (*leaving, *book.placed)}
        return tuple(
            self._queued(self._ports[link], gone.get(link, {}) | passing.get(link, {}), names)
            for link in dict.fromkeys(links)
            if self._schedules(self._ports[link])
        )

    def _queued(
        self,
        port: Port,
        here: Mapping[int, Sequence[tuple[Slice, int]]],
        names: Mapping[int, str],
    ) -> Port:
        if not here:
            return port
        rate, kept = port.rate_bps or 0, self._scheduler == "htb"
        queues = {queue.id: queue for queue in port.queues} or {0: self._best_effort(port)}
        level = {0: 128}  # after the last slice
        for number, (_, members) in enumerate(self._names, start=1):
            level[number] = min(self.slices[id_].priority for id_ in members)
        for number, served in here.items():
            planned = queues.get(number)
            promised = sum(bps for _, bps in served) + (planned.promised_bps if planned else 0)
            peaks = [rate if s.maximum_bps is None else s.maximum_bps for s, _ in served]
            most = sum(peaks) + ((planned.peak_bps or rate) if planned else 0)
            peak = max(promised, min(rate, most)) if kept else rate
            queues[number] = Queue(
                id=number,
                name=names[number],
                promised_bps=promised if kept else 0,
                peak_bps=0 if peak == rate else peak,
                limit_packets=port.buffer_packets,
            )
            level[number] = min(level.get(number, 127), *(s.priority for s, _ in served))
        levels = sorted({level[number] for number in queues})
        levelled = (
            msgspec.structs.replace(queue, level=levels.index(level[number]))
            for number, queue in sorted(queues.items())
        )
        return port.having(msgspec.structs.replace(port.queueing, queues=tuple(levelled)))

    def _best_effort(self, port: Port) -> Queue:
        rate = port.rate_bps or 0
        return Queue(
            id=0,
            name=BEST_EFFORT,
            promised_bps=rate // BEST_EFFORT_SHARE if self._scheduler == "htb" else 0,
            limit_packets=port.buffer_packets,
        )

    def _few_queues(self, book: Book, made: Placed) -> None:
        links = [link for one in made.carried for link in pairwise(one.path.nodes)]
        for port in self.ports(book, links):
            if len(port.queues) > MAX_QUEUES:
                raise RefusedError(
                    f"port {port.name} has {MAX_QUEUES} queues already",
                    where=f"link {port.node} -> {port.peer_node}",
                    expected=f"at most {MAX_QUEUES} queues at a port",
                    remedy="a policy whose queue_of() gives one queue to several slices",
                )

    def _marked(self, port: Port) -> Port:
        if not self._schedules(port):
            return port
        best = (self._best_effort(port),)
        return port.having(msgspec.structs.replace(port.queueing, queues=best))

    def _schedules(self, port: Port) -> bool:
        return port.rate_bps is not None and port.node not in self._ip

    def _room(self, book: Book) -> dict[Link, int]:
        """What each shaped switch port has left to guarantee."""
        room = {
            link: port.rate_bps - port.rate_bps // BEST_EFFORT_SHARE - self._promised[link]
            for link, port in self._ports.items()
            if port.rate_bps is not None and self._schedules(port)
        }
        for placed in book.placed:
            for one in placed.carried:
                for link in pairwise(one.path.nodes):
                    if link in room:
                        room[link] -= one.guaranteed_bps
        return room

    def _kept(self) -> dict[Link, int]:
        """What the plan's slices are promised, link by link."""
        passing = defaultdict[Link, set[str]](set)
        for path in (one.path for one in self._first.paths):
            for nodes in (path.nodes, *(backup.nodes for backup in path.backups)):
                for link in pairwise(nodes):
                    passing[link].add(path.slice)
        for link, port in self._ports.items():
            passing[link] |= {source.slice for source in port.sources}
        return {
            link: sum(self.slices[s].guaranteed_bps for s in passing[link] if s in self.slices)
            for link in self._ports
        }


def _passing(orders: Iterable[Placed]) -> dict[Link, dict[int, list[tuple[Slice, int]]]]:
    """Link -> queue number -> the slices in it, and what each is guaranteed there."""
    found: dict[Link, dict[int, list[tuple[Slice, int]]]] = {}
    for placed in orders:
        for one in placed.carried if placed.queue else ():
            for link in pairwise(one.path.nodes):
                served = found.setdefault(link, {}).setdefault(placed.queue, [])
                served.append((placed.slice, one.guaranteed_bps))
    return found


def _graph(state: State) -> nx.DiGraph:
    """As Network.graph() has it, of what policies may ask."""
    graph = nx.DiGraph()
    for host in state.hosts:
        graph.add_node(host.name, role="host", kind=host.kind)
    for switch in state.switches:
        graph.add_node(switch.name, role="switch", kind=switch.kind)
    for port in state.ports:
        graph.add_edge(
            port.node,
            port.peer_node,
            delay_ns=port.delay_ns,
            rate_bps=port.rate_bps,
            overhead_bytes=port.transmitter.overhead_bytes,
            km=port.km,
        )
    return graph


def _parts(order: Slice, contract: Contract) -> tuple[str, str, str, str]:
    """Group, construct, sender and receiver of a contract."""
    for group in order.groups:
        for construct in group.constructs:
            for sender in construct.senders:
                for receiver in construct.receivers:
                    if f"{group.id}/{construct.id}/{sender}>{receiver}" == contract.id:
                        return group.id, construct.id, sender, receiver
    raise PlanError(f"contract {contract.id} is not of slice {order.id}")


def _yang(order: Slice, contract: Contract) -> str:
    group, construct, _, _ = _parts(order, contract)
    return (
        f"/connection-groups/connection-group[id='{group}']"
        f"/connectivity-construct[id='{construct}']"
    )
