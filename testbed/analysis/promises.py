"""What slices were promised, held against what their sessions and loads saw.

A slice's terms hold in both directions of each session that names it; a slice with
connection groups promises only to those of its contracts. Terms are held against messages,
each of which is there when all its packets are.

delay         Without a percentile, no message takes longer. One that never arrives takes
              longer than anything, unless the slice allows that loss: then the term is of
              those that arrive, and the loss is judged beside.
              With one, as a deadline is judged (deadline.py), a lost message being late;
              100 means all.
variation     Of successive messages; pairs with a lost one are left out (RFC 3393).
loss          As a deadline is judged; a loss of 0 is kept by all messages or not at all.
availability  Share of time in which messages arrive within the promised delay (if none is
              promised: arrive), down from the survival time of the class on (TS 22.104 annex
              C.3). As a deadline is judged, the messages due while it is down being late.

What all messages are to keep, no sample shows; it is kept if no message of a plan can break
it, by budget and bound, or if none of as many did as it takes to state their p99: 368
independent ones.

Rates and the MTU are judged in rates.py, what is the plan's alone in structure.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd

from testbed.analysis import fidelity as trust
from testbed.analysis.cut import settled, under_way
from testbed.analysis.deadline import Word, judge
from testbed.analysis.fidelity import Instrument
from testbed.analysis.independence import LEVELS, Delays, Observations, Sampling
from testbed.analysis.percentiles import needed
from testbed.analysis.rates import rates
from testbed.analysis.structure import structure
from testbed.analysis.summary import (
    Series,
    differences,
    measured,
    observed,
    schedule_error,
    series,
)
from testbed.analysis.terms import Held, Promise
from testbed.analysis.variation import availability, down, ipdv
from testbed.files import write_whole
from testbed.net.legs import Leg
from testbed.plan.model import Load, Plan, Session
from testbed.results.folder import LOADS, PROMISES, RunFolder
from testbed.scenario.model import Slice, Slo
from testbed.scenario.terms import Name
from testbed.units import show_ns

_WORDS: dict[Word, Held] = {"met": "kept", "missed": "broken"}
_ENOUGH = needed(99)
"""Independent messages none of which breaks a term that holds for all: what their p99 takes."""
_ARRIVED_NS = float(np.finfo(float).max)
"""What is not lost takes no longer."""


class _Values(NamedTuple):
    term: Name
    values: Delays
    """Of each message, or pair of messages; lost is +inf."""
    error: float | None
    """Of the lab; None: it was not measured."""
    sampling: Sampling


def promises(
    plan: Plan,
    slices: Iterable[Slice],
    samples: pd.DataFrame,
    known: Instrument,
    loads: object = None,
) -> list[Promise]:
    """A row for each session, direction and term, in the plan's order; then those of rates.

    Args:
        loads: 6-loads.json.
    """
    slices = list(slices)
    groups = dict(tuple(samples.groupby("session", observed=True)))
    groups = {session.id: groups.get(session.id, samples.iloc[:0]) for session in plan.sessions}
    by_id = {slice_.id: slice_ for slice_ in slices}
    rows = [
        row
        for session in plan.sessions
        if session.slice in by_id
        for leg in session.legs
        if (slo := by_id[session.slice].promised(leg.path.src, leg.path.dst)) is not None
        for row in (
            *_rows(plan, known, session, leg, groups[session.id], slo),
            *_planned(plan, by_id[session.slice], session, leg),
        )
    ]
    after = {session.id: measured(session, groups[session.id]) for session in plan.sessions}
    rows += [_doubted(plan, known, row) for row in rates(plan, slices, after, loads)]
    return [*rows, *_unused(plan, slices)]


def _unused(plan: Plan, slices: Iterable[Slice]) -> Iterator[Promise]:
    """Terms of which a run can say nothing, since no session or load is theirs."""
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    ways = {(flow.slice, path.src, path.dst) for flow in flows for path in flow.paths}
    used = {slice_ for slice_, _, _ in ways}
    for slice_ in slices:
        promised = [(f"{c.src} to {c.dst}", c.slo, c.src, c.dst) for c in slice_.contracts()]
        if not slice_.groups and slice_.id not in used:
            promised = [("", slice_, "", "")]
        for direction, slo, src, dst in promised:
            if (slice_.id, src, dst) in ways:
                continue
            for term, percentile, asked in _terms(slo):
                yield Promise(
                    slice=slice_.id,
                    session="",
                    direction=direction,
                    term=term,
                    percentile=percentile,
                    asked=asked,
                    held="not shown",
                    condition="nothing was sent: add a probe or a flow",
                )


def _terms(slo: Slo) -> Iterator[tuple[Name, float | None, float]]:
    """The terms of a promise that traffic tells of: percentile and value of each."""
    terms: tuple[tuple[Name, float | None, float | None], ...] = (
        ("delay", None, slo.delay_ns),
        ("delay", slo.delay_percentile, slo.delay_percentile_ns),
        ("variation", None, slo.variation_ns),
        ("variation", slo.variation_percentile, slo.variation_percentile_ns),
        ("loss", None, slo.loss),
        ("availability", None, slo.availability),
        ("guaranteed rate", None, slo.guaranteed_bps or None),
        ("maximum rate", None, slo.maximum_bps),
        ("MTU", None, slo.mtu_bytes),
    )
    for term, percentile, asked in terms:
        if asked is not None:
            yield term, percentile, asked


def _planned(plan: Plan, slice_: Slice, session: Session, leg: Leg) -> Iterator[Promise]:
    for term, asked, held, how in structure(plan, slice_, leg.path):
        yield Promise(
            slice=slice_.id,
            session=session.id,
            direction=leg.called,
            term=term,
            asked=asked,
            held=held,
            condition=how,
        )


def _doubted(plan: Plan, known: Instrument, row: Promise) -> Promise:
    """A rate that was kept beside a load of less than planned proves nothing."""
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    flow = next(flow for flow in flows if flow.id == row.session)
    if row.held == "kept" and known.unplanned("less", flow.paths):
        return msgspec.structs.replace(row, held="not valid", condition=_UNPLANNED)
    return row


def promises_of(run: RunFolder) -> list[Promise]:
    """Those of a run. Raises ResultError."""
    known = trust.instrument(run)
    return promises(run.plan, run.scenario.slices, run.samples, known, run.record(LOADS))


def write_promises(run: Path) -> None:
    """Write 8-promises.csv into the folder of a run whose slices promise something."""
    rows = [msgspec.structs.asdict(row) for row in promises_of(RunFolder(run))]
    if rows:
        write_whole(run / PROMISES, pd.DataFrame(rows).to_csv(index=False).encode())


def _rows(
    plan: Plan,
    known: Instrument,
    session: Session,
    leg: Leg,
    packets: pd.DataFrame,
    slo: Slo,
) -> Iterator[Promise]:
    direction, path = leg.name, leg.path
    kept = settled(session, direction, measured(session, packets))
    overdue = int(under_way(direction, kept).sum())
    now = series(direction, kept)
    delay = now.delay_ns
    arrived = delay[np.isfinite(delay)]
    least = float(arrived.min()) if len(arrived) else math.inf
    error = trust.fidelity(
        known,
        plan,
        (path,),
        schedule_ns=schedule_error(kept),
        early_ns=max(0.0, leg.budget.total_ns - least),
    ).error_ns
    twice = None if error is None else 2 * error
    seen = observed(plan, session, direction, now, known)
    sampled = seen.sampling
    delays = _Values("delay", delay, error, sampled)
    variations = _Values("variation", np.abs(ipdv(now.seq, delay)), twice, differences(sampled))
    less, more = (known.unplanned(way, (path,)) for way in ("less", "more"))
    gone = len(delay) - len(arrived)
    lost = _Values("loss", delay, 0.0, sampled)
    share = gone / len(delay) if len(delay) else None

    def row(
        of: _Values,
        percentile: float | None,
        asked: float,
        share: float | None,
        condition: str = "",
        held: Held | None = None,
    ) -> Promise:
        held = held or _held(of, percentile, asked)
        if (less and held != "broken") or (more and held != "kept"):
            held, condition = "not valid", _UNPLANNED
        if held == "kept" and overdue:
            held, condition = "not shown", f"{overdue:,} messages were overdue at the run's end"
        if held == "not shown" and not condition and len(of.values):
            condition = _why(of, percentile, asked)
        if held in ("kept", "broken") and of.error is None and not condition:
            condition = "the lab's own error is unknown"
        return Promise(
            slice=session.slice,
            session=session.id,
            direction=leg.called,
            term=of.term,
            percentile=percentile,
            asked=asked,
            found=_found(of.values, percentile) if share is None else share,
            messages=len(of.values),
            held=held,
            condition=condition,
        )

    losses = None if slo.loss is None else row(lost, None, slo.loss, share)
    if slo.delay_ns is not None:
        there = delays._replace(values=arrived, sampling=seen.arrived().sampling)
        held, why = _largest(_held(there, None, slo.delay_ns), gone, len(delay), losses)
        yield row(there, None, slo.delay_ns, None, why, held)
    if slo.delay_percentile is not None and slo.delay_percentile_ns is not None:
        yield row(delays, slo.delay_percentile, slo.delay_percentile_ns, None)
    pairs = f"of the {len(variations.values):,} pairs that arrived" if gone else ""
    if slo.variation_ns is not None:
        yield row(variations, None, slo.variation_ns, None, pairs)
    if slo.variation_percentile is not None and slo.variation_percentile_ns is not None:
        yield row(variations, slo.variation_percentile, slo.variation_percentile_ns, None, pairs)
    if losses is not None:
        yield losses
    if slo.availability is not None:
        late, up, why = _available(session, now, slo)
        good = sampled.most_ns <= _limit(slo) and not sampled.loss
        whole = sampled._replace(loss=0.0, most_ns=sampled.most_ns if good else math.inf)
        of = _Values("availability", late, error, whole)
        held = _within(of, delay, slo)
        yield row(of, None, slo.availability, up, why, held)


def _why(of: _Values, percentile: float | None, asked: float) -> str:
    """Why it is not shown that all messages keep a term; of a share of them nothing is said."""
    every = asked == 0 if of.term == "loss" else percentile in (None, 100)
    if not every:
        return ""
    worth = math.floor(_worth(of, _ARRIVED_NS if of.term == "loss" else asked))
    messages = "1 message" if len(of.values) == 1 else f"{len(of.values):,} messages"
    return f"of {messages}, worth {worth:,}; it takes {_ENOUGH} independent ones, or the bound"


def _largest(held: Held, gone: int, sent: int, losses: Promise | None) -> tuple[Held, str]:
    """What a largest delay comes to where messages never arrived."""
    if not gone or held in ("broken", "not valid"):
        return held, ""
    never = f"{gone:,} of {sent:,} messages never arrived"
    if losses is None:
        return "broken", f"{never}, and the slice allows no loss"
    if losses.held == "broken":
        return "broken", f"{never}, more than the promised loss"
    if losses.held == "kept":
        return held, f"{never}, within the promised loss"
    return "not shown", f"{never}; whether the promised loss allows that is {losses.held}"


def _limit(slo: Slo) -> float:
    """What a good message takes at most, ns."""
    limits = [ns for ns in (slo.delay_ns, slo.delay_percentile_ns) if ns is not None]
    return min(limits, default=math.inf)


def _available(session: Session, now: Series, slo: Slo) -> tuple[Delays, float | None, str]:
    """Of each message its delay, or +inf if it was due while the service was down, and the
    share of time up."""
    limit, survival_ns = _limit(slo), session.survival_ns or 0
    good = np.isfinite(now.delay_ns) & (now.delay_ns <= limit)
    if not len(good):
        return np.zeros(0), None, ""
    late = np.where(
        down(now.intended_ns, good, survival_ns), math.inf, np.minimum(now.delay_ns, _ARRIVED_NS)
    )
    up = availability(now.intended_ns, good, session.interval_ns, survival_ns)
    within = f" within {show_ns(limit)}" if math.isfinite(limit) else ""
    return late, up, f"messages{within}, survival time {show_ns(survival_ns)}"


def _within(of: _Values, delay: Delays, slo: Slo) -> Held:
    """Availability rests on delays only where they are near what is promised."""
    assert slo.availability is not None
    if not len(of.values):
        return "not shown"
    limit, error = _limit(slo), of.error or 0.0
    there = delay[np.isfinite(delay)]
    if error >= trust.EXACT_NS and (np.abs(there - limit) <= error).any():
        return "not valid"
    return _word(of, _ARRIVED_NS, slo.availability)


def _found(values: Delays, percentile: float | None) -> float | None:
    if not len(values):
        return None
    rank = len(values) if percentile is None else math.ceil(len(values) * percentile / 100)
    return float(np.sort(values)[max(0, rank - 1)])


_UNPLANNED = "a load beside it was not sent as planned"


def _held(of: _Values, percentile: float | None, asked: float) -> Held:
    if not len(of.values):
        return "not shown"
    if of.term == "loss":
        return _word(of, _ARRIVED_NS, 1 - asked)
    error = of.error or 0.0
    limits = [asked] if error < trust.EXACT_NS else [asked - error, asked, asked + error]
    words = {_word(of, limit, (percentile or 100) / 100) for limit in limits}
    return words.pop() if len(words) == 1 else "not valid"


def _word(of: _Values, limit: float, reliability: float) -> Held:
    seen = Observations(of.values, of.sampling)
    kept = bool((of.values <= limit).all())
    if kept and seen.certain and seen.sampling.most_ns <= limit and not seen.sampling.loss:
        return "kept"
    if reliability < 1:
        return _WORDS.get(judge(seen, limit, reliability).word, "not shown")
    if not kept:
        return "broken"
    return "kept" if _worth(of, limit) >= _ENOUGH else "not shown"


def _worth(of: _Values, limit: float) -> float:
    """Independent observations that the values surely are."""
    return Observations(of.values, of.sampling).effective(limit, 1 - LEVELS[-1]).surely
