"""Modelled background: from hosts and slices to the sources of each port, and in words.

A background takes the path that the policy gives a flow of its slice. Every port of it
that has a rate gets a source of its own, with its own seed, in the slice's queue. Ports
do not know of each other: what one delays or drops is not missing at the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from testbed.errors import PlanError
from testbed.net.paths import Path
from testbed.plan.model import Plan
from testbed.plan.pacing import derived_seed
from testbed.plan.routing import Router
from testbed.plan.traffic import background_id
from testbed.port.background import MAX_SOURCES, Background, Source
from testbed.port.pipeline import Port
from testbed.scenario import model as asked
from testbed.scenario.scenario import Scenario
from testbed.units import show_bps

Routed = Sequence[tuple[asked.Background, Path]]


def backgrounds(scenario: Scenario, router: Router) -> Routed:
    """Each background with its path."""
    return [(b, router.path(background_id(b))) for b in scenario.backgrounds]


def with_sources(ports: Sequence[Port], routed: Routed, seed: int) -> tuple[Port, ...]:
    """The ports, each with the background that passes it.

    Raises PlanError for background that no port would count, or for too much at one.
    """
    passing: dict[tuple[str, str], list[tuple[asked.Background, Path]]] = defaultdict(list)
    shaped = {(port.node, port.peer_node) for port in ports if port.rate_bps is not None}
    for background, path in routed:
        hops = [hop for hop in pairwise(path.nodes) if hop in shaped]
        if not hops:
            raise PlanError(
                "no port of the path has a rate, so none has a queue",
                where=f"background {background.id}, {' -> '.join(path.nodes)}",
                expected="a path over a link with a rate",
            )
        for hop in hops:
            passing[hop].append((background, path))

    def loaded(port: Port) -> Port:
        here = passing.get((port.node, port.peer_node))
        if here is None:
            return port
        if len(here) > MAX_SOURCES:
            raise PlanError(
                f"{len(here)} backgrounds pass one port",
                where=f"link {port.node} -> {port.peer_node}",
                expected=f"at most {MAX_SOURCES}",
                remedy="give one background the rate of several",
            )
        sources = tuple(_source(port, background, path, seed) for background, path in here)
        return port.having(Background(sources=sources))

    return tuple(loaded(port) for port in ports)


def _source(port: Port, background: asked.Background, path: Path, seed: int) -> Source:
    return Source(
        id=background.id,
        slice=background.slice,
        queue=path.queue if port.selects else 0,
        rate_bps=background.rate_bps,
        sizes=background.sizes,
        arrivals=background.arrivals,
        burst=background.burst,
        seed=derived_seed(seed, f"background {background.id} of {port.name}"),
        start_ns=background.start_ns,
        stop_ns=background.start_ns + background.duration_ns,
    )


def most_bps(port: Port) -> int:
    """The port's background while most of its sources are on at once."""
    return max(
        (
            sum(s.rate_bps for s in port.sources if s.start_ns <= at < s.stop_ns)
            for at in {source.start_ns for source in port.sources}
        ),
        default=0,
    )


def packets(plan: Plan) -> int:
    """About how many packets all ports together will count: it is what a run costs."""
    total = 0.0
    for port in plan.ports:
        for source in port.sources:
            weights = sum(weight for _, weight in source.sizes)
            bits = sum(8 * size * weight for size, weight in source.sizes) / weights
            total += source.rate_bps * (source.stop_ns - source.start_ns) / 1e9 / bits
    return round(total)


def notes(plan: Plan) -> list[str]:
    """What whoever reads a run has to know of its background; empty if there is none."""
    loaded = [port for port in plan.ports if port.sources]
    if not loaded:
        return []
    rates: Mapping[str, int] = {s.id: s.rate_bps for port in loaded for s in port.sources}
    where = "1 port" if len(loaded) == 1 else f"{len(loaded)} ports"
    told = [
        f"Modelled background: {show_bps(sum(rates.values()))} on {where}, "
        "counted in queues and not sent."
    ]
    over = [port for port in loaded if port.rate_bps and most_bps(port) > port.rate_bps]
    if over:
        worst = max(over, key=lambda port: most_bps(port) / (port.rate_bps or 1))
        share = most_bps(worst) / (worst.rate_bps or 1)
        told.append(
            f"It is a flood for {len(over)} of them: {share:.0%} of the rate of "
            f"{worst.node} -> {worst.peer_node}, whose queues stay full."
        )
    return told
