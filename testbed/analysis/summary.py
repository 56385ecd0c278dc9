"""The summary: one row per session and judged direction, from plan and samples.

What is judged is the message: an application's data unit of one or more IP packets, of no
use unless all of them arrive. Its delay is from wire to wire (RFC 7679 clause 3.7): from
its first packet's leaving the sending host to the arrival of the last of its packets, by
kernel timestamps; it is lost if any of them is. Packets are told beside, and so is how
late the sender was against its schedule, which is no delay of the network. A verdict that
the lab cannot resolve is `not valid`; fidelity.py says when.

Messages due before the session's warm-up ends are kept out of every number and
counted in `warmup`; the first message's delay, which holds whatever the network
sets up on demand, is in `first_ns`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis import fidelity as trust
from testbed.analysis import within_bounds
from testbed.analysis.cut import as_late, settled
from testbed.analysis.deadline import Ground, Word, judge
from testbed.analysis.fidelity import NOTHING_KNOWN, Doubt, Instrument, Trust
from testbed.analysis.independence import Delays, Limit, Observations, Sampling
from testbed.analysis.percentiles import Estimate, Refused, nearest_rank, percentile
from testbed.analysis.proof import decided, within
from testbed.analysis.sampling import sampling, severed
from testbed.analysis.variation import Integers, availability, ipdv, pdv
from testbed.errors import TestbedError
from testbed.files import write_whole
from testbed.net.legs import RTT, Direction, assumptions, bound_over_ns, budget_over
from testbed.net.paths import Path as Way
from testbed.net.timeline import Entry
from testbed.plan.model import Plan, Session
from testbed.results.folder import CONTROL, FIDELITY, SUMMARY, RunFolder
from testbed.scenario.model import Frozen

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
"""Field of a row -> percentile."""

_DELAY = {
    "forward": ("forward_ns",),
    "reverse": ("reverse_ns",),
    "rtt": ("forward_ns", "reverse_ns"),
}
_LOST = {
    "forward": ("lost_forward",),
    "reverse": ("lost_reverse",),
    "rtt": ("lost_forward", "lost_reverse"),
}
REORDERED = {
    "forward": ("reordered_forward",),
    "reverse": ("reordered_reverse",),
    "rtt": ("reordered_forward", "reordered_reverse"),
}


class SummaryRow(Frozen, frozen=True, kw_only=True):
    """One session in one direction. Delays in ns, +inf lost."""

    session: str
    app: str
    slice: str
    direction: str
    """UL, DL or what the plan calls it; rtt for a round trip."""
    judged: Direction
    path: str
    """Node names joined by >; of a round trip, the forward path."""
    messages: int
    """Judged: sent after the warm-up."""
    warmup: int
    lost: int
    """Messages of which a packet is missing."""
    overdue: int
    """Messages that had not come by their deadline when the run was cut short: late, but not
    known to be lost."""
    unstamped: int
    """Arrived without a kernel timestamp; not judged, and not among `messages`."""
    packets: int
    """IP packets of the messages judged; of a round trip, with the replies."""
    packets_lost: int
    budget_ns: int
    budget_propagation_ns: int
    budget_device_ns: int
    budget_serialisation_ns: int
    budget_radio_ns: int
    budget_compute_ns: int
    first_ns: float | None
    min_ns: float | None
    p50: Estimate | Refused
    p99: Estimate | Refused
    p999: Estimate | Refused
    max_ns: float | None
    """Of the messages that arrived."""
    bound_ns: int | None
    """What no conforming message takes longer than, by network calculus; None: no bound."""
    bound: within_bounds.Kept
    bound_over: int
    """Messages that took longer than the bound of the state they met."""
    beyond_ns: int | None = None
    """Delay of the one that was furthest over; None: none was."""
    beyond_bound_ns: int | None = None
    """What it was over, after an event another bound than that at first."""
    bound_assumptions: str
    residual_p50_ns: float | None
    """p50 - budget: queueing, and the instrument's own error."""
    residual_min_ns: float | None
    deadline_ns: int | None
    reliability: float | None
    misses: int
    miss_ratio: float
    miss_low: float
    miss_high: float
    """Clopper-Pearson bounds, each with 97.5 % confidence, of `effective` messages."""
    verdict: Word
    ground: Ground
    """What the verdict rests on."""
    effective: float
    """Independent observations that the messages are worth, of the deadline's being missed."""
    limit: Limit
    """Why these are fewer than the messages."""
    phases: int | None
    """Distinct phases between periodic senders that the run saw; None: as many as messages."""
    observations_needed: int | None
    """Independent ones that would decide at the miss ratio seen; None: no number can."""
    messages_needed: int | None
    """Messages worth as many; None: no number can, or all would see the same phases."""
    duration_needed_ns: int | None
    """Of the session, warm-up included, with so many messages."""
    ipdv_p99_ns: float | None
    """99th percentile of |IPDV| (RFC 3393)."""
    pdv_p99_ns: float | None
    """99th percentile of PDV (RFC 5481)."""
    reordered: int
    """Messages out of order (RFC 4737)."""
    packets_reordered: int
    availability: float | None
    """Share of time with no gap over the survival time; None if the class has none."""
    schedule_error_p99_ns: float | None
    """How late the sender was, 99 % of the time: the instrument's own error."""
    fidelity: Trust
    """`good` to `fidelity_ns`; `not valid` for this deadline."""
    doubt: Doubt
    """Why not valid: its sender was late, a load was not as planned, the verdict would change
    within the lab's error, or the lab's stalls explain the late messages."""
    fidelity_ns: float | None
    """The lab's own error; None if no null path was measured."""
    fidelity_late_ns: float
    fidelity_path_ns: float
    fidelity_shaper_ns: float
    """What that is made of."""
    source: str


class Series(NamedTuple):
    """Messages of one session in one direction whose fate is known, in order of sending."""

    seq: Integers
    intended_ns: Integers
    delay_ns: Delays
    """From wire to wire; +inf where lost."""


def summarise_run(run: RunFolder) -> tuple[list[SummaryRow], Instrument]:
    """A run's rows, and what is known of the lab that measured them."""
    known = trust.instrument(run)
    return summarise(run.plan, run.samples, known, run.timeline), known


def summarise(
    plan: Plan,
    samples: pd.DataFrame,
    known: Instrument = NOTHING_KNOWN,
    timeline: Sequence[Entry] = (),
) -> list[SummaryRow]:
    """One row per session and judged direction, in the plan's order."""
    groups = dict(tuple(samples.groupby("session", observed=True)))
    empty = samples.iloc[:0]
    on_time = within_bounds.punctual(samples) and not known.overloaded
    lasting = within_bounds.windows(plan, timeline)
    return [
        _row(
            plan, known, session, direction, groups.get(session.id, empty), lasting, on_time=on_time
        )
        for session in plan.sessions
        for direction in judged(session)
    ]


def judged(session: Session) -> tuple[Direction, ...]:
    """The directions a session has rows for."""
    return session.judged or (RTT,)


def series(direction: Direction, packets: pd.DataFrame) -> Series:
    """A session's delays in a direction; `packets` are its samples, warm-up or not.

    A message that arrived without a kernel timestamp has no delay and is left out.
    """
    packets = sent(direction, packets).sort_values("seq")
    delay = sum(packets[c].to_numpy(dtype=float, na_value=math.nan) for c in _DELAY[direction])
    lost = packets[list(_LOST[direction])].any(axis=1).to_numpy()
    delays = np.where(lost, math.inf, delay)
    known = ~np.isnan(delays)
    return Series(
        packets["seq"].to_numpy(dtype=np.int64)[known],
        packets["intended_ns"].to_numpy(dtype=np.int64)[known],
        delays[known],
    )


def sent(direction: Direction, packets: pd.DataFrame) -> pd.DataFrame:
    """Those of the samples that were sent in a direction: back go only answers."""
    if direction != "reverse":
        return packets
    return packets[packets["answered"].to_numpy(dtype=bool)]


def measured(session: Session, packets: pd.DataFrame) -> pd.DataFrame:
    """Those of a session's samples that are judged: due after its warm-up."""
    return packets[packets["intended_ns"] >= session.warmup_ns]


def passed(session: Session, direction: Direction) -> tuple[Way, ...]:
    """The paths of a direction."""
    return tuple(leg.path for leg in session.over(direction))


def observed(
    plan: Plan, session: Session, direction: Direction, now: Series, known: Instrument
) -> Observations:
    """A session's delays in a direction, and how its plan had them sample the network."""
    sampled = sampling(plan, session, passed(session, direction), now.intended_ns, known.taken)
    if plan.events and len(now.delay_ns):
        longest_ns = now.delay_ns[np.isfinite(now.delay_ns)].max(initial=0)
        longest_ns += sum(leg.end.hold_ns for leg in session.legs)
        cut = severed(plan, passed(session, direction), now.intended_ns, longest_ns)
        if np.isinf(now.delay_ns[cut]).all():
            sampled = sampled._replace(gone=float(cut.mean()))
    if not known.overloaded:
        budget_ns = budget_over(session.over(direction)).total_ns
        least_ns, most_ns = within(plan, session, direction, budget_ns)
        sampled = sampled._replace(least_ns=least_ns, most_ns=most_ns)
    return Observations(now.delay_ns, sampled)


class Seen(NamedTuple):
    """What a run tells of one session in one direction."""

    settled: Observations
    """Of the messages whose fate is known."""
    judged: Observations
    """The same, and those that were overdue when the run was cut short, as late."""


def observations(
    plan: Plan, session: Session, direction: Direction, packets: pd.DataFrame, known: Instrument
) -> Seen:
    """Of a session's samples those after its warm-up, in a direction."""
    kept = settled(session, direction, sent(direction, measured(session, packets)))
    now, late = (series(direction, some) for some in (kept, as_late(direction, kept)))
    seen = observed(plan, session, direction, now, known)
    if len(late.delay_ns) == len(now.delay_ns):
        return Seen(seen, seen)
    return Seen(seen, observed(plan, session, direction, late, known))


def differences(sampled: Sampling) -> Sampling:
    """How differences of delays sample the network, if delays do so: at other indices, and each
    at most what the longest delay is more than the least."""
    return sampled._replace(
        parts=(), loss=0.0, gone=0.0, least_ns=0.0, most_ns=sampled.most_ns - sampled.least_ns
    )


def _row(
    plan: Plan,
    known: Instrument,
    session: Session,
    direction: Direction,
    packets: pd.DataFrame,
    lasting: Sequence[within_bounds.Window],
    *,
    on_time: bool,
) -> SummaryRow:
    kept = settled(session, direction, sent(direction, measured(session, packets)))
    seen, told = observations(plan, session, direction, packets, known)
    now = series(direction, kept)
    delay = now.delay_ns
    judged_ = series(direction, as_late(direction, kept))
    arrived = np.sort(delay[np.isfinite(delay)])
    legs = session.over(direction)
    parts = budget_over(legs)
    paths = passed(session, direction)
    apart = differences(seen.sampling)
    p50, p99, p999 = (percentile(seen, p) for p in PERCENTILES.values())
    least = float(arrived[0]) if len(arrived) else None
    late = schedule_error(kept)
    early = max(0.0, parts.total_ns - least) if least is not None else 0.0
    found = trust.fidelity(known, plan, paths, schedule_ns=late, early_ns=early)
    limit = bound_over_ns(legs)
    sent_packets, lost_packets, late_packets = _packets(direction, kept)
    exact = on_time and found.trust == "exact"
    held = within_bounds.judge(lasting, session, direction, now, exact=exact)
    verdict = judge(told, session.deadline_ns, session.reliability)
    proved = decided(plan, session, direction, parts.total_ns)
    beyond = limit is not None and bool((arrived > limit + (found.error_ns or 0.0)).any())
    if proved == "met" and not beyond and verdict.packets and not verdict.misses:
        verdict = msgspec.structs.replace(verdict, word="met", ground="bound")
    elif proved == "missed" and verdict.packets and verdict.misses == verdict.packets:
        verdict = msgspec.structs.replace(verdict, word="missed", ground="budget")
    why = trust.doubt(verdict, told, session, found, known, paths, late)
    return SummaryRow(
        session=session.id,
        app=session.app,
        slice=session.slice,
        direction=session.called(direction),
        judged=direction,
        path=">".join(paths[0].nodes),
        messages=len(judged_.delay_ns),
        warmup=len(packets) - len(measured(session, packets)),
        lost=len(delay) - len(arrived),
        overdue=len(judged_.delay_ns) - len(delay),
        unstamped=len(kept) - len(judged_.delay_ns),
        packets=sent_packets,
        packets_lost=lost_packets,
        budget_ns=parts.total_ns,
        budget_propagation_ns=parts.propagation_ns,
        budget_device_ns=parts.device_ns,
        budget_serialisation_ns=parts.serialisation_ns,
        budget_radio_ns=parts.radio_ns,
        budget_compute_ns=parts.compute_ns,
        first_ns=_first(direction, packets),
        min_ns=least,
        p50=p50,
        p99=p99,
        p999=p999,
        max_ns=float(arrived[-1]) if len(arrived) else None,
        bound_ns=limit,
        bound=held.kept,
        bound_over=held.over,
        beyond_ns=held.beyond_ns,
        beyond_bound_ns=held.beyond_bound_ns,
        bound_assumptions="; ".join(assumptions(legs)),
        residual_p50_ns=_less(p50, parts.total_ns),
        residual_min_ns=least - parts.total_ns if least is not None else None,
        deadline_ns=session.deadline_ns,
        reliability=session.reliability,
        misses=verdict.misses,
        miss_ratio=verdict.ratio,
        miss_low=verdict.low,
        miss_high=verdict.high,
        verdict="not valid" if why else verdict.word,
        ground=verdict.ground,
        effective=verdict.effective,
        limit=verdict.limit,
        phases=told.phases,
        observations_needed=verdict.observations_needed,
        messages_needed=verdict.needed,
        duration_needed_ns=_duration_ns(session, packets, verdict.needed),
        ipdv_p99_ns=_value(percentile(Observations(np.abs(ipdv(now.seq, delay)), apart), 99)),
        pdv_p99_ns=_value(percentile(Observations(pdv(delay), apart), 99)),
        reordered=int(kept[list(REORDERED[direction])].any(axis=1).sum()),
        packets_reordered=late_packets,
        availability=_availability(session, judged_),
        schedule_error_p99_ns=late,
        fidelity="not valid" if why else found.trust,
        doubt=why,
        fidelity_ns=found.error_ns,
        fidelity_late_ns=found.late_ns,
        fidelity_path_ns=found.path_ns,
        fidelity_shaper_ns=found.shaper_ns,
        source=session.source,
    )


def _packets(direction: Direction, kept: pd.DataFrame) -> tuple[int, int, int]:
    """IP packets sent, lost and out of order; an answer is one packet."""
    sent_, lost, late = 0, 0, 0
    if direction != "reverse":
        sent_ += int(kept["packets"].sum())
        lost += int((kept["packets"] - kept["arrived"]).sum())
        late += int(kept["reordered_packets"].sum())
    if direction != "forward":
        sent_ += int(kept["answered"].sum())
        lost += int(kept["lost_reverse"].sum())
        late += int(kept["reordered_reverse"].sum())
    return sent_, lost, late


def _duration_ns(session: Session, packets: pd.DataFrame, needed: int | None) -> int | None:
    """How long the session would send, to have so many messages after the warm-up."""
    if needed is None:
        return None
    before = len(packets) - len(measured(session, packets))
    return (before + needed) * session.interval_ns


def _value(estimate: Estimate | Refused) -> float | None:
    return estimate.value if isinstance(estimate, Estimate) else None


def _less(estimate: Estimate | Refused, budget_ns: int) -> float | None:
    value = _value(estimate)
    return None if value is None else value - budget_ns


def _first(direction: Direction, packets: pd.DataFrame) -> float | None:
    delays = series(direction, packets).delay_ns
    return float(delays[0]) if len(delays) else None


def _availability(session: Session, now: Series) -> float | None:
    if session.survival_ns is None or not len(now.seq):
        return None
    limit = math.inf if session.deadline_ns is None else session.deadline_ns
    good: NDArray[np.bool_] = np.isfinite(now.delay_ns) & (now.delay_ns <= limit)
    return availability(now.intended_ns, good, session.interval_ns, session.survival_ns)


def schedule_error(packets: pd.DataFrame) -> float | None:
    errors = packets["schedule_error_ns"].dropna().to_numpy(dtype=float)
    # an instrument's error is reported whatever the sample: no claim rests on it
    return nearest_rank(np.sort(np.abs(errors)), 99) if len(errors) else None


def record(row: SummaryRow) -> dict[str, Any]:
    """A row with plain values only: each percentile as `_ns`, with `_low_ns` and `_high_ns`, its
    interval, and `_by`, what that rests on; None if it was refused."""
    flat: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(row).items():
        if name in PERCENTILES:
            stated = value if isinstance(value, Estimate) else None
            flat[f"{name}_ns"] = stated.value if stated else None
            flat[f"{name}_low_ns"] = stated.low if stated else None
            flat[f"{name}_high_ns"] = stated.high if stated else None
            flat[f"{name}_by"] = stated.by if stated else None
        else:
            flat[name] = value
    return flat


def write_summary(run: Path) -> TestbedError | None:
    """Write 8-summary.csv and 8-fidelity.json into a run folder; an empty cell is a
    refused percentile. What is wrong with the emulation, if its bounds were not kept."""
    folder = RunFolder(run)
    found, known = summarise_run(folder)
    rows = [record(row) for row in found]
    columns = list(rows[0]) if rows else list(SummaryRow.__struct_fields__)
    table = pd.DataFrame(rows, columns=columns).to_csv(index=False)
    write_whole(run / SUMMARY, table.encode())
    mine = ("session", "direction", "verdict")
    told = [
        {name: row[name] for name in row if name in mine or name.startswith("fidelity")}
        for row in rows
    ]
    write_whole(run / FIDELITY, trust.as_record(known, told))
    return within_bounds.exceeded(folder.plan, found, folder.record(CONTROL))
