"""What traffic offers to each port, and what slices are guaranteed there, against its rate.

A flow offers its whole rate to every port of its path, as frames take on the wire there,
whatever a port before may delay or drop. TCP offers nothing: it sends what there is room
for. Of flows at different times the moment counts at which they offer most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from testbed.frames import UDP_HEADERS_BYTES, label_bytes
from testbed.net.paths import Path
from testbed.plan.model import Load, Plan, Session
from testbed.scenario.scenario import Scenario
from testbed.traffic.kinds import KINDS
from testbed.units import show_bps

_NAMED = 0.1
"""Flows of at least such a share are named."""

Hop = tuple[str, str]


class Offer(NamedTuple):
    """One flow at one port."""

    id: str
    slice: str
    bps: float
    start_ns: int
    end_ns: int
    modelled: bool = False


def offered(plan: Plan) -> dict[Hop, list[Offer]]:
    """Node and peer of each port with a rate -> what is offered to it."""
    found: dict[Hop, list[Offer]] = defaultdict(list)
    shaped = {
        (port.node, port.peer_node): port.transmitter.overhead_bytes
        for port in plan.ports
        if port.rate_bps is not None
    }
    for path, offer in _flows(plan):
        for way in (path.nodes, *(b.nodes for b in path.backups if b.failed is None)):
            for at, hop in enumerate(pairwise(way)):
                if hop in shaped:
                    label = label_bytes(at, way, path.label is not None)
                    found[hop].append(offer(label + shaped[hop]))
    for port in plan.ports:
        for one in port.sources:
            found[port.node, port.peer_node].append(
                Offer(one.id, one.slice, one.rate_bps, one.start_ns, one.stop_ns, modelled=True)
            )
    return found


def most_bps(offers: list[Offer]) -> float:
    """Together, when it is most."""
    return max(
        (
            sum(offer.bps for offer in offers if offer.start_ns <= at < offer.end_ns)
            for at in {offer.start_ns for offer in offers}
        ),
        default=0.0,
    )


def _flows(plan: Plan) -> Iterator[tuple[Path, Callable[[int], Offer]]]:
    """Each path, and what its flow offers where its packets have so many bytes more."""
    for session in plan.sessions:
        for leg in session.legs:
            yield leg.path, _session(session, session.payloads(leg))
    for load in plan.loads:
        if not KINDS[load.kind].elastic:
            yield load.path, _load(load)


def _session(session: Session, payloads: Sequence[int]) -> Callable[[int], Offer]:
    end_ns = session.start_ns + session.count * session.interval_ns

    def offer(more: int) -> Offer:
        bits = sum(8 * (payload + UDP_HEADERS_BYTES + more) for payload in payloads)
        bps = bits * 1e9 / session.interval_ns
        return Offer(session.id, session.slice, bps, session.start_ns, end_ns)

    return offer


def _load(load: Load) -> Callable[[int], Offer]:
    end_ns = load.start_ns + load.duration_ns

    def offer(more: int) -> Offer:
        bps = load.rate_bps * (load.packet_bytes + UDP_HEADERS_BYTES + more) / load.packet_bytes
        return Offer(load.id, load.slice, bps, load.start_ns, end_ns)

    return offer


def overloads(scenario: Scenario, plan: Plan) -> list[str]:
    """A sentence each for links that carry less than they are offered, or than is guaranteed on
    them; empty if there are none.

    Where modelled background is too much by itself, its own notes tell (background.py).
    """
    return [*_too_much_offered(plan), *_too_much_guaranteed(scenario, plan)]


def _too_much_offered(plan: Plan) -> Iterator[str]:
    rates = {(port.node, port.peer_node): port.rate_bps or 0 for port in plan.ports}
    over = {
        hop: (most, offers)
        for hop, offers in offered(plan).items()
        if (most := most_bps(offers)) > rates[hop]
        and most_bps([offer for offer in offers if offer.modelled]) <= rates[hop]
    }
    if not over:
        return
    hop = max(over, key=lambda hop: over[hop][0] / rates[hop])
    most, offers = over[hop]
    names = ", ".join(dict.fromkeys(o.id for o in offers if o.bps >= most * _NAMED))
    others = {0: "", 1: "; so is 1 link more"}.get(len(over) - 1, f"; so are {len(over) - 1} more")
    yield (
        f"Link {' -> '.join(hop)} is offered {show_bps(most)}, {most / rates[hop]:.0%} of its rate "
        f"(mostly by {names}){others}: a queue stays full there and what is too much is lost. For "
        f"a network that keeps up, offer {show_bps(most - rates[hop])} less or give the link "
        f"{show_bps(most)}."
    )


def _too_much_guaranteed(scenario: Scenario, plan: Plan) -> Iterator[str]:
    """Planning has refused it only where ports have queues."""
    guaranteed = {slice_.id: slice_.guaranteed_bps for slice_ in scenario.slices}
    passing: Mapping[Hop, set[str]] = defaultdict(set)
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    for flow in flows:
        for path in flow.paths:
            for hop in pairwise(path.nodes):
                if guaranteed.get(path.slice):
                    passing[hop].add(path.slice)
    for port in plan.ports:
        here = passing.get((port.node, port.peer_node), set())
        asked_bps = sum(guaranteed[id_] for id_ in here)
        if port.rate_bps is not None and asked_bps > port.rate_bps:
            of = f"slice {next(iter(here))} is" if len(here) == 1 else "slices are"
            told = ", ".join(f"{id_} {show_bps(guaranteed[id_])}" for id_ in sorted(here))
            yield (
                f"On link {port.node} -> {port.peer_node}, which carries "
                f"{show_bps(port.rate_bps)}, {of} guaranteed {show_bps(asked_bps)} ({told}), which "
                f"cannot be kept: guarantee {show_bps(asked_bps - port.rate_bps)} less, or give "
                f"the link {show_bps(asked_bps)}."
            )
            return
