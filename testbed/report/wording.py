"""Words and number formats shared by the terminal table and the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from testbed.analysis.percentiles import Estimate, needed
from testbed.analysis.summary import PERCENTILES, SummaryRow
from testbed.units import show_bps, show_ns

NONE = "\N{EN DASH}"
SIGNS = {"met": "✓", "not shown": "?", "missed": "✗", "not valid": "!", "no deadline": NONE}


def delay(value: float | None) -> str:
    """A delay, `lost` for infinity, a dash for none."""
    if value is None:
        return NONE
    return "lost" if math.isinf(value) else show_ns(value)


def nominal(value: int | None) -> str:
    """A time that was asked for, without digits nobody wrote: 5 ms, 16.7 ms."""
    if value is None:
        return NONE
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value} ns"


def percentile(row: SummaryRow, name: str) -> str:
    """A percentile of a row, or the sample that it would need."""
    estimate: Estimate | None = getattr(row, name)
    if estimate is None:
        return f"n<{needed(PERCENTILES[name])}"
    return delay(estimate.value)


def interval(row: SummaryRow, name: str) -> str:
    """The 95 % interval of a percentile; empty if it was refused."""
    estimate: Estimate | None = getattr(row, name)
    return f"{delay(estimate.low)} to {delay(estimate.high)}" if estimate else ""


def share(value: float) -> str:
    """A share in percent, never rounded to nothing: 0 %, 0.02 %, 1.5 %."""
    if value == 0:
        return "0 %"
    if value < 1e-4:
        return f"{value:.0e}"
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def reliability(value: float | None) -> str:
    """A reliability as people say it: 99.9 %."""
    return "every packet" if value is None or value == 1 else f"{100 * value:.10g} %"


def portion(value: float) -> str:
    """A share near one in percent: 100 %, 99.98 %."""
    return f"{math.floor(1e6 * value) / 1e4:g} %"


def loss(row: SummaryRow) -> str:
    """Share of the judged packets that were lost."""
    return share(row.lost / row.packets) if row.packets else NONE


def path(nodes: str, width: int) -> str:
    """A path in at most `width` characters where it can: the middle is left out first.

    >>> path("ue1>gnb1>agg1>core1>agg2>edge1", 24)
    'ue1>gnb1>…>agg2>edge1'
    """
    names = nodes.split(">")
    if len(nodes) <= width:
        return nodes
    for ends in (2, 1):
        short = ">".join([*names[:ends], "…", *names[-ends:]])
        if len(short) <= width:
            return short
    return short if len(names) > 2 else nodes


def verdict(row: SummaryRow) -> str:
    """The verdict in one sentence."""
    if row.verdict == "no deadline":
        return "This class has no deadline."
    late = f"{row.misses:,} of {row.packets:,} packets late or lost"
    asked = f"{reliability(row.reliability)} within {nominal(row.deadline_ns)} asked"
    if row.verdict == "not valid":
        error = delay(row.schedule_error_p99_ns)
        return f"The lab was too busy: packets left {error} late (p99), beyond their interval."
    if row.verdict == "met":
        return f"{late}; {asked}, shown with 97.5 % confidence."
    if row.verdict == "missed":
        return f"{late}, a share of {share(row.miss_ratio)}; {asked}."
    if row.packets_needed is None:
        return f"{late}; {asked}, which no finite sample can show."
    return f"{late}; {asked}, which takes {row.packets_needed:,} packets to show."


def tally(rows: Sequence[SummaryRow]) -> str:
    """How many of how many deadlines were met, in plain words."""
    words = Counter(row.verdict for row in rows if row.verdict != "no deadline")
    judged = sum(words.values())
    if not judged:
        return "No class of this run has a deadline."
    parts = [f"{words['met']} of {judged} deadlines met"]
    if words["missed"]:
        parts.append(f"{words['missed']} missed")
    if words["not shown"]:
        parts.append(f"{words['not shown']} not shown: too few packets for what they ask")
    if words["not valid"]:
        parts.append(f"{words['not valid']} not valid: the lab was too busy for them")
    return ", ".join(parts) + "."


def precision(rows: Sequence[SummaryRow], lab: str) -> str:
    """What the instrument itself adds, in plain words."""
    errors = [r.schedule_error_p99_ns for r in rows if r.schedule_error_p99_ns is not None]
    if not errors:
        return f"Lab {lab}; no packet was measured."
    clock = (
        "time is counted by the lab's own clock"
        if lab == "virtual"
        else "delays include what a shared processor adds, now and then milliseconds"
    )
    return (
        f"Lab {lab}: {clock}; 99 % of each session's packets left within {delay(max(errors))} "
        "of their schedule."
    )


def shortfalls(loads: object) -> list[str]:
    """Loads that sent less than asked, from 6-loads.json; TCP sends what it can."""
    if not isinstance(loads, list):
        return []
    return [
        f"Load {load['id']} sent {show_bps(load['sent_bps'] or 0)} of "
        f"{show_bps(load['asked_bps'])} asked: the lab could not send more."
        for load in loads
        if load["kind"] != "tcp" and (load["sent_bps"] or 0) < 0.95 * load["asked_bps"]
    ]
