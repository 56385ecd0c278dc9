"""What is decided before any packet is sent: by the bound, or by the budget.

No packet takes longer than its bound, whenever senders begin (network calculus), so a
deadline that is not before the bound is met at every phase; no packet takes less than its
budget, so a deadline before that is missed. Neither takes statistics. The bound says
nothing of packets that are lost, and neither of what a run's events make of the network: a
way round a cut link may be longer, or have less delay.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from testbed.analysis import bounds
from testbed.plan.model import Path, Plan, Session

if TYPE_CHECKING:
    from testbed.analysis.summary import Direction


def decided(
    plan: Plan, session: Session, direction: Direction, budget_ns: int
) -> Literal["met", "missed"] | None:
    """Whether every packet of a session meets its deadline, or none; None: neither is known."""
    if session.deadline_ns is None or plan.events:
        return None
    if budget_ns > session.deadline_ns:
        return "missed"
    limit_ns = bounds.bound_ns(session, direction)
    if limit_ns is None or limit_ns > session.deadline_ns:
        return None
    ways = {"forward": (session.forward,), "reverse": (session.reverse,)}.get(
        direction, (session.forward, session.reverse)
    )
    return "met" if all(_lossless(plan, session, way) for way in ways) else None


def _lossless(plan: Plan, session: Session, way: Path) -> bool:
    bound = session.forward_bound if way is session.forward else session.reverse_bound
    if bound is None or not bound.lossless:
        return False
    return not any(plan.port(*hop).loss for hop in pairwise(way.nodes))
