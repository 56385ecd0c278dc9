"""The delay bounds of the states after the events that are known beforehand.

In each of them packets take the ways they are sent by then, through ports as they are then.
What is sent into something broken still loads all of its way here, which it may not reach:
bounds of others are not less for it. What was on its way when an event came has passed after
a time that is stated, full buffers in front of it. What an order makes of the network is not
known beforehand, nor are bounds from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from testbed.net.history import history
from testbed.net.legs import Leg
from testbed.net.passage import passage_ns
from testbed.net.paths import Path
from testbed.net.state import State
from testbed.net.ways import Way, Ways
from testbed.plan.model import Afterwards, Load, Plan, Session
from testbed.plan.session_bounds import watching, with_bounds
from testbed.plan.wiring import Wiring
from testbed.port.pipeline import Port
from testbed.scenario.events.order import OrderEvent
from testbed.slices.sent import Traffic


def afterwards(plan: Plan, traffic: Mapping[str, Traffic | None]) -> tuple[Afterwards, ...]:
    """What holds after each event, up to the first order.

    `plan` has its own bounds already. Raises InputError for an event that cannot happen.
    """
    states = history(plan, plan.events)
    found: list[Afterwards] = []
    known = {_shape(plan): bounds_of(plan)}
    held = bounds_of(plan)
    for event, before, after in zip(plan.events, states, states[1:], strict=False):
        if isinstance(event, OrderEvent):
            break
        shape = _shape(after)
        if shape not in known:
            known[shape] = _delays(plan, after, traffic)
        now = known[shape]
        moved = {
            (cookie, after.ways.get(cookie, 0))
            for cookie in before.ways.keys() | after.ways.keys()
            if before.ways.get(cookie, 0) != after.ways.get(cookie, 0)
        }
        found.append(
            Afterwards(
                delays_ns=_either(held, now) if plan.recovery.bfd_ns is not None else now,
                reroutes=tuple(sorted(moved)),
                settle_ns=_settle_ns(before, after),
            )
        )
        held = now
    return tuple(found)


def bounds_of(plan: Plan) -> dict[str, int]:
    """Path id -> the bound of a path's packets, of those that have any in the first state."""
    return {
        path.id: bound.latency_ns
        for session in plan.sessions
        for path, bound in ((leg.path, leg.bound) for leg in session.legs)
        if bound is not None and bound.latency_ns is not None
    }


def _shape(state: State) -> bytes:
    """What bounds depend on, of what events change."""
    return msgspec.json.encode((state.condition, state.ways))


def _delays(plan: Plan, state: State, traffic: Mapping[str, Traffic | None]) -> dict[str, int]:
    """Path id -> the bound of a path's packets, of those that are whole and have any."""
    wiring, sessions, loads = present(plan, state)
    bounded, _ = with_bounds(wiring, sessions, loads, traffic, watching(plan))
    planned = {one.path.id: one.path for one in plan.paths}
    found = bounds_of(msgspec.structs.replace(plan, sessions=bounded))
    ways = Ways(state)
    return {id_: ns for id_, ns in found.items() if ways.whole(planned[id_])}


def present(plan: Plan, state: State) -> tuple[Wiring, list[Session], list[Load]]:
    """The ports as they are in a state, and planned traffic on the ways it takes by then."""

    ways = Ways(state)

    def now(leg: Leg) -> Leg:
        return msgspec.structs.replace(leg, path=_present(ways, leg.path))

    sessions = [msgspec.structs.replace(s, legs=tuple(map(now, s.legs))) for s in plan.sessions]
    loads = [
        msgspec.structs.replace(one, paths=tuple(_present(ways, path) for path in one.paths))
        for one in plan.loads
    ]
    broken = state.broken()
    ports = tuple(
        _dark(port) if frozenset((port.node, port.peer_node)) in broken else port
        for port in map(state.now, state.ports)
    )
    return Wiring(plan.hosts, plan.switches, ports), sessions, loads


def _present(ways: Ways, path: Path) -> Path:
    """The path as its packets go in a state; copies are sent whether or not they arrive."""
    if path.protection == "frer":
        return path
    sent = ways.sent_by(path)
    taken = _nodes((ways.whole(path) or sent)[0])
    if taken == path.nodes == _nodes(sent[-1]):
        return path
    return msgspec.structs.replace(path, nodes=taken, protection="none", backups=())


def _dark(port: Port) -> Port:
    """A port of a broken link: it sends, and nothing arrives."""
    return port.having(msgspec.structs.replace(port.channel, loss=1.0))


def _nodes(way: Way) -> tuple[str, ...]:
    return tuple(node for node, _ in way)


def _either(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Bounds that hold in both of two states: when BFD tells of a change is its own matter."""
    return {id_: max(before[id_], now[id_]) for id_ in before.keys() & now.keys()}


def _settle_ns(before: State, after: State) -> int:
    """Until packets of before are gone, whichever way they were on."""
    return max(_passing_ns(before), _passing_ns(after))


def _passing_ns(state: State) -> int:
    """What the slowest way takes that packets of a path are sent by."""
    towards = {(port.node, port.peer_node): state.now(port) for port in state.ports}
    ways = Ways(state)
    return max(
        (
            passage_ns(towards[hop] for way in ways.sent_by(one.path) for hop in _hops(way))
            for one in state.paths
        ),
        default=0,
    )


def _hops(way: Way) -> Iterator[tuple[str, str]]:
    return pairwise(_nodes(way))
