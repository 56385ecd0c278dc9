"""Several runs of one question, each with a seed of its own, as one result.

A seed draws phases, arrivals and losses anew, so that runs are independent of one another
whatever their packets are among themselves: confidence about the system, and not about one
run, comes from them. They are a cluster sample. What all packets of a session are worth
together is the sum of what each run's are worth (independence.py): of periodic senders that
meet at one phase a run, one observation a run. Where runs differ by more than that explains
(chi-squared, 95 %), the variance between them decides instead: of a ratio of two sums
(Cochran, Sampling Techniques, 1977, clause 6.3), less Korn and Graubard's factor for its
few degrees of freedom (Survey Methodology 24, 1998).

Percentiles are those of all packets together, never averages of the runs' own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import stats

from testbed.analysis.deadline import Ground, Word, allowed_ratio, judge, observations_to_decide
from testbed.analysis.fidelity import Doubt
from testbed.analysis.independence import RANDOM, Effective, Observations, lessened
from testbed.analysis.percentiles import Estimate, Refused, percentile
from testbed.analysis.shares import clopper_pearson
from testbed.analysis.summary import (
    PERCENTILES,
    Seen,
    SummaryRow,
    observations,
    summarise_run,
)
from testbed.errors import InputError
from testbed.results.folder import RunFolder
from testbed.scenario.model import Frozen

_DIFFER = 0.95
"""Confidence beyond which runs are taken to differ by more than their packets explain."""


class Pooled(Observations):
    """The messages of several independent runs."""

    def __init__(self, runs: Sequence[Observations]) -> None:
        self._runs = [run for run in runs if len(run)]
        told = [run.sampling for run in self._runs]
        packets = max(sum(map(len, self._runs)), 1)
        sampling = RANDOM._replace(
            loss=sum(len(run) * run.sampling.loss for run in self._runs) / packets,
            gone=sum(len(run) * run.sampling.gone for run in self._runs) / packets,
            least_ns=min((one.least_ns for one in told), default=0.0),
            most_ns=max((one.most_ns for one in told), default=math.inf),
        )
        super().__init__(np.concatenate([run.delays for run in runs]), sampling)

    def arrived(self) -> Observations:
        """Those that were not lost, run by run."""
        return Pooled([run.arrived() for run in self._runs])

    def effective(self, beyond: float, share: float) -> Effective:
        """Of the indicator "later than `beyond`": as each run's, or what differs among them."""
        found = [run.effective(beyond, share) for run in self._runs]
        if not found:
            return Effective(0.0)
        size = sum(one.size for one in found)
        among = self._among(beyond, np.array([one.size for one in found]))
        if among is not None:
            return Effective(min(among, size))
        if not any(one.limit == "correlated" for one in found):
            return Effective(size)
        return Effective(size, "correlated", len(self) / size, max(one.share for one in found))

    def _among(self, beyond: float, sizes: np.ndarray) -> float | None:
        """Independent observations by how much the runs' ratios differ; None if that is no more
        than `sizes` independent observations of each would."""
        packets = np.array([len(run) for run in self._runs])
        late = np.array([np.count_nonzero(run.delays > beyond) for run in self._runs])
        ratio = late.sum() / packets.sum()
        spread, free = ratio * (1 - ratio), len(packets) - 1
        if not spread or not free:
            return None
        off = late / packets - ratio
        if (sizes * off**2).sum() / spread <= float(stats.chi2.ppf(_DIFFER, free)):
            return None
        variance = (free + 1) / free * float(((packets * off) ** 2).sum()) / packets.sum() ** 2
        return max(1.0, float(spread / variance) * lessened(free))


class OverRuns(Frozen, frozen=True, kw_only=True):
    """One session in one direction over all runs. Delays in ns, lost +inf."""

    session: str
    app: str
    slice: str
    direction: str
    path: str
    runs: int
    messages: int
    """Judged, of all runs."""
    lost: int
    budget_ns: int
    bound_ns: int | None
    """The largest of the runs' bounds; None: a run has none."""
    p50: Estimate | Refused
    p99: Estimate | Refused
    p999: Estimate | Refused
    """Of all messages together whose fate is known."""
    max_least_ns: float | None
    max_ns: float | None
    """The least and the largest of the runs' largest delays; None: nothing arrived."""
    deadline_ns: int | None
    reliability: float | None
    misses: int
    miss_ratio: float
    miss_low: float
    miss_high: float
    """Bounds of the ratio that runs with other seeds have, each with 97.5 % confidence."""
    effective: float
    """Independent observations that the packets are worth."""
    over: int
    """Runs in which a larger share missed than the reliability allows."""
    over_low: float
    over_high: float
    """Bounds of the share of such runs (Clopper-Pearson), each with 97.5 % confidence."""
    verdict: Word
    ground: Ground
    doubt: Doubt
    """Why not valid, in the first run that is not."""
    runs_needed: int | None
    """Runs like these that would decide at the ratio seen; None: no number can."""


def over_runs(runs: Sequence[RunFolder]) -> list[OverRuns]:
    """A row for each session and judged direction, in the order of the first run.

    The runs ask the same with seeds of their own. Raises InputError if two have one seed, and
    ResultError.
    """
    seeds = sorted(run.scenario.seed for run in runs)
    if twice := [a for a, b in pairwise(seeds) if a == b]:
        raise InputError(
            f"two runs have seed {twice[0]}, so that they are one",
            where="runs to compare",
            expected="a seed of its own for each run",
        )
    rows: dict[tuple[str, str], list[tuple[SummaryRow, Seen]]] = {}
    for run in runs:
        groups = dict(tuple(run.samples.groupby("session", observed=True)))
        sessions = {session.id: session for session in run.plan.sessions}
        nothing = run.samples.iloc[:0]
        found, known = summarise_run(run)
        for row in found:
            session = sessions[row.session]
            packets = groups.get(row.session, nothing)
            seen = observations(run.plan, session, row.judged, packets, known)
            rows.setdefault((row.session, row.direction), []).append((row, seen))
    return [pooled([row for row, _ in of], [seen for _, seen in of]) for of in rows.values()]


def pooled(rows: Sequence[SummaryRow], seen: Sequence[Seen]) -> OverRuns:
    """One session in one direction, from its row of each run and what was observed there."""
    first, together = rows[0], Pooled([one.judged for one in seen])
    asked = 1.0 if first.reliability is None else first.reliability
    verdict = judge(together, first.deadline_ns, first.reliability)
    grounds = {row.ground for row in rows}
    word, ground = verdict.word, verdict.ground
    if grounds <= {"bound", "budget"} and len(grounds) == 1:
        word, ground = first.verdict, first.ground
    if any(row.verdict == "not valid" for row in rows):
        word = "not valid"
    judged = [row for row in rows if row.messages]
    over = sum(row.miss_ratio > allowed_ratio(asked) for row in judged)
    over_low, over_high = clopper_pearson(over, len(judged))
    enough = observations_to_decide(asked, verdict.ratio) if first.deadline_ns else None
    worth = verdict.effective / len(rows)
    largest = [row.max_ns for row in rows if row.max_ns is not None]
    bounds_ns = [row.bound_ns for row in rows if row.bound_ns is not None]
    settled = Pooled([one.settled for one in seen])
    p50, p99, p999 = (percentile(settled, percent) for percent in PERCENTILES.values())
    return OverRuns(
        session=first.session,
        app=first.app,
        slice=first.slice,
        direction=first.direction,
        path=first.path,
        runs=len(rows),
        messages=len(together),
        lost=sum(row.lost for row in rows),
        budget_ns=first.budget_ns,
        bound_ns=max(bounds_ns) if len(bounds_ns) == len(rows) else None,
        p50=p50,
        p99=p99,
        p999=p999,
        max_least_ns=min(largest, default=None),
        max_ns=max(largest, default=None),
        deadline_ns=first.deadline_ns,
        reliability=first.reliability,
        misses=verdict.misses,
        miss_ratio=verdict.ratio,
        miss_low=verdict.low,
        miss_high=verdict.high,
        effective=verdict.effective,
        over=over,
        over_low=over_low,
        over_high=over_high,
        verdict=word,
        ground=ground,
        doubt=next((row.doubt for row in rows if row.doubt), ""),
        runs_needed=math.ceil(enough / worth) if enough and worth else None,
    )
