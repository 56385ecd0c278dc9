"""Measured delays and backlogs against the plan's bounds.

A bound (plan/session_bounds.py) holds for packets that keep to what was planned: senders on
time, a lab that is exact, and the network in the state it is of: the first, or one that an event
leaves until the next (plan/afterwards.py). Packets of a message leave together, so it holds
for messages too. Such a message that takes longer than its bound is a defect of the
emulation, and fails the run; so does a queue that was longer than its bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from testbed.analysis.independence import Delays
from testbed.errors import EmulationError
from testbed.net.deltas.reroute import Reroute
from testbed.net.legs import Direction, Leg, bound_over_ns
from testbed.net.timeline import UNCONFIRMED, Entry
from testbed.plan.afterwards import bounds_of
from testbed.plan.model import Plan, Session
from testbed.slices.policy import LATE_NS
from testbed.units import show_bytes, show_ns

if TYPE_CHECKING:
    from testbed.analysis.summary import Series, SummaryRow

Kept = Literal["kept", "exceeded", "not judged", "no bound"]


def punctual(samples: pd.DataFrame) -> bool:
    """Whether every packet left as near to its moment as the bounds assume."""
    late = samples["schedule_error_ns"].dropna()
    return bool((late.abs() <= LATE_NS).all())


class Window(NamedTuple):
    """A time in which one state of the network lasts, and what holds in it."""

    from_ns: float
    """Messages sent since then meet it."""
    until_ns: float
    delays_ns: Mapping[str, int]
    """Path id -> bound."""


class Held(NamedTuple):
    """Messages against the bounds of the states that they met."""

    kept: Kept
    over: int = 0
    """How many took longer."""
    beyond_ns: int | None = None
    """Delay of the one that was furthest over its bound; None: none was over."""
    beyond_bound_ns: int | None = None
    """The bound that it was over, of the state it met."""


def windows(plan: Plan, timeline: Sequence[Entry] = ()) -> tuple[Window, ...]:
    """The states of a run that went as it was known beforehand, as far as it did so.

    Each begins when all that follows from its event was done and packets of before had passed.
    """
    edges = [*(event.at_ns for event in plan.events), math.inf]
    found = [Window(-math.inf, min(edges), bounds_of(plan))]
    done = {entry.event: entry.actual_ns for entry in timeline if entry.event is not None}
    for number, after in enumerate(plan.afterwards[: len(plan.events)]):
        moved = {
            (entry.delta.cookie, entry.delta.way): entry.actual_ns
            for entry in timeline
            if isinstance(entry.delta, Reroute)
            and entry.told != UNCONFIRMED
            and edges[number] <= entry.actual_ns < edges[number + 1]
        }
        if number not in done or set(moved) != set(after.reroutes):
            break
        settled_ns = max(done[number], *moved.values(), 0) + after.settle_ns
        found.append(Window(settled_ns, edges[number + 1], after.delays_ns))
    return tuple(found)


def judge(
    windows: Sequence[Window], session: Session, direction: Direction, now: Series, *, exact: bool
) -> Held:
    """Whether messages kept to the bounds of the states they met.

    Only those are judged that were due to arrive before the next event, the reflector's time
    included.

    Args:
        exact: senders were on time, no load sent more than planned, and the lab's own
            error is below 1 us.
    """
    legs, before = session.over(direction), session.before(direction)
    if bound_over_ns(legs) is None:
        return Held("no bound")
    held_ns = sum(leg.end.hold_ns for leg in session.legs)
    over = judged = 0
    worst: tuple[float, float] | None = None
    for window in windows:
        now_legs = [_within(leg, window) for leg in legs]
        limit = bound_over_ns(now_legs)
        if not exact or limit is None:
            continue
        asked_ns = sum(window.delays_ns.get(leg.path.id, math.inf) for leg in before)
        due_ns = now.intended_ns + asked_ns + limit + LATE_NS + held_ns
        met = (now.intended_ns >= window.from_ns) & (
            (due_ns < window.until_ns) | (window.until_ns == math.inf)
        )
        delays: Delays = now.delay_ns[met]
        judged += len(delays)
        beyond = delays[np.isfinite(delays) & (delays > limit)]
        over += len(beyond)
        if len(beyond) and (worst is None or beyond.max() - limit > worst[0] - worst[1]):
            worst = float(beyond.max()), limit
    if worst is not None:
        return Held("exceeded", over, round(worst[0]), round(worst[1]))
    return Held("kept" if judged else "not judged")


def _within(leg: Leg, window: Window) -> Leg:
    """The leg as it is in a window."""
    if leg.bound is None:
        return leg
    latency_ns = window.delays_ns.get(leg.path.id)
    bound = msgspec.structs.replace(leg.bound, latency_ns=latency_ns)
    return msgspec.structs.replace(leg, bound=bound)


def exceeded(plan: Plan, rows: Sequence[SummaryRow], control: Any) -> EmulationError | None:
    """The worst packet or queue beyond its bound, as an error; None if there is none.

    `control` is 4-control.json, with the queues' own counters.
    """
    beyond = [row for row in rows if row.bound == "exceeded"]
    if beyond:
        row = max(beyond, key=lambda row: (row.beyond_ns or 0) - (row.beyond_bound_ns or 0))
        took_ns, limit_ns = row.beyond_ns or 0, row.beyond_bound_ns or 0
        then = "" if limit_ns == row.bound_ns else ", that of the network as it was by then"
        return EmulationError(
            f"{row.app} {row.direction} took {show_ns(took_ns)}, which is "
            f"{show_ns(took_ns - limit_ns)} more than its bound",
            where=f"{row.bound_over:,} of {row.messages:,} messages of session {row.session} "
            f"on {row.path}",
            expected=f"{show_ns(limit_ns)} at most{then}, if {row.bound_assumptions}",
            remedy="a defect of the emulation or of the bound: repeat it with --pcap NODE:PORT",
        )
    if plan.events or not any(row.bound == "kept" for row in rows):
        return None
    return _too_long(plan, control)


def _too_long(plan: Plan, control: Any) -> EmulationError | None:
    had = {
        (port["name"], queue["id"]): queue.get("max_backlog_bytes") or 0
        for port in (control or {}).get("ports", ())
        for queue in port.get("queues", ())
    }
    for limit in plan.backlog_bounds:
        most = had.get((limit.port, limit.queue), 0)
        if most > limit.bytes:
            return EmulationError(
                f"queue {limit.queue} of {limit.port} held {show_bytes(most)}",
                where=f"port {limit.port}",
                expected=f"{show_bytes(limit.bytes)} at most, its bound",
                remedy="a defect of the emulation or of the bound: see 4-control.json",
            )
    return None
