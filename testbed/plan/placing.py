"""What an order asks for, path by path: its ends, its packets, its ways, its numbers. Pure.

An order's packets are those between its ends that fit its match criteria: DSCPs, addresses,
protocol and ports. Where two orders take the same packets, the one that says more of them has
them, ports before DSCP. They come before the plan's best effort; packets of a slice of the
plan cannot be ordered away.

A direction goes by the policy's path over the links that have room for its rate, or by the
fastest of those. Paths, labels and queue numbers of the plan and of other orders are never
given anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import pairwise

import msgspec
import networkx as nx

from testbed.errors import PlanError, unknown
from testbed.net.matches import overlap, rank
from testbed.net.paths import Book, Carried, Path, Placed
from testbed.net.state import State
from testbed.net.tables import Match
from testbed.plan.refusal import RefusedError, construct_path, parts, term_path
from testbed.plan.routing import queue_names
from testbed.scenario.model import Contract, Slice
from testbed.slices.costs import sending
from testbed.slices.paths import least_cost_path, path_sum
from testbed.slices.policy import BEST_EFFORT, Demand, Policy
from testbed.slices.sent import Traffic
from testbed.units import least_ns, most_bps, show_bps, show_ns

FIRST_ORDER_COOKIE = 1 << 32
FIRST_ORDER_LABEL = 1 << 19
ORDER_LABELS = 1 << 19
"""The upper half of all labels; plans count up from the lowest."""
MAX_DIRECTIONS = 400
"""Of one order: 20 hosts, each with every other, are 380."""

Link = tuple[str, str]
Nodes = tuple[str, ...]


class Placing:
    """Puts orders on the paths of one network."""

    def __init__(self, first: State, policy: Policy) -> None:
        """`first` is what the plan begins with, which was made with the policy."""
        self._first, self.policy = first, policy
        self.slices = {slice_.id: slice_ for slice_ in first.slices}
        self.names = queue_names(policy, self.slices.values())
        self._ip = {host.name: host.ip for host in first.hosts}
        self._graph = nx.freeze(graph_of(first))

    def ways(
        self, order: Slice, room: Mapping[Link, int], without: frozenset[Link]
    ) -> Iterator[tuple[Nodes, ...]]:
        """A path for each contract: the policy's, then the fastest. Raises RefusedError.

        `room` is what links have left to guarantee; `without` are links not to go by.
        """
        known = None
        for fastest in (False, True):
            left, found = dict(room), list[Nodes]()
            for contract in order.contracts():
                nodes = self._way(left, without, order, contract, fastest)
                found.append(nodes)
                for link in pairwise(nodes):
                    if link in left:
                        left[link] -= contract.slo.guaranteed_bps
            if tuple(found) != known:
                known = tuple(found)
                yield known

    def placed(
        self, before: Book, order: Slice, ways: Sequence[Nodes], old: Placed | None, *, held: bool
    ) -> Book:
        """The book with the order on these paths, in place of the old one if there is one.

        Raises RefusedError.
        """
        others = [one for one in before.placed if one is not old]
        name, number = self._queue(others, order)
        known = {one.path.id: one for one in old.carried} if old else {}
        labels = {c.path.label for p in before.placed for c in p.carried}
        serial, carried = before.serial, list[Carried]()
        for contract, nodes in zip(order.contracts(), ways, strict=True):
            matches = self._matches(order, contract)
            self._apart(others, carried, order, contract, matches)
            id_ = f"{order.id}/{contract.id}"
            same = known.get(id_)
            if same is not None and (same.path.nodes, same.path.queue) == (nodes, number):
                path = same.path
            else:
                serial += 1
                while FIRST_ORDER_LABEL + serial % ORDER_LABELS in labels:
                    serial += 1
                path = Path(
                    id=id_,
                    cookie=FIRST_ORDER_COOKIE + serial,
                    slice=order.id,
                    src=contract.src,
                    dst=contract.dst,
                    nodes=nodes,
                    label=FIRST_ORDER_LABEL + serial % ORDER_LABELS if len(nodes) > 3 else None,
                    queue=number,
                    policy=self.policy.name,
                )
            carried.append(
                Carried(path=path, matches=matches, guaranteed_bps=contract.slo.guaranteed_bps)
            )
        made = Placed(slice=order, queue_name=name, queue=number, carried=tuple(carried), held=held)
        placed = tuple(made if one is old else one for one in before.placed)
        return Book(placed=placed if old else (*placed, made), serial=serial)

    def check(self, order: Slice) -> None:
        """Raises RefusedError for an order that is about nothing here."""
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

    # Which packets

    def _matches(self, order: Slice, contract: Contract) -> tuple[Match, ...]:
        """Packets from one end to the other that its criteria name. Raises RefusedError."""
        group, construct, sender, _ = parts(order, contract)
        criteria = [
            match
            for sdp in order.sdps
            if sdp.id == sender
            for match in sdp.matches
            if match.group == group and match.construct in (None, construct)
        ]
        path = f"/sdps/sdp[id='{sender}']/service-match-criteria"
        for match in criteria:
            for kind in ("vlan", "label", "port", "acl"):
                if getattr(match, kind):
                    raise RefusedError(
                        f"match by {kind} is not carried",
                        path=path,
                        tag="operation-not-supported",
                        expected="dscp, source-ip-prefix, destination-ip-prefix or any",
                    )
            for prefixes, node in ((match.src, contract.src), (match.dst, contract.dst)):
                address = ip_address(self._ip[node])
                if prefixes and not any(address in ip_network(one, False) for one in prefixes):
                    raise RefusedError(
                        f"{node} has address {address}, which is not in {', '.join(prefixes)}",
                        path=path,
                        tag="invalid-value",
                        expected=f"a prefix with {address} in it",
                    )
        every = Match(ipv4_src=self._ip[contract.src], ipv4_dst=self._ip[contract.dst])
        found = dict.fromkeys(
            msgspec.structs.replace(every, dscp=dscp)
            for match in criteria or (None,)
            for dscp in (match.dscp if match is not None and match.dscp else (None,))
        )
        return (every,) if every in found else tuple(sorted(found, key=lambda one: one.dscp or 0))

    def _apart(
        self,
        others: Sequence[Placed],
        own: Sequence[Carried],
        order: Slice,
        contract: Contract,
        matches: Sequence[Match],
    ) -> None:
        """No packet belongs to two slices."""
        for owner, path, theirs, planned in self._takers(others, own, order):
            if (path.src, path.dst) != (contract.src, contract.dst):
                continue
            if any(
                overlap(mine, their) and (planned or rank(mine) == rank(their))
                for mine in matches
                for their in theirs
            ):
                raise RefusedError(
                    f"packets from {path.src} to {path.dst} belong to slice {owner}",
                    path=construct_path(order, contract),
                    where=f"contract {contract.id}",
                    expected="packets of no other slice",
                    remedy="a match criterion by another DSCP",
                )

    def _takers(
        self, others: Sequence[Placed], own: Sequence[Carried], order: Slice
    ) -> Iterator[tuple[str, Path, tuple[Match, ...], bool]]:
        """Slices, their paths, what takes them, and whether they were planned."""
        for one in self._first.paths:
            if one.path.slice != BEST_EFFORT:
                marked = tuple(
                    match
                    if match.dscp is not None
                    else msgspec.structs.replace(match, dscp=one.dscp)
                    for match in one.matches
                )
                yield one.path.slice, one.path, marked, True
        for placed in others:
            for one in placed.carried:
                yield placed.slice.id, one.path, one.matches, False
        for one in own:
            yield order.id, one.path, one.matches, False

    # Which way

    def _way(
        self,
        room: Mapping[Link, int],
        without: frozenset[Link],
        order: Slice,
        contract: Contract,
        fastest: bool,
    ) -> Nodes:
        """The way of one direction. Raises RefusedError."""
        rate, slo = contract.slo.guaranteed_bps, contract.slo
        asked = [ns for ns in (slo.delay_ns, slo.delay_percentile_ns) if ns is not None]
        demand = Demand(
            id=f"{order.id}/{contract.id}",
            slice=order,
            src=contract.src,
            dst=contract.dst,
            delay_ns=min(asked, default=None),
            traffic=traffic_of(contract),
        )
        whole, graph = self._graph, self._graph
        weight = sending(whole, contract.packet_bytes)
        gone = {link for link, left in room.items() if left < rate} | without
        if gone:
            graph = whole.copy()
            graph.remove_edges_from(gone)
            graph = nx.freeze(graph)
        try:
            least = least_cost_path(graph, contract.src, contract.dst, weight)
        except PlanError:
            raise self._full(whole, room, without, order, contract) from None
        most, least_ns_ = demand.delay_ns, path_sum(graph, least, weight)
        if most is not None and least_ns_ > most:
            free = least_cost_path(whole, contract.src, contract.dst, weight)
            about = "" if free == least else f" over links with room for {show_bps(rate)}"
            term = "maximum" if slo.delay_ns == most else "percentile"
            raise RefusedError(
                f"the least one-way delay from {contract.src} to {contract.dst}{about} is "
                f"{show_ns(least_ns_)}, without queueing",
                path=term_path(order, contract, metric(f"one-way-delay-{term}")),
                where=f"contract {contract.id}",
                expected=f"one-way-delay-{term} of {show_ns(most)}",
                remedy=f"order a delay of {least_ns(least_ns_)} or more",
            )
        if fastest:
            return least
        try:
            nodes = tuple(self.policy.path(graph, demand))
        except PlanError:
            return least
        sound = nodes[:1] == (contract.src,) and nodes[-1:] == (contract.dst,)
        if not sound or not nx.is_path(graph, nodes) or len(set(nodes)) != len(nodes):
            return least
        return least if most is not None and path_sum(graph, nodes, weight) > most else nodes

    def _full(
        self,
        whole: nx.DiGraph,
        room: Mapping[Link, int],
        without: frozenset[Link],
        order: Slice,
        contract: Contract,
    ) -> RefusedError:
        """Why no way has room, and how much the widest has."""
        rate = contract.slo.guaranteed_bps
        graph = whole.copy()
        graph.remove_edges_from(without)
        for widest in sorted({left for left in room.values() if left < rate}, reverse=True):
            left = graph.copy()
            left.remove_edges_from([link for link, bps in room.items() if bps < widest])
            if nx.has_path(left, contract.src, contract.dst):
                break
        else:
            return RefusedError(
                f"nothing leads from {contract.src} to {contract.dst}",
                path=construct_path(order, contract),
                where=f"contract {contract.id}",
                expected="a way over links that are up",
            )
        weight = sending(whole, contract.packet_bytes)
        way = least_cost_path(left, contract.src, contract.dst, weight)
        a, b = next(link for link in pairwise(way) if room.get(link, rate) < rate)
        offer = max(widest, 0)
        return RefusedError(
            f"link {a} -> {b} has room for {show_bps(offer)} of the {show_bps(rate)} guaranteed",
            path=term_path(order, contract, metric("one-way-bandwidth")),
            where=f"contract {contract.id}, from {contract.src} to {contract.dst}",
            expected="a path with room for the guaranteed rate",
            remedy=f"order {most_bps(offer)} or less",
        )

    def _queue(self, others: Sequence[Placed], order: Slice) -> tuple[str, int]:
        """Name and number: that of those who share it, else the lowest that is free."""
        name = None if self._first.scheduler == "fifo" else self.policy.queue_of(order)
        numbers = {known: number for number, (known, _) in enumerate(self.names, start=1)}
        numbers |= {one.queue_name: one.queue for one in others if one.queue}
        if order.isolation == "dedicated-queue" and (name is None or name in numbers):
            raise RefusedError(
                f"policy {self.policy.name} has no queue for this slice alone",
                path="/service-slo-sle-policy/sle-policy/isolation",
                expected="a policy that gives each slice its queue",
            )
        if name is None:
            return "", 0
        taken = set(numbers.values())
        free = next(number for number in range(1, len(taken) + 2) if number not in taken)
        return name, numbers.get(name, free)

    def alone(self, others: Sequence[Placed], order: Slice) -> bool:
        """Whether the slice has a queue to itself. Raises RefusedError."""
        _, number = self._queue(others, order)
        shared = {one.queue for one in others} | set(range(1, len(self.names) + 1))
        return bool(number) and number not in shared


def metric(name: str) -> str:
    """A metric's bound, below a policy of the slice."""
    return f"slo-policy/metric-bound[metric-type='{name}']"


def traffic_of(contract: Contract) -> Traffic:
    """What an order says it sends."""
    return Traffic(
        rate_bps=contract.rate_bps,
        burst_bytes=contract.burst_bytes,
        largest_bytes=contract.packet_bytes,
        smallest_bytes=contract.packet_bytes,
    )


def graph_of(state: State) -> nx.DiGraph:
    """As Network.graph() has it, of what policies may ask."""
    graph = nx.DiGraph(name=state.policy, scheduler=state.scheduler)
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
