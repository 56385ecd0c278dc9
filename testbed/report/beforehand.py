"""What is decided before anything runs: deadlines that the bound or the budget settles."""

from __future__ import annotations

from testbed.analysis.proof import decided
from testbed.analysis.summary import budget, judged
from testbed.plan.model import Plan
from testbed.report.wording import delay, listed, nominal

_NAMED = 4
"""So many are named; of more, their number is told."""


def beforehand(plan: Plan) -> str:
    """One sentence; empty where no session has a deadline."""
    met, missed, left = list[str](), list[str](), list[str]()
    for session in plan.sessions:
        if session.deadline_ns is None:
            continue
        for direction in judged(session):
            least_ns = budget(session, direction).total_ns
            name = f"{session.id} {session.directions.get(direction, direction)}"
            word = decided(plan, session, direction, least_ns)
            if word == "missed":
                missed.append(f"{name} ({delay(least_ns)} of {nominal(session.deadline_ns)})")
            else:
                (left if word is None else met).append(name)
    judged_ = len(met) + len(missed) + len(left)
    if not judged_:
        return ""
    told = []
    if met:
        told.append(f"{_these(met, judged_)} met at every phase, by the bound (network calculus)")
    if missed:
        told.append(f"{_these(missed, judged_)} beyond reach: the budget alone is more")
    if left:
        told.append(f"{_these(left, judged_)} measured")
    return f"Deadlines before the run: {'; '.join(told)}."


def _these(names: list[str], of: int) -> str:
    if len(names) == of and of > 1:
        return f"all {of}"
    return listed(names) if len(names) <= _NAMED else f"{len(names)} of {of}"
