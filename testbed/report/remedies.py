"""What to type so that a deadline that was not shown is shown, at the miss ratio seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import optimize

from testbed.analysis.deadline import allowed_ratio
from testbed.analysis.outage import Outage
from testbed.analysis.shares import clopper_pearson
from testbed.analysis.summary import SummaryRow
from testbed.errors import InputError
from testbed.report.naming import called, listed
from testbed.report.wording import share, worth
from testbed.scenario.model import Probe
from testbed.scenario.scenario import Scenario
from testbed.units import time_ns

_S = 1_000_000_000
_SPARE = 50
"""One part of so many is added to a duration, since the next run is another one."""
_LONGEST_NS = 24 * 3600 * _S
"""Beyond, a run is no advice."""


def remedies(
    scenario: Scenario, rows: Sequence[SummaryRow], events: Sequence[Outage] = ()
) -> list[str]:
    """A line for each thing to type; empty if all deadlines are shown.

    `events` are what they cost: a longer run has no more of them.
    """
    lines: dict[str, list[str]] = {}
    longest: dict[str, int] = {}
    probes = {probe.id: probe for probe in scenario.probes}
    for row in rows:
        if row.verdict != "not shown":
            continue
        needed_ns = _needed_ns(row, events)
        if row.limit == "phases" and row.observations_needed:
            what = _repeated(row)
        elif needed_ns is None:
            what = _endless(row)
        elif needed_ns > _LONGEST_NS:
            what = (
                f"{_typed(needed_ns)} of such traffic, of which {share(row.miss_ratio)} were late "
                f"or lost{worth(row)}"
            )
        else:
            probe = probes.get(row.session) or probes.get(row.session.rpartition(".")[0])
            if probe is not None and needed_ns <= probe.duration_ns:
                what = "what was planned is enough, if all of it is measured"
            else:
                what = _parameter(scenario, probe) or f"probe {row.session} with duration="
                longest[what] = max(longest.get(what, 0), needed_ns)
        lines.setdefault(what, []).append(called(row))
    typed = {what: f'{what}"{_typed(needed_ns)}"' for what, needed_ns in longest.items()}
    return [
        f"To show whether {listed(names)} {_meet(names)}: {typed.get(what, what)}."
        for what, names in lines.items()
    ]


def _meet(names: Sequence[str]) -> str:
    return "meets its deadline" if len(names) == 1 else "meet theirs"


def _repeated(row: SummaryRow) -> str:
    runs = math.ceil((row.observations_needed or 0) / max(row.effective, 1))
    seen = "one phase" if row.phases == 1 else f"{row.phases} phases"
    return (
        f"all its messages saw {seen} of the senders it meets: --repeat {runs}, or clocks that "
        "drift (self.clocks(drift_ppm=50) in build()), which change phases within a run"
    )


def _needed_ns(row: SummaryRow, events: Sequence[Outage]) -> int | None:
    """What the probe's duration has to be, with a little to spare; None: no duration decides."""
    needed_ns = row.duration_needed_ns
    if needed_ns is None or not row.messages_needed:
        return None
    lost = sum(e.lost for e in events if (e.session, e.direction) == (row.session, row.direction))
    if lost and lost == row.misses and row.reliability:
        worth = row.effective / row.messages
        least = _least(row.misses * worth, allowed_ratio(row.reliability)) / worth
        needed_ns = min(needed_ns, round(least / row.messages_needed * needed_ns))
    return needed_ns + needed_ns // _SPARE


def _least(misses: float, allowed: float) -> float:
    """Independent messages of which so many may miss, and it is shown that no larger share does.

    >>> round(_least(0, 0.001)), round(_least(2, 0.001))
    (3687, 7222)
    """
    return float(
        optimize.brentq(
            lambda size: clopper_pearson(misses, size)[1] - allowed,
            misses + 1,
            100 * (misses + 1) / allowed,
        )
    )


def _endless(row: SummaryRow) -> str:
    """Why no number of messages decides."""
    if row.reliability in (None, 1.0):
        return "no sample can show that every message is in time; only a bound can"
    return "as many were late or lost as the class allows, which no larger sample tells from more"


def _parameter(scenario: Scenario, probe: Probe | None) -> str:
    """The option that sets a probe's duration; empty if none has its value."""
    if probe is None:
        return ""
    for name, value in scenario.params.items():
        try:
            if isinstance(value, str) and time_ns(value) == probe.duration_ns:
                return f"--set {name}="
        except InputError:
            continue
    return ""


def _typed(duration_ns: int) -> str:
    """A duration as one types it, rounded up.

    >>> _typed(3_100_000_000), _typed(3_600_000_000_000), _typed(40_000_000_000_000)
    ('4 s', '60 min', '11.2 h')
    """
    seconds = -(-duration_ns // _S)
    if seconds < 600:
        return f"{seconds} s"
    if seconds < 10_800:
        return f"{-(-seconds // 60)} min"
    return f"{math.ceil(seconds / 360) / 10:g} h"
