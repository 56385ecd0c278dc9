"""What slices were promised, held against what their sessions saw.

A slice's terms hold in both directions of each session that names it; a slice with
connection groups promises only to those of its contracts. A largest value, a percentile of
100 and a loss of 0 are kept by all packets of the run or not at all. Other percentiles and
losses are judged as a deadline is (deadline.py), a lost packet counting as late; variation
leaves out pairs with a lost packet (RFC 3393). Rates and availability are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from testbed.analysis import fidelity as trust
from testbed.analysis.deadline import Word, judge
from testbed.analysis.fidelity import Instrument
from testbed.analysis.percentiles import Delays
from testbed.analysis.summary import Direction, budget, measured, schedule_error, series
from testbed.analysis.variation import ipdv
from testbed.plan.model import Plan, Session
from testbed.process import write_whole
from testbed.results.folder import PROMISES, RunFolder
from testbed.scenario.model import Frozen, Slice, Slo

Term = Literal["delay", "variation", "loss"]
Held = Literal["kept", "broken", "not shown", "not valid"]
"""`not shown`: too few packets to tell. `not valid`: the lab is not exact enough to tell."""

_WORDS: dict[Word, Held] = {"met": "kept", "missed": "broken"}


class Promise(Frozen, frozen=True, kw_only=True):
    """One term of a slice, in one direction of one session."""

    slice: str
    session: str
    direction: str
    term: Term
    """`delay` one-way (RFC 7679), `variation` of successive packets (RFC 3393), `loss`."""
    percentile: float | None
    """In percent; None: all packets."""
    asked: float
    """ns; of loss, a ratio."""
    found: float | None
    """Largest, or at the percentile; None: no packet."""
    packets: int
    held: Held


class _Values(NamedTuple):
    term: Term
    values: Delays
    """Of each packet, or pair of packets; lost is +inf."""
    error: float | None
    """Of the lab; None: it was not measured."""


def promises(
    plan: Plan, slices: Iterable[Slice], samples: pd.DataFrame, known: Instrument
) -> list[Promise]:
    """A row for each session, direction and term, in the plan's order."""
    groups = dict(tuple(samples.groupby("session", observed=True)))
    by_id = {slice_.id: slice_ for slice_ in slices}
    directions: tuple[Direction, ...] = ("forward", "reverse")
    return [
        row
        for session in plan.sessions
        if session.id in groups and session.slice in by_id
        for direction in directions
        for path in (session.forward if direction == "forward" else session.reverse,)
        if (slo := by_id[session.slice].promised(path.src, path.dst)) is not None
        for row in _rows(plan, known, session, direction, groups[session.id], slo)
    ]


def promises_of(run: RunFolder) -> list[Promise]:
    """Those of a run. Raises ResultError."""
    return promises(run.plan, run.scenario.slices, run.samples, trust.instrument(run))


def write_promises(run: Path) -> None:
    """Write 8-promises.csv into the folder of a run whose slices promise something."""
    rows = [msgspec.structs.asdict(row) for row in promises_of(RunFolder(run))]
    if rows:
        write_whole(run / PROMISES, pd.DataFrame(rows).to_csv(index=False).encode())


def _rows(
    plan: Plan,
    known: Instrument,
    session: Session,
    direction: Direction,
    packets: pd.DataFrame,
    slo: Slo,
) -> Iterator[Promise]:
    kept = measured(session, packets)
    now = series(direction, kept)
    delay = now.delay_ns
    arrived = delay[np.isfinite(delay)]
    least = float(arrived.min()) if len(arrived) else math.inf
    path = session.forward if direction == "forward" else session.reverse
    error = trust.fidelity(
        known,
        plan,
        (path,),
        schedule_ns=schedule_error(kept),
        early_ns=max(0.0, budget(session, direction).total_ns - least),
    ).error_ns
    twice = None if error is None else 2 * error
    delays = _Values("delay", delay, error)
    variations = _Values("variation", np.abs(ipdv(now.seq, delay)), twice)
    less, more = (known.unplanned(way, (path,)) for way in ("less", "more"))
    lost = np.where(np.isfinite(delay), 0.0, math.inf)
    share = 1 - len(arrived) / len(delay) if len(delay) else None

    def row(of: _Values, percentile: float | None, asked: float, share: float | None) -> Promise:
        held = _held(of, percentile, asked)
        return Promise(
            slice=session.slice,
            session=session.id,
            direction=session.directions.get(direction, direction),
            term=of.term,
            percentile=percentile,
            asked=asked,
            found=_found(of.values, percentile) if share is None else share,
            packets=len(of.values),
            held="not valid" if (less and held != "broken") or (more and held != "kept") else held,
        )

    for of, most, percentile, at in (
        (delays, slo.delay_ns, slo.delay_percentile, slo.delay_percentile_ns),
        (variations, slo.variation_ns, slo.variation_percentile, slo.variation_percentile_ns),
    ):
        if most is not None:
            yield row(of._replace(values=of.values[np.isfinite(of.values)]), None, most, None)
        if percentile is not None and at is not None:
            yield row(of, percentile, at, None)
    if slo.loss is not None:
        yield row(_Values("loss", lost, 0.0), None, slo.loss, share)


def _found(values: Delays, percentile: float | None) -> float | None:
    if not len(values):
        return None
    rank = len(values) if percentile is None else math.ceil(len(values) * percentile / 100)
    return float(np.sort(values)[max(0, rank - 1)])


def _held(of: _Values, percentile: float | None, asked: float) -> Held:
    if not len(of.values):
        return "not shown"
    if of.error is None:
        return "not valid"
    if of.term == "loss":
        return _word(of.values, 0.0, 1 - asked)
    limits = [asked] if of.error < trust.EXACT_NS else [asked - of.error, asked, asked + of.error]
    words = {_word(of.values, limit, (percentile or 100) / 100) for limit in limits}
    return words.pop() if len(words) == 1 else "not valid"


def _word(values: Delays, limit: float, reliability: float) -> Held:
    if reliability >= 1:
        return "kept" if (values <= limit).all() else "broken"
    return _WORDS.get(judge(values, limit, reliability).word, "not shown")
