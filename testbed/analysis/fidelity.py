"""How far a run's numbers can be trusted: `exact`, `good to N us`, or not valid.

The error N of a session in a direction is a sum of three, in ns:

    late    how late the lab does what is due: p99.9 of the null path's delay from the
            moment its packet was due (the largest, where there are too few packets for a
            p99.9), or the session's own sender lateness (p99) if that is more. The null
            path is a bare wire, so all of it is the lab's: its timers, which the
            emulated delays need as well, its scheduler, its stalls.
    path    the null path's median delay, once for every link of the session's path: what
            a hop costs where none of it is asked for.
    shaper  what the kernel read back otherwise than asked, on every port of the path;
            where several queues share a port made of stock qdiscs, one full packet in
            transmission, which those do not wait for; and by how much the fastest packet
            beat its budget, which no packet can.

A run is `exact` where N is below 1 us. Elsewhere a verdict must be able to bear N: it
stands only if it would be the same with the deadline N earlier and N later. That is the
margin between deadline and judged quantile, counted in packets, so no further rule, such
as a share of the deadline, is needed. Because p99.9 says nothing of the rarer stalls,
a `missed` also needs more late packets than the null path's stalls can explain: as many
as that share, at its upper bound, of null packets that were as late as the margin
between the session's median and the deadline. And traffic whose sender was later than
its interval was not the traffic that was planned; nor is a deadline met on links whose
load was less than planned, or missed where it was more (loads.py).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from scipy import stats

from testbed.analysis.deadline import Verdict, judge
from testbed.analysis.independence import Delays, Observations
from testbed.analysis.loads import Deviation, deviations, unchecked
from testbed.analysis.percentiles import nearest_rank, needed
from testbed.analysis.shares import CONFIDENCE, clopper_pearson
from testbed.frames import ETHERNET_OVERHEAD_BYTES, FULL_FRAME_BYTES
from testbed.net.deltas.install import Install
from testbed.net.paths import Carried, Path
from testbed.plan.model import Load, Plan, Session
from testbed.results.folder import LOADS, READBACK, RunFolder
from testbed.results.provenance import HostState
from testbed.scenario.model import Frozen

EXACT_NS = 1_000
STALL_NS = 1_000_000
"""A null packet later than this saw a stall."""
FULL_PACKET_BITS = 8 * (FULL_FRAME_BYTES + ETHERNET_OVERHEAD_BYTES)

Doubt = Literal["", "sender", "load", "error", "stalls"]
Trust = Literal["exact", "good", "not valid", "not measured"]


class Floor(Frozen, frozen=True, kw_only=True):
    """What the null path read, ns. Times are from the moment a packet was due, but `hop_ns`."""

    packets: int
    lost: int
    hop_ns: float
    """Median delay of the wire."""
    p99_ns: float | None
    p999_ns: float | None
    max_ns: float
    """+inf if a packet was lost."""
    stalls: int
    """Packets more than 1 ms late."""

    @property
    def late_ns(self) -> float:
        """p99.9, or the largest where that is refused."""
        return self.max_ns if self.p999_ns is None else self.p999_ns


class Host(Frozen, frozen=True, kw_only=True):
    """The machine around the lab during the run."""

    load_before: float
    load_after: float
    cores: int
    pressure_before: float | None
    pressure_after: float | None
    """Percent of 10 s in which a task waited for a processor."""
    busy: float | None
    """Share of all processors' time."""
    steal: float | None
    """Share taken by the hypervisor."""


class Instrument(NamedTuple):
    """What is known of the lab's own error in one run, and of what happened in it."""

    lab: str
    floor: Floor | None
    late: Delays
    """Of each null packet; empty where there is no null path."""
    ports: Mapping[str, float]
    """Port name -> shaper error, ns."""
    host: Host | None = None
    deviations: tuple[Deviation, ...] = ()
    """Of the loads from their plan."""
    unchecked: tuple[str, ...] = ()
    """Loads of which only the amount could be held against the plan."""
    taken: tuple[Carried, ...] = ()
    """Ways that orders were given while it ran."""

    def unplanned(self, way: Literal["less", "more"], paths: Iterable[Path]) -> bool:
        """Whether a load on any of the paths' links was, or may have been, less, or more, than
        planned."""
        crossed = {hop for path in paths for hop in pairwise(path.nodes)}
        return any(d.way in (way, "unknown") and d.hops & crossed for d in self.deviations)

    @property
    def overloaded(self) -> bool:
        """Whether any load was, or may have been, more than planned."""
        return any(d.way != "less" for d in self.deviations)


NOTHING_KNOWN = Instrument("unknown", None, np.array([]), {})


class Fidelity(Frozen, frozen=True, kw_only=True):
    """Of one session in one direction."""

    trust: Trust
    error_ns: float | None
    late_ns: float = 0.0
    path_ns: float = 0.0
    shaper_ns: float = 0.0


def instrument(run: RunFolder) -> Instrument:
    """What a run folder tells about its lab."""
    made = run.provenance
    reached_ns = made.actual["traffic_ns"] if made.status == "unfinished" else None
    late, floor = null_floor(
        run.null_path, min((s.warmup_ns for s in run.plan.sessions), default=0)
    )
    return Instrument(
        made.lab.get("lab", "unknown"),
        floor,
        late,
        port_errors(run.plan, run.record(READBACK)),
        host(made.host_before, made.host_after),
        deviations(run.plan, run.record(LOADS), reached_ns),
        unchecked(run.plan),
        tuple(
            one
            for entry in run.timeline
            if isinstance(entry.delta, Install) and entry.delta.placed is not None
            for one in entry.delta.placed.carried
        ),
    )


def null_floor(packets: pd.DataFrame | None, warmup_ns: int) -> tuple[Delays, Floor | None]:
    """How late each packet of the null path was, ns, and what that amounts to."""
    nothing: Delays = np.array([])
    if packets is None:
        return nothing, None
    kept = packets[packets["intended_ns"] >= warmup_ns]
    lost = kept[["lost_forward", "lost_reverse"]].any(axis=1).to_numpy()
    ways = [kept[name].to_numpy(float, na_value=math.nan) for name in ("forward_ns", "reverse_ns")]
    due = kept["forward_intended_ns"].to_numpy(float, na_value=math.nan)
    late = np.where(lost, math.inf, np.fmax(due, ways[1]))
    late = late[~np.isnan(late)]
    if not len(late):
        return nothing, None
    ordered = np.sort(late)

    def rank(percent: float) -> float | None:
        return nearest_rank(ordered, percent) if len(ordered) >= needed(percent) else None

    return late, Floor(
        packets=len(late),
        lost=int(lost.sum()),
        hop_ns=math.inf if lost.all() else max(map(_median, ways)),
        p99_ns=rank(99),
        p999_ns=rank(99.9),
        max_ns=float(late.max()),
        stalls=int(np.count_nonzero(late > STALL_NS)),
    )


def _median(values: Delays) -> float:
    """Of those that are known; 0 of none, where a run was cut short."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def host(before: HostState, after: HostState) -> Host:
    """Load, pressure and steal, before, after and between."""

    def share(name: str) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        if None in (first, last, before.processor_s, after.processor_s):
            return None
        whole = (after.processor_s or 0) - (before.processor_s or 0)
        return round((last - first) / whole, 4) if whole > 0 else None

    return Host(
        load_before=before.load_1min,
        load_after=after.load_1min,
        cores=before.cores,
        pressure_before=before.cpu_pressure_10s,
        pressure_after=after.cpu_pressure_10s,
        busy=share("busy_s"),
        steal=share("steal_s"),
    )


def port_errors(plan: Plan, readback: Any) -> dict[str, float]:
    """Port name -> shaper error, ns, from 3-readback.json; a port not in it has none."""
    queues: dict[tuple[str, str], set[int]] = defaultdict(set)
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    for path in [path for flow in flows for path in flow.paths]:
        for hop in pairwise(path.nodes):
            queues[hop].add(path.queue)
    peers = {port.name: (port.node, port.peer_node) for port in plan.ports}
    errors = {}
    for row in (readback or {}).get("ports", ()):
        asked, got = row["asked"], row["got"]
        error = sum(_differences(asked, got))
        shared = len(queues[peers[row["name"]]]) > 1 if row["name"] in peers else False
        if shared and got.get("discipline") == "htb" and got.get("rate_bps"):
            error += FULL_PACKET_BITS * 1e9 / got["rate_bps"]
        errors[row["name"]] = error
    return errors


def _differences(asked: Any, got: Any) -> Iterator[float]:
    """Every difference in ns: of delays as they are, of rates over one full packet."""
    if isinstance(asked, dict) and isinstance(got, dict):
        for name, value in asked.items():
            other = got.get(name)
            if isinstance(value, (dict, list)):
                yield from _differences(value, other)
            elif value and other and value != other:
                if name.endswith("_ns"):
                    yield abs(value - other)
                elif name.endswith("_bps"):
                    yield FULL_PACKET_BITS * 1e9 * abs(1 / value - 1 / other)
    elif isinstance(asked, list) and isinstance(got, list):
        # of queues a packet waits in one
        pairs = zip(asked, got, strict=False)
        yield max((sum(_differences(one, other)) for one, other in pairs), default=0.0)


def fidelity(
    known: Instrument,
    plan: Plan,
    paths: tuple[Path, ...],
    *,
    schedule_ns: float | None,
    early_ns: float,
) -> Fidelity:
    """The error of a session over `paths` (both, for a round trip).

    Args:
        schedule_ns: how late its sender was (p99).
        early_ns: by how much its fastest packet beat the budget; 0 if none did.
    """
    if known.floor is None:
        return Fidelity(trust="not measured", error_ns=None)
    names = {(port.node, port.peer_node): port.name for port in plan.ports}
    hops = [hop for path in paths for hop in pairwise(path.nodes)]
    late = max(known.floor.late_ns, schedule_ns or 0.0)
    path_ns = len(hops) * known.floor.hop_ns
    shaper = early_ns + sum(known.ports.get(names.get(hop, ""), 0.0) for hop in hops)
    error = late + path_ns + shaper
    return Fidelity(
        trust="exact" if error < EXACT_NS else "good",
        error_ns=error,
        late_ns=late,
        path_ns=path_ns,
        shaper_ns=shaper,
    )


def doubt(
    verdict: Verdict,
    seen: Observations,
    session: Session,
    found: Fidelity,
    known: Instrument,
    paths: tuple[Path, ...],
    schedule_ns: float | None,
) -> Doubt:
    """Why the lab cannot bear out a verdict on what was seen; empty if it can."""
    deadline, error = session.deadline_ns, found.error_ns
    if deadline is None:
        return ""
    if schedule_ns is not None and schedule_ns > session.interval_ns:
        return "sender"
    less, more = (known.unplanned(way, paths) for way in ("less", "more"))
    if (less and verdict.word != "missed") or (more and verdict.word != "met"):
        return "" if verdict.ground == "budget" else "load"
    if error is None or not len(seen) or found.trust == "exact":
        return ""
    for moved in (deadline - error, deadline + error):
        if verdict.ground == "bound":
            turned = bool((seen.delays > moved).any())
        elif verdict.ground == "budget" and (seen.delays > moved).all():
            turned = False
        else:
            turned = judge(seen, moved, session.reliability).word != verdict.word
        if turned:
            return "error"
    late = verdict.word == "missed"
    return "stalls" if late and _explained(seen, deadline, session.reliability, known.late) else ""


def _explained(
    seen: Observations, deadline: float, reliability: float | None, late: Delays
) -> bool:
    """Whether the lab's stalls alone may have made so many packets late.

    Lost packets are not explained by stalls, nor is a median beyond the deadline.
    """
    delays = seen.delays
    lost = np.isinf(delays)
    arrived = delays[~lost]
    if not len(arrived):
        return False
    margin = deadline - float(np.median(arrived))
    if margin <= 0:
        return False
    kept = Observations(np.where(lost, math.inf, np.minimum(delays, deadline)), seen.sampling)
    if judge(kept, deadline, reliability).word == "missed":
        return False
    stalled = clopper_pearson(int(np.count_nonzero(late > margin)), len(late))[1]
    most = float(stats.binom.ppf(CONFIDENCE, len(delays), stalled))
    return int(np.count_nonzero(arrived > deadline)) <= most


def as_record(known: Instrument, rows: list[dict[str, Any]]) -> bytes:
    """8-fidelity.json: lab, null path, shapers, host, and each session's error by cause."""
    record = {
        "schema": 1,
        "lab": known.lab,
        "null_path": known.floor,
        "largest_port_error_ns": max(known.ports.values(), default=0.0),
        "host": known.host,
        "loads": [{"load": d.load, "deviation": d.what} for d in known.deviations],
        "loads_checked_in_all_only": known.unchecked,
        "sessions": rows,
    }
    plain = msgspec.to_builtins(record)
    return msgspec.json.format(msgspec.json.encode(_finite(plain)), indent=2)


def _finite(value: Any) -> Any:
    """JSON has no infinity: "inf" stands for it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return "inf" if value == math.inf else value
