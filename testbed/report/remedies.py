"""What to type so that a deadline that was not shown is shown, at the miss ratio seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from testbed.analysis.summary import SummaryRow
from testbed.errors import InputError
from testbed.report.naming import called, listed
from testbed.scenario.model import Probe, Scenario
from testbed.units import time_ns

_S = 1_000_000_000


def remedies(scenario: Scenario, rows: Sequence[SummaryRow]) -> list[str]:
    """A line for each thing to type; empty if all deadlines are shown."""
    lines: dict[str, list[str]] = {}
    longest: dict[str, int] = {}
    probes = {probe.id: probe for probe in scenario.probes}
    for row in rows:
        if row.verdict != "not shown":
            continue
        if row.limit == "phases" and row.observations_needed:
            runs = math.ceil(row.observations_needed / max(row.effective, 1))
            seen = "one phase" if row.phases == 1 else f"{row.phases} phases"
            what = f"all its messages saw {seen} of the senders it meets: --repeat {runs}"
        elif row.duration_needed_ns is None:
            what = _endless(row)
        else:
            needed_ns = row.duration_needed_ns + row.duration_needed_ns // 100
            probe = probes.get(row.session) or probes.get(row.session.rpartition(".")[0])
            if probe is not None and needed_ns <= probe.duration_ns:
                what = "what was planned is enough, if all of it is measured"
            else:
                what = _parameter(scenario, probe) or f"probe {row.session} with duration="
                longest[what] = max(longest.get(what, 0), needed_ns)
        lines.setdefault(what, []).append(called(row))
    typed = {what: f'{what}"{_typed(needed_ns)}"' for what, needed_ns in longest.items()}
    return [f"To show {listed(names)}: {typed.get(what, what)}." for what, names in lines.items()]


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
