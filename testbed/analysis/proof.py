"""What is decided before any packet is sent: by the bound, or by the budget.

No packet takes longer than its bound, whenever senders begin (network calculus), so a
deadline that is not before the bound is met at every phase; no packet takes less than its
budget, so a deadline before that is missed. Neither takes statistics. The bound says
nothing of packets that are lost, and neither of what a run's events make of the network: a
way round a cut link may be longer, or have less delay.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from testbed.net.legs import Direction, bound_over_ns
from testbed.net.paths import Path
from testbed.plan.model import Plan, Session


def decided(
    plan: Plan, session: Session, direction: Direction, budget_ns: int
) -> Literal["met", "missed"] | None:
    """Whether every packet of a session meets its deadline, or none; None: neither is known."""
    if session.deadline_ns is None:
        return None
    least_ns, most_ns = within(plan, session, direction, budget_ns)
    if least_ns > session.deadline_ns:
        return "missed"
    ways = [leg.path for leg in session.over(direction)]
    if most_ns > session.deadline_ns or any(_lossy(plan, way) for way in ways):
        return None
    return "met"


def within(
    plan: Plan, session: Session, direction: Direction, budget_ns: int
) -> tuple[float, float]:
    """What no message takes less, and none that links do not lose takes more, at any phase, ns;
    +inf where a queue may be too short for what comes."""
    if plan.events:
        return 0.0, math.inf
    legs = session.over(direction)
    most_ns = bound_over_ns(legs)
    if most_ns is None or not all(leg.bound is not None and leg.bound.lossless for leg in legs):
        return float(budget_ns), math.inf
    return float(budget_ns), float(most_ns)


def _lossy(plan: Plan, way: Path) -> bool:
    return any(plan.port(*hop).loss for hop in pairwise(way.nodes))
