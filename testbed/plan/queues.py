"""Queues of the ports that slices with a queue of their own pass.

Only shaped switch ports have queues: hosts cannot select one, and a port without a rate
never queues. Queue 0 is best effort. It keeps 5 % of the port, so that nothing starves;
what slices do not use is lent to whoever comes first by priority, best effort last.

A slice keeps its rate on its backups too: what protects it is there when it is needed,
and no two slices count on the same room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from testbed.errors import PlanError
from testbed.plan.model import Path, Port, Queue, Switch
from testbed.scenario.model import Slice
from testbed.units import show_bps

BEST_EFFORT_SHARE = 20
"""One part in so many of each port's rate is kept for best effort."""
LAST_PRIORITY = 7
"""HTB has priorities 0 to 7."""


def with_queues(
    ports: Sequence[Port],
    switches: Iterable[Switch],
    paths: Iterable[Path],
    slices: Mapping[str, Slice],
    names: Sequence[tuple[str, tuple[str, ...]]],
) -> tuple[Port, ...]:
    """The ports, each with the queues that its paths need.

    `names` are the policy's queues and their slices, first served first: the number of
    a queue is its place in it, from 1. Raises PlanError where promises do not fit.
    """
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
        queues = _queues(port, port.rate_bps, here, slices, names)
        return msgspec.structs.replace(port, queues=queues)

    return tuple(queued(port) for port in ports)


def _queues(
    port: Port,
    rate_bps: int,
    here: set[str],
    slices: Mapping[str, Slice],
    names: Sequence[tuple[str, tuple[str, ...]]],
) -> tuple[Queue, ...]:
    kept_bps = rate_bps // BEST_EFFORT_SHARE
    _fits(port, rate_bps - kept_bps, [slices[id_] for id_ in sorted(here)])
    levels = sorted({_level(members, slices) for _, members in names})
    queues = [
        Queue(
            id=0,
            name="best-effort",
            rate_bps=kept_bps,
            ceil_bps=rate_bps,
            priority=LAST_PRIORITY,
            buffer_packets=port.buffer_packets,
        )
    ]
    for number, (name, members) in enumerate(names, start=1):
        served = [slices[id_] for id_ in members if id_ in here]
        if not served:
            continue
        promised_bps = sum(s.guaranteed_bps for s in served)
        most_bps = sum(rate_bps if s.maximum_bps is None else s.maximum_bps for s in served)
        queues.append(
            Queue(
                id=number,
                name=name,
                rate_bps=promised_bps,
                ceil_bps=max(promised_bps, min(rate_bps, most_bps)),
                priority=min(levels.index(_level(members, slices)), LAST_PRIORITY - 1),
                buffer_packets=port.buffer_packets,
            )
        )
    return tuple(queues)


def _level(members: Iterable[str], slices: Mapping[str, Slice]) -> int:
    return min(slices[id_].priority for id_ in members)


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
