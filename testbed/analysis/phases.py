"""What each session saw between one event of a run and the next.

A message is of the phase in which it was due to be sent. The first phase begins when the
session's warm-up is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd

from testbed.analysis.summary import judged, series
from testbed.net.legs import Direction
from testbed.plan.model import Plan, Session
from testbed.scenario.model import Frozen


class Phase(Frozen, frozen=True, kw_only=True):
    """One session in one direction between two events."""

    event: int | None
    """Index of the plan's event that the phase follows; None: from the start on."""
    session: str
    direction: str
    messages: int
    lost: int
    max_ns: int | None
    """Of those that arrived."""


def phases(plan: Plan, samples: pd.DataFrame) -> list[Phase]:
    """A row for each session, judged direction and phase, in this order."""
    groups = dict(tuple(samples.groupby("session", observed=True)))
    return [
        phase
        for session in plan.sessions
        if session.id in groups
        for direction in judged(session)
        for phase in _phases(plan, session, direction, groups[session.id])
    ]


def _phases(
    plan: Plan, session: Session, direction: Direction, packets: pd.DataFrame
) -> Iterable[Phase]:
    found = series(direction, packets)
    edges = [max(0, session.warmup_ns), *(event.at_ns for event in plan.events), None]
    for number, (begin, end) in enumerate(pairwise(edges)):
        mine = found.intended_ns >= (begin or 0)
        if end is not None:
            mine &= found.intended_ns < end
        delays = found.delay_ns[mine]
        arrived = delays[np.isfinite(delays)]
        yield Phase(
            event=number - 1 if number else None,
            session=session.id,
            direction=session.called(direction),
            messages=len(delays),
            lost=len(delays) - len(arrived),
            max_ns=round(float(arrived.max())) if len(arrived) else None,
        )
