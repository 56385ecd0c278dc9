"""What is decided before anything runs: deadlines that the bound or the budget settles, and
promises that the plan itself breaks."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.analysis.proof import decided
from testbed.analysis.structure import structure
from testbed.analysis.summary import judged
from testbed.net.legs import budget_over
from testbed.plan.model import Load, Plan, Session
from testbed.report.naming import listed
from testbed.report.wording import delay, nominal
from testbed.scenario.model import Slice

_NAMED = 4
"""So many are named; of more, their number is told."""
_REMEDIES = {
    "diversity": 'self.policy("disjoint_pair") looks for two such paths',
    "protection": "order another protection, or none",
    "isolation": "take a policy whose queue_of() gives the slice a queue of its own",
}


def beforehand(plan: Plan) -> str:
    """One sentence; empty where no session has a deadline."""
    met, missed, left = list[str](), list[str](), list[str]()
    for session in plan.sessions:
        if session.deadline_ns is None:
            continue
        for direction in judged(session):
            least_ns = budget_over(session.over(direction)).total_ns
            name = f"{session.id} {session.called(direction)}"
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
        told.append(f"{_these(left, judged_)} left to the run to measure")
    return f"Deadlines before the run: {'; '.join(told)}."


def _these(names: list[str], of: int) -> str:
    if len(names) == of and of > 1:
        return "both" if of == 2 else f"all {of}"
    return listed(names) if len(names) <= _NAMED else f"{len(names)} of {of}"


def broken(plan: Plan, slices: Iterable[Slice]) -> list[str]:
    """A sentence with its remedy for each slice and term of its structure that the plan breaks,
    whatever is sent."""
    by_id = {slice_.id: slice_ for slice_ in slices}
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    found: dict[tuple[str, str], str] = {}
    for flow in flows:
        if flow.slice not in by_id:
            continue
        for path in flow.paths:
            for term, asked, held, how in structure(plan, by_id[flow.slice], path):
                if held == "broken":
                    found.setdefault(
                        (flow.slice, term),
                        f"Slice {flow.slice} is promised {term} of {asked}, which is broken "
                        f"({path.src} to {path.dst}): {how}; {_REMEDIES[term]}.",
                    )
    return list(found.values())
