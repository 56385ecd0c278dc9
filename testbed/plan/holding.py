"""Whether everyone keeps what was promised, by network calculus on a state. Pure.

Planned traffic is what the plan says, an order's what its contracts say where it is held to
them, all that enter at one port together, else anything. What orders are promised holds
beside best effort that never stops; what the plan's slices are promised, beside the best
effort that is planned, and from the moment on that it held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from testbed.frames import SMALLEST_TCP_BYTES
from testbed.net.paths import Path
from testbed.net.state import State
from testbed.plan.afterwards import present
from testbed.plan.model import Plan
from testbed.plan.served import FRAME_BYTES, bucket
from testbed.plan.session_bounds import flows_of, path_hops, watching
from testbed.plan.wiring import Wiring
from testbed.port.curves import Bucket, together
from testbed.scenario.model import Slo
from testbed.slices.bounds import Bound, Endless, Flow, Hop, Network
from testbed.slices.policy import LATE_NS
from testbed.units import show_ns


class Lack(NamedTuple):
    """A promise that does not hold."""

    slice: str
    path: str
    """Id of the path."""
    field: str
    """Of Slo."""
    what: str
    worst_ns: int | None = None
    """What a delay promised instead would have to be; None: there is none."""


def proved(slo: Slo) -> bool:
    """Whether it takes network calculus to say that this is kept."""
    return any(getattr(slo, name) is not None for name in (*_DELAYS, *_VARIATIONS, "loss"))


_DELAYS = ("delay_ns", "delay_percentile_ns")
_VARIATIONS = ("variation_ns", "variation_percentile_ns")


class Holding:
    """What holds in the states of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        slices = {slice_.id: slice_ for slice_ in plan.slices}
        self._planned = [
            (one.path, slo)
            for one in plan.paths
            if one.path.slice in slices and one.path.id in plan.traffic
            if (slo := slices[one.path.slice].promised(one.path.src, one.path.dst)) is not None
            if proved(slo)
        ]

    def promising(self, state: State) -> bool:
        """Whether anything is promised that has to be proved."""
        return bool(self._planned) or any(proved(slo) for _, slo in ordered(state))

    def lacks(self, before: State, after: State, new: str) -> list[Lack]:
        """What is promised and does not hold once slice `new` is ordered: to it, and to all
        others, as far as that held before."""
        if not self.promising(after):
            return []
        found = list(self._lacks(after))
        if all(lack.slice == new for lack in found):
            return found
        known = {(lack.path, lack.field) for lack in self._lacks(before)}
        return [one for one in found if one.slice == new or (one.path, one.field) not in known]

    def _lacks(self, state: State) -> Iterator[Lack]:
        wiring, network = self._network(state)
        if self._planned:
            network.settle()
        for path, slo in self._planned:
            yield from _lacks(wiring, network, path, slo)
        asked = [(path, slo) for path, slo in ordered(state) if proved(slo)]
        if asked:
            network.add({}, _best_effort(wiring))
            network.settle()
        for path, slo in asked:
            yield from _lacks(wiring, network, path, slo)

    def bounds(self, state: State) -> dict[str, int]:
        """Path id -> the longest delay of an order's packets beside endless best effort, of
        those that have any; one-way, ns."""
        wiring, network = self._network(state)
        network.add({}, _best_effort(wiring))
        network.settle()
        every = {path.id: network.bound(network.flows[path.id]) for path, _ in ordered(state)}
        return {id_: one.latency_ns for id_, one in every.items() if isinstance(one, Bound)}

    def _network(self, state: State) -> tuple[Wiring, Network]:
        """The state's ports and flows, not settled yet, and without endless best effort."""
        wiring, sessions, loads = present(self._plan, state)
        traffic = {one.path.id: self._plan.traffic.get(one.path.id) for one in self._plan.paths}
        network = Network()
        network.add(
            {port.name: port for port in wiring.ports},
            [
                *watching(self._plan),
                *flows_of(wiring, sessions, loads, traffic),
                *_orders(wiring, state),
            ],
        )
        return wiring, network


def ordered(state: State) -> Iterator[tuple[Path, Slo]]:
    """The paths of orders, and what is promised on each."""
    for placed in state.book.placed:
        contracts = {f"{placed.slice.id}/{one.id}": one.slo for one in placed.slice.contracts()}
        for one in placed.carried:
            yield one.path, contracts[one.path.id]


def _orders(wiring: Wiring, state: State) -> Iterator[Flow]:
    for placed in state.book.placed:
        contracts = {f"{placed.slice.id}/{one.id}": one for one in placed.slice.contracts()}
        ways = {one.path: path_hops(wiring, one.path.nodes, one.path) for one in placed.carried}
        held: dict[str, list[Bucket]] = {}
        for path, hops in ways.items():
            held.setdefault(_entrance(path, hops), []).append(bucket(contracts[path.id]))
        for path, hops in ways.items():
            yield Flow(
                id=path.id,
                hops=tuple(Hop(hop.port, hop.queue) for hop in hops),
                burst=together(held[_entrance(path, hops)]) if placed.held else None,
                packets=1,
                largest_bits=8 * FRAME_BYTES,
                smallest_bits=8 * SMALLEST_TCP_BYTES,
                told_bits=8 * SMALLEST_TCP_BYTES,
                late_ns=LATE_NS,
            )


def _entrance(path: Path, hops: Sequence[Hop]) -> str:
    """The port that holds an order to what it says: all of its directions there together, any
    of which may be all that is sent."""
    return next((hop.port for hop in hops if hop.policer is not None), path.id)


def _best_effort(wiring: Wiring) -> Iterator[Flow]:
    """At every port of a switch: it never stops."""
    switches = {switch.name for switch in wiring.switches}
    for port in wiring.ports:
        if port.node in switches and port.rate_bps is not None:
            least = 8 * SMALLEST_TCP_BYTES
            hops = (Hop(port.name),)
            yield Flow(f"best effort at {port.name}", hops, None, 1, 8 * FRAME_BYTES, least, least)


def _lacks(wiring: Wiring, network: Network, path: Path, slo: Slo) -> Iterator[Lack]:
    ports = [wiring.port(*link) for link in pairwise(path.nodes)]
    least_ns = sum(port.delay_ns for port in ports)
    asked = [*((name, 0) for name in _DELAYS), *((name, least_ns) for name in _VARIATIONS)]
    most = [getattr(slo, name) + more for name, more in asked if getattr(slo, name) is not None]
    bound = network.bound(network.flows[path.id], min(most, default=inf))
    if isinstance(bound, Endless):
        loose = [f.id for f in network.flows.values() if f.burst is None and _passes(f, bound.port)]
        why = f"nothing holds {loose[0]}" if loose else "more comes than can be sent"
        for name in (*_DELAYS, *_VARIATIONS, "loss"):
            if getattr(slo, name) is not None:
                yield Lack(path.slice, path.id, name, f"none can be kept at {bound.port}: {why}")
        return
    worst_ns = bound.latency_ns
    for name in _DELAYS:
        most_ns = getattr(slo, name)
        if most_ns is not None and worst_ns > most_ns:
            yield Lack(path.slice, path.id, name, _more(worst_ns, most_ns), worst_ns)
    varies_ns = worst_ns - least_ns
    for name in _VARIATIONS:
        most_ns = getattr(slo, name)
        if most_ns is not None and varies_ns > most_ns:
            what = f"delays may differ by {show_ns(varies_ns)}, more than {show_ns(most_ns)}"
            yield Lack(path.slice, path.id, name, what, varies_ns)
    if slo.loss is None:
        return
    full = next((at.port for at in bound.ports if not at.lossless), None)
    lost = 1.0
    for port in ports:
        lost *= 1 - port.loss
    if full is not None:
        yield Lack(path.slice, path.id, "loss", f"packets may find the buffer of {full} full")
    elif 1 - lost > slo.loss:
        what = f"its links lose {1 - lost:.2g} of all packets, more than {slo.loss:.2g}"
        yield Lack(path.slice, path.id, "loss", what)


def _more(worst_ns: int, most_ns: int) -> str:
    over = show_ns(worst_ns - most_ns)
    return f"packets may take {show_ns(worst_ns)}, {over} more than {show_ns(most_ns)}"


def _passes(flow: Flow, port: str) -> bool:
    return any(hop.port == port for hop in flow.hops)
