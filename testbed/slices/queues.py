"""Queues of the ports that slices with a queue of their own pass.

Only shaped switch ports have queues: hosts cannot select one, and a port without a rate
never queues. Queue 0 is best effort, last by priority. Whatever schedules them, guaranteed
rates have to fit in 95 % of the port, so that best effort is not starved.

    fifo             no queues: packets leave as they come
    htb              every queue is served at its guaranteed rate, best effort at 5 % of the
                     port; what is not used is lent to whoever comes first by priority
    strict_priority  whoever comes first by priority is served as long as it has packets
    time_aware       gates, one cycle at all ports (gates.py)

A slice keeps its rate on its backups too: what protects it is there when it is needed,
and no two slices count on the same room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import msgspec

from testbed.errors import PlanError
from testbed.net.nodes import Switch
from testbed.net.paths import Path
from testbed.port.gates import Gates
from testbed.port.pipeline import Pipeline, Port
from testbed.port.queues import MAX_QUEUES, Queue, Queues
from testbed.scenario.model import Scheduler, Slice
from testbed.slices.gates import gate_cycle
from testbed.slices.policy import BEST_EFFORT_SHARE
from testbed.units import show_bps

Kind = TypeVar("Kind", bound=Pipeline)
Names = Sequence[tuple[str, tuple[str, ...]]]


def with_queues(
    ports: Sequence[Port],
    switches: Iterable[Switch],
    paths: Iterable[Path],
    slices: Mapping[str, Slice],
    names: Names,
    *,
    scheduler: Scheduler = "htb",
    cycle_ns: int = 1_000_000,
) -> tuple[Port, ...]:
    """The ports, each with the queues that its paths need.

    `names` are the policy's queues and their slices, first served first: the number of
    a queue is its place in it, from 1. Raises PlanError where promises do not fit.
    """
    if scheduler == "fifo":
        return tuple(ports)
    switching = {switch.name for switch in switches}
    passing: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in paths:
        if path.queue:
            for nodes in (path.nodes, *(backup.nodes for backup in path.backups)):
                for hop in pairwise(nodes):
                    passing[hop].add(path.slice)

    def queued(port: Port) -> Port:
        here = passing.get((port.node, port.peer_node))
        if not here or port.rate_bps is None or port.node not in switching:
            return port
        kept_bps = port.rate_bps // BEST_EFFORT_SHARE
        _fits(port, port.rate_bps - kept_bps, [slices[id_] for id_ in sorted(here)])
        members = [
            member(number, name, slices[id_], slices[id_].guaranteed_bps)
            for number, (name, ids) in enumerate(names, start=1)
            for id_ in ids
            if id_ in here
        ]
        return served(port, members, scheduler, cycle_ns)

    return tuple(queued(port) for port in ports)


class Member(NamedTuple):
    """A slice whose packets pass a port."""

    queue: int
    """Number of the queue they wait in, from 1."""
    name: str
    """Of the queue."""
    priority: int
    """1 is served first, 127 last."""
    kept_bps: int
    maximum_bps: int | None
    """None: as fast as the port."""


def member(queue: int, name: str, slice_: Slice, kept_bps: int) -> Member:
    """A slice in a queue, with what it keeps there."""
    return Member(queue, name, slice_.priority, kept_bps, slice_.maximum_bps)


def served(
    port: Kind, members: Iterable[Member], scheduler: Scheduler, cycle_ns: int = 1_000_000
) -> Kind:
    """A port with a rate, and the queues by which it serves these slices and best effort.

    Levels count from 0, best effort's is the last. Raises PlanError for more queues than a
    port can have, and where a cycle of gates is too short.
    """
    if scheduler == "fifo":
        return port
    queues = _queues(port, port.rate_bps or 0, members)
    if scheduler == "htb":
        return port.having(_holding(port, queues))
    free = [msgspec.structs.replace(one, promised_bps=0, peak_bps=0) for one in queues]
    freed = port.having(_holding(port, free))
    if scheduler == "strict_priority":
        return freed
    return freed.having(Gates(gates=gate_cycle(port, port.rate_bps or 0, queues, cycle_ns)))


def _holding(port: Pipeline, queues: Iterable[Queue]) -> Queues:
    return msgspec.structs.replace(port.queueing, queues=tuple(queues))


def _queues(port: Pipeline, rate_bps: int, members: Iterable[Member]) -> tuple[Queue, ...]:
    within: dict[int, list[Member]] = defaultdict(list)
    for one in members:
        within[one.queue].append(one)
    first = {number: min(one.priority for one in some) for number, some in within.items()}
    levels = sorted(set(first.values()))
    room = port.buffer_packets
    queues = [
        Queue(
            id=0,
            name="best-effort",
            promised_bps=rate_bps // BEST_EFFORT_SHARE,
            level=len(levels),
            limit_packets=room,
        )
    ]
    for number, some in sorted(within.items()):
        promised_bps = sum(one.kept_bps for one in some)
        most_bps = sum(rate_bps if one.maximum_bps is None else one.maximum_bps for one in some)
        peak_bps = max(promised_bps, min(rate_bps, most_bps))
        queues.append(
            Queue(
                id=number,
                name=some[0].name,
                promised_bps=promised_bps,
                peak_bps=0 if peak_bps == rate_bps else peak_bps,
                level=levels.index(first[number]),
                limit_packets=room,
            )
        )
    if len(queues) > MAX_QUEUES:
        where = f"link {port.node} -> {port.peer_node}" if isinstance(port, Port) else ""
        raise PlanError(
            f"{len(queues)} queues at port {port.name if isinstance(port, Port) else ''}".rstrip(),
            where=where,
            expected=f"at most {MAX_QUEUES}",
            remedy="a policy whose queue_of() gives one queue to several slices",
        )
    return tuple(queues)


def _fits(port: Port, room_bps: int, served: Sequence[Slice]) -> None:
    asked_bps = sum(slice_.guaranteed_bps for slice_ in served)
    if asked_bps <= room_bps:
        return
    asked = ", ".join(f"{s.id} {show_bps(s.guaranteed_bps)}" for s in served if s.guaranteed_bps)
    raise PlanError(
        f"guaranteed rates of {show_bps(asked_bps)} do not fit in port {port.name}",
        where=f"link {port.node} -> {port.peer_node}: {asked}",
        expected=f"at most {show_bps(room_bps)} together, "
        f"the port's rate less {100 // BEST_EFFORT_SHARE} % for best effort",
        remedy=f"guarantee {show_bps(asked_bps - room_bps)} less, or give the link "
        f"{show_bps(-(-asked_bps * BEST_EFFORT_SHARE // (BEST_EFFORT_SHARE - 1)))}",
    )
