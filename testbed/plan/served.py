"""The ports of a network with its orders: queues, policers, and the rates that are left. Pure.

A port serves the slices that were planned and those that were ordered alike (slices/queues.py).
What an order says it sends is held to where it enters the network, if its promise or those of
others rest on it: a token bucket of its contracts, with room for one packet more, since its
host may hold one up. An order whose ways pass its own entrances is not held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from testbed.frames import ETHERNET_OVERHEAD_BYTES, LABEL_BYTES, LABELLED_FRAME_BYTES
from testbed.net.paths import Book, Placed
from testbed.net.state import State
from testbed.plan.refusal import RefusedError
from testbed.plan.wiring import Wiring
from testbed.port.curves import Bucket
from testbed.port.pipeline import Port
from testbed.port.policers import Policer, Policers
from testbed.port.queues import MAX_QUEUES
from testbed.scenario.model import Contract
from testbed.slices.policy import BEST_EFFORT_SHARE
from testbed.slices.queues import Member, Names, member, served

Link = tuple[str, str]
FRAME_BYTES = LABELLED_FRAME_BYTES + ETHERNET_OVERHEAD_BYTES
"""The longest packet, on the wire."""


class Serving:
    """The ports of one network under any book."""

    def __init__(self, first: State, names: Names) -> None:
        """`first` is what the plan begins with; `names` are the planned queues."""
        self._first = first
        self._hosts = {host.name for host in first.hosts}
        self.by_link = {(port.node, port.peer_node): port for port in first.ports}
        self._slices = {slice_.id: slice_ for slice_ in first.slices}
        self._names = names
        self._planned, self._kept = self._members()
        marked = tuple(
            port.having(served(port, (), "htb").queueing)
            if self.schedules(port) and not port.queues
            else port
            for port in first.ports
        )
        self.wiring = Wiring(first.hosts, first.switches, marked)
        """All ports that schedule have queues here, so that the rules of an order do not
        depend on who else has queues at a port."""

    def schedules(self, port: Port) -> bool:
        """Whether it may have queues: a switch's, with a rate."""
        return port.rate_bps is not None and port.node not in self._hosts

    def tells(self, ways: Iterable[Sequence[str]]) -> bool:
        """Whether an order on these ways can be held to what it says where it enters: nothing
        of it passes there that has come by a queue already, which a policer cannot tell."""
        found = [self._scheduled(nodes) for nodes in ways]
        entrances = {links[0] for links in found if links}
        return all(entrances.isdisjoint(links[1:]) for links in found)

    def _scheduled(self, nodes: Sequence[str]) -> list[Link]:
        return [link for link in pairwise(nodes) if self.schedules(self.by_link[link])]

    def ports(
        self, book: Book, links: Iterable[Link], leaving: Sequence[Placed] = ()
    ) -> tuple[Port, ...]:
        """The scheduling ports among these, as they are under the book; and with those of
        orders that are `leaving` where the book needs none."""
        passing, gone = _passing(book.placed), _passing(leaving)
        entering = self._entering([*leaving, *book.placed])
        found = []
        for link in dict.fromkeys(links):
            port = self.by_link[link]
            if not self.schedules(port):
                continue
            here = gone.get(link, {}) | passing.get(link, {})
            members = [*self._planned.get(link, ()), *(m for some in here.values() for m in some)]
            if here:
                port = served(port, members, self._first.scheduler)
            if link in entering:
                policers = {one.queue: one for one in (*port.policers, *entering[link].values())}
                every = tuple(policers[number] for number in sorted(policers))
                port = port.having(Policers(policers=every))
            found.append(port)
        return tuple(found)

    def check(self, book: Book, made: Placed) -> None:
        """Raises RefusedError where a port of an order's paths has too many queues, where its
        queue is another's that is held to what it says, and where something before it, or it
        before others, keeps to nothing."""
        for other in book.placed:
            if other is not made and other.queue == made.queue and other.held:
                raise RefusedError(
                    f"queue {made.queue_name} is held to what slice {other.slice.id} says it sends",
                    expected="a queue whose slices are promised a rate at most",
                    remedy="a policy whose queue_of() gives the slice another queue",
                )
        links = [link for one in made.carried for link in pairwise(one.path.nodes)]
        passing = _passing(book.placed)
        loose = {one.queue: one.slice for one in book.placed if one.queue and not one.held}
        for link in dict.fromkeys(links):
            here = passing.get(link, {})
            every = [*self._planned.get(link, ()), *(m for some in here.values() for m in some)]
            if len({one.queue for one in every}) >= MAX_QUEUES:
                raise RefusedError(
                    f"port {self.by_link[link].name} has {MAX_QUEUES} queues already",
                    where=f"link {link[0]} -> {link[1]}",
                    expected=f"at most {MAX_QUEUES} queues at a port",
                    remedy="a policy whose queue_of() gives one queue to several slices",
                )
            if self._first.scheduler != "strict_priority":
                continue
            for number in loose.keys() & here.keys():
                for other in every:
                    behind = other.priority >= loose[number].priority
                    if other.queue != number and other.kept_bps and behind:
                        raise RefusedError(
                            f"slice {loose[number].id} is served before slice {other.name}, which "
                            "is guaranteed a rate, and says no rate that it keeps to itself",
                            path="/service-slo-sle-policy/slo-policy"
                            "/metric-bound[metric-type='one-way-bandwidth']",
                            where=f"link {link[0]} -> {link[1]}",
                            expected="a rate: one-way-bandwidth, or cir of each SDP",
                            remedy="order a rate, or a priority after those of the others",
                        )

    def room(self, book: Book) -> dict[Link, int]:
        """What each scheduling port has left to guarantee."""
        room = {
            link: port.rate_bps - port.rate_bps // BEST_EFFORT_SHARE - self._kept[link]
            for link, port in self.by_link.items()
            if port.rate_bps is not None and self.schedules(port)
        }
        for placed in book.placed:
            for one in placed.carried:
                for link in pairwise(one.path.nodes):
                    if link in room:
                        room[link] -= one.guaranteed_bps
        return room

    def _members(self) -> tuple[dict[Link, list[Member]], dict[Link, int]]:
        """The planned slices in queues of each port, and what is kept for all planned ones."""
        passing, queued = defaultdict[Link, set[str]](set), defaultdict[Link, set[str]](set)
        for path in (one.path for one in self._first.paths):
            for nodes in (path.nodes, *(backup.nodes for backup in path.backups)):
                for link in pairwise(nodes):
                    passing[link].add(path.slice)
                    if path.queue:
                        queued[link].add(path.slice)
        for link, port in self.by_link.items():
            passing[link] |= {source.slice for source in port.sources}
            queued[link] |= {source.slice for source in port.sources if source.queue}
        kept = {
            link: sum(self._slices[s].guaranteed_bps for s in passing[link] if s in self._slices)
            for link in self.by_link
        }
        members = {
            link: [
                member(number, name, self._slices[id_], self._slices[id_].guaranteed_bps)
                for number, (name, ids) in enumerate(self._names, start=1)
                for id_ in ids
                if id_ in here
            ]
            for link, here in queued.items()
        }
        return members, kept

    def _entering(self, orders: Iterable[Placed]) -> dict[Link, dict[int, Policer]]:
        """Where orders that are held come to the first queues, and their buckets there."""
        found: dict[Link, dict[int, Policer]] = defaultdict(dict)
        for placed in orders:
            if not placed.held:
                continue
            contracts = {f"{placed.slice.id}/{one.id}": one for one in placed.slice.contracts()}
            by_port: dict[Link, list[Bucket]] = defaultdict(list)
            for one in placed.carried:
                for link in self._scheduled(one.path.nodes)[:1]:
                    by_port[link].append(bucket(contracts[one.path.id]))
            for link, some in by_port.items():
                found[link][placed.queue] = Policer(
                    queue=placed.queue,
                    name=placed.queue_name,
                    rate_bps=sum(one.bps for one in some),
                    burst_bytes=sum(one.bits for one in some) // 8,
                )
        return found


def _passing(orders: Iterable[Placed]) -> dict[Link, dict[int, list[Member]]]:
    """Link -> queue number -> the orders in it, with what each keeps there."""
    found: dict[Link, dict[int, list[Member]]] = {}
    for placed in orders:
        for one in placed.carried if placed.queue else ():
            for link in pairwise(one.path.nodes):
                here = found.setdefault(link, {}).setdefault(placed.queue, [])
                here.append(
                    member(placed.queue, placed.queue_name, placed.slice, one.guaranteed_bps)
                )
    return found


def bucket(contract: Contract) -> Bucket:
    """What comes of a direction of an order that is held, on the wire."""
    packets = -(-contract.burst_bytes // contract.packet_bytes)
    more = packets * (LABEL_BYTES + ETHERNET_OVERHEAD_BYTES)
    return Bucket(8 * (contract.burst_bytes + more + FRAME_BYTES), contract.rate_bps)
