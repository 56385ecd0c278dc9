"""How long each event of a run interrupted each session, and what was lost by it.

An outage is the time between the last good message before it and the first good one
after, both by when they were due to be sent (packet-loss derived, RFC 6413 clause 3.4.2
counts alike): the true interruption is shorter by at most two intervals of the session.
Of several runs of losses the longest counts. An event answers for the runs that begin
between it and the next event, and for what was on its way when it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.cut import as_late, settled
from testbed.analysis.summary import REORDERED, judged, series
from testbed.analysis.variation import Integers
from testbed.files import write_whole
from testbed.net.legs import RTT, Direction
from testbed.plan.model import Plan, Session
from testbed.results.folder import OUTAGES, RunFolder
from testbed.scenario.events import Event
from testbed.scenario.model import Frozen

YARDSTICK_NS = 50_000_000
"""What transport networks promise for protection switching (ITU-T G.841 clause 7.1.1)."""


class Outage(Frozen, frozen=True, kw_only=True):
    """One event seen by one session in one direction."""

    event: str
    at_ns: int
    session: str
    app: str
    direction: str
    lost: int
    reordered: int
    """Messages out of order (RFC 4737)."""
    outage_ns: int | None
    """0: nothing was lost; None: no good message came any more."""


def outages(plan: Plan, samples: pd.DataFrame) -> list[Outage]:
    """A row for each event, session and judged direction, in this order."""
    groups = dict(tuple(samples.groupby("session", observed=True)))
    found = [
        _seen(plan.events, session, direction, groups[session.id])
        for session in plan.sessions
        if session.id in groups
        for direction in judged(session)
    ]
    return [rows[number] for number in range(len(plan.events)) for rows in found]


def _seen(
    events: Sequence[Event], session: Session, direction: Direction, packets: pd.DataFrame
) -> list[Outage]:
    """A row for each event."""
    packets = settled(session, direction, packets.sort_values("seq"))
    found = series(direction, as_late(direction, packets))
    known = np.isin(found.seq, series(direction, packets).seq)
    flights_ns = [series(way, packets).delay_ns for way in (session.legs[0].name, RTT)]
    early_ns = max(took[np.isfinite(took)].max(initial=0) for took in flights_ns)
    passed = (*session.before(direction), *session.over(direction))
    early_ns += sum(leg.end.hold_ns for leg in passed[:-1])  # later legs begin so much later
    starts_ns = np.array([event.at_ns - early_ns for event in events])

    def cause(due_ns: Integers) -> Integers:
        """Index of the event that answers for messages due at these moments; -1: none."""
        return np.searchsorted(starts_ns, due_ns, side="right") - 1

    late = packets[list(REORDERED[direction])].any(axis=1).to_numpy()
    reordered = cause(packets["intended_ns"].to_numpy(dtype=np.int64)[late])
    runs = _runs(~np.isfinite(found.delay_ns))
    causes = cause(found.intended_ns[[first for first, _ in runs]])
    # a queue that grew up to the first event held messages of longer ago than any that arrived
    lasts = cause(found.intended_ns[[end - 1 for _, end in runs]])
    causes[(causes < 0) & (lasts >= 0)] = 0
    rows = []
    for number, event in enumerate(events):
        mine = [run for run, owner in zip(runs, causes, strict=True) if owner == number]
        rows.append(
            Outage(
                event=event.text,
                at_ns=event.at_ns,
                session=session.id,
                app=session.app,
                direction=session.called(direction),
                lost=sum(int(known[first:end].sum()) for first, end in mine),
                reordered=int((reordered == number).sum()),
                outage_ns=_longest(found.intended_ns, mine),
            )
        )
    return rows


def _runs(lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index of each run of losses, and the index after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], lost, [False])).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _longest(due_ns: Integers, runs: Sequence[tuple[int, int]]) -> int | None:
    """From the good message before a run to the one after it; None if there is none after."""
    if any(end == len(due_ns) for _, end in runs):
        return None
    return max((int(due_ns[end] - due_ns[max(first - 1, 0)]) for first, end in runs), default=0)


def write_outages(run: Path) -> None:
    """Write 8-outages.csv into the folder of a run that had events."""
    folder = RunFolder(run)
    if folder.plan.events:
        rows = [msgspec.structs.asdict(row) for row in outages(folder.plan, folder.samples)]
        table = pd.DataFrame(rows, columns=list(Outage.__struct_fields__))
        write_whole(run / OUTAGES, table.to_csv(index=False).encode())
