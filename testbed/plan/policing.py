"""Policers: a slice that sends more than its maximum loses the excess where it enters.

At the first switch of each of its paths and backups, before its packets wait at the port they leave
by, a token bucket lets a slice's maximum rate and a burst through. Slices in one queue
share a bucket of their rates together, if all have a maximum. What passes an entrance and
is not of the slice is not touched, whatever schedules the port.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from testbed.errors import PlanError
from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.net.paths import Path
from testbed.plan.background import Routed
from testbed.plan.rules import from_switch
from testbed.port.pipeline import Port
from testbed.port.policers import Policer, Policers
from testbed.scenario.model import DEFAULT_PACKET_BYTES, Slice
from testbed.slices.policy import BEST_EFFORT, MAX_QUEUES
from testbed.slices.queues import Names
from testbed.units import show_bps


def with_policers(
    ports: Sequence[Port],
    paths: Iterable[Path],
    slices: Mapping[str, Slice],
    names: Names,
    burst_bytes: int,
) -> tuple[Port, ...]:
    """The ports, each with the policers of slices that enter the network before it.

    `names` are those of with_queues(). Raises PlanError for a slice with a maximum rate
    that cannot be told from others, and for bursts that no packet fits in.
    """
    least_bytes = DEFAULT_PACKET_BYTES + ETHERNET_OVERHEAD_BYTES
    if burst_bytes < least_bytes:
        raise PlanError(
            f"policing with bursts of {burst_bytes} bytes lets no full frame through",
            where="policing",
            expected=f"at least {least_bytes} bytes, which one takes on the wire",
        )
    entering: dict[tuple[str, str], set[int]] = defaultdict(set)
    for path in paths:
        if path.queue:
            for nodes in (path.nodes[1:], *(from_switch(path, one) for one in path.backups)):
                if nodes[0] == path.nodes[1]:
                    entering[nodes[0], nodes[1]].add(path.queue)
        elif slices[path.slice].maximum_bps is not None:
            raise PlanError(
                f"slice {path.slice} has no queue of its own, so it cannot be policed",
                where=f"{path.id}, policy {path.policy}",
                expected="a policy whose queue_of() names one"
                if path.slice != BEST_EFFORT
                else "a slice other than best effort",
            )
    buckets = {
        number: Policer(queue=number, name=name, rate_bps=sum(known), burst_bytes=burst_bytes)
        for number, (name, members) in enumerate(names, start=1)
        if len(known := _maxima(members, slices)) == len(members)
    }

    def policed(port: Port) -> Port:
        here = entering[port.node, port.peer_node] & buckets.keys()
        if len(here) > MAX_QUEUES:
            raise PlanError(
                f"{len(here)} slices are policed at port {port.name}",
                where=f"link {port.node} -> {port.peer_node}",
                expected=f"at most {MAX_QUEUES}",
                remedy="a policy whose queue_of() gives one queue to several slices",
            )
        if not here:
            return port
        return port.having(Policers(policers=tuple(buckets[n] for n in sorted(here))))

    return tuple(policed(port) for port in ports)


def check_backgrounds(routed: Routed, slices: Mapping[str, Slice]) -> None:
    """Raises PlanError for modelled background that policers would thin out.

    Each port counts background anew, so what the first drops is not missing at the next.
    """
    for background, _ in routed:
        most_bps = slices[background.slice].maximum_bps
        if most_bps is not None and background.rate_bps > most_bps:
            raise PlanError(
                f"modelled background of {show_bps(background.rate_bps)} would be policed",
                where=f"background {background.id}, slice {background.slice}",
                expected=f"at most the slice's maximum, {show_bps(most_bps)}",
                remedy="a flow(), whose packets are real, or no policing",
            )


def _maxima(members: Iterable[str], slices: Mapping[str, Slice]) -> list[int]:
    return [bps for id_ in members if (bps := slices[id_].maximum_bps) is not None]
