"""Measured delays and backlogs against the plan's bounds.

A bound (plan/bounds.py) holds for packets that keep to what was planned: senders on time,
links up, a lab that is exact. Packets of a message leave together, so it holds for messages
too. Such a message that takes longer than its bound is a defect
of the emulation, and fails the run; so does a queue that was longer than its bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from testbed.analysis.independence import Delays
from testbed.errors import EmulationError
from testbed.plan.model import Plan, Session
from testbed.probes.schedule import HOLD_NS
from testbed.slices.policy import LATE_NS
from testbed.units import show_bytes, show_ns

if TYPE_CHECKING:
    from testbed.analysis.summary import Direction, Series, SummaryRow

Kept = Literal["kept", "exceeded", "not judged", "no bound"]


def bound_ns(session: Session, direction: Direction) -> int | None:
    """A direction's bound; of a round trip, both ways' together."""
    ways = {
        "forward": (session.forward_bound,),
        "reverse": (session.reverse_bound,),
    }.get(direction, (session.forward_bound, session.reverse_bound))
    found = [way.latency_ns for way in ways if way is not None and way.latency_ns is not None]
    return sum(found) if len(found) == len(ways) else None


def assumptions(session: Session, direction: Direction) -> tuple[str, ...]:
    """What a direction's bound rests on."""
    ways = [
        way
        for name, way in (("forward", session.forward_bound), ("reverse", session.reverse_bound))
        if way is not None and direction in (name, "rtt")
    ]
    return tuple(dict.fromkeys(text for way in ways for text in way.assumptions))


def punctual(samples: pd.DataFrame) -> bool:
    """Whether every packet left as near to its moment as the bounds assume."""
    late = samples["schedule_error_ns"].dropna()
    return bool((late.abs() <= LATE_NS).all())


def judge(plan: Plan, now: Series, limit: int | None, *, exact: bool) -> tuple[Kept, int]:
    """Whether messages kept to a bound, and how many did not.

    Only those are judged that were due to arrive before the first link went down, the
    reflector's time included.

    Args:
        exact: senders were on time, no load sent more than planned, and the lab's own
            error is below 1 us.
    """
    if limit is None:
        return "no bound", 0
    first = min((event.at_ns for event in plan.events), default=None)
    delays: Delays = now.delay_ns
    if first is not None:
        delays = delays[now.intended_ns + limit + LATE_NS + HOLD_NS < first]
    if not exact or not len(delays):
        return "not judged", 0
    over = int(np.count_nonzero(np.isfinite(delays) & (delays > limit)))
    return ("exceeded" if over else "kept"), over


def exceeded(plan: Plan, rows: Sequence[SummaryRow], control: Any) -> EmulationError | None:
    """The worst packet or queue beyond its bound, as an error; None if there is none.

    `control` is 4-control.json, with the queues' own counters.
    """
    beyond = [row for row in rows if row.bound == "exceeded"]
    if beyond:
        row = max(beyond, key=lambda row: (row.max_ns or 0) - (row.bound_ns or 0))
        return EmulationError(
            f"{row.app} {row.direction} took {show_ns(row.max_ns or 0)}, which is "
            f"{show_ns((row.max_ns or 0) - (row.bound_ns or 0))} more than its bound",
            where=f"{row.bound_over:,} of {row.messages:,} messages of session {row.session} "
            f"on {row.path}",
            expected=f"{show_ns(row.bound_ns or 0)} at most, if {row.bound_assumptions}",
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
