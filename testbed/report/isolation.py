"""The answer to whether those beside a flooded slice keep their deadlines.

It is an answer only where a link that they share was offered more than it carries, or would
have been if nothing had held the flood before it: else nobody was put to the test.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

from testbed.analysis.fidelity import instrument
from testbed.analysis.overload import Shared, policed, shared
from testbed.analysis.summary import SummaryRow, passed
from testbed.net.paths import Path
from testbed.plan.model import Plan
from testbed.report import wording
from testbed.report.naming import listed, names
from testbed.results.folder import CONTROL, RunFolder
from testbed.scenario.scenario import Scenario

_ENOUGH = 1.2
"""Of a link's rate: what overloads it beyond doubt."""


def loaded_slices(plan: Plan) -> set[str]:
    """Those that loads or modelled background are of."""
    loaded = {load.slice for load in plan.loads}
    return loaded | {source.slice for port in plan.ports for source in port.sources}


def isolation(run: RunFolder, others: Sequence[SummaryRow], flooded: Sequence[SummaryRow]) -> str:
    """One sentence: of the rows with a deadline, those beside the loads' slices and those in
    them."""
    loaded = loaded_slices(run.plan)
    links = shared(run.plan, _paths(run.plan, others), loaded, run.record(CONTROL))
    word, told = _kept(others)
    if links is None:
        return f"{word}{told}; how full the links were is not known: the run was cut short."
    if not links:
        return f"Not put to the test: no link with a rate is shared with {_of(loaded)}; {told}."
    share = wording.share
    fullest, worst = links[0], max(links, key=lambda link: link.planned)
    what = f"{word}{told}, while {_of(loaded)} {'floods' if len(loaded) == 1 else 'flood'} "
    if fullest.came > 1:
        what += f"their link {' -> '.join(fullest.hop)} to {share(fullest.came)} of its rate"
    elif worst.planned > 1 and (how := _held_by(run, loaded)):
        what += (
            f"their link {' -> '.join(worst.hop)} with {share(worst.planned)} of its rate, held to "
            f"{share(worst.came)} by {how},"
        )
    else:
        return (
            f"Not put to the test: the shared link {' -> '.join(fullest.hop)} was never "
            f"overloaded, {share(fullest.came)} of its rate came to it{_typed(run, worst)}; {told}."
        )
    less = sorted({found.load for found in instrument(run).deviations if found.way == "less"})
    if less:
        what += f" (less than planned by {listed(less)})"
    if flooded:
        what += f" and {wording.takes(max(map(wording.largest, flooded)))}"
    return f"{what}."


def _of(slices: Collection[str]) -> str:
    return listed(sorted(slices))


def _kept(others: Sequence[SummaryRow]) -> tuple[str, str]:
    """The word that answers, and in words who keeps what."""
    kept = [row for row in others if row.verdict == "met"]
    lost = [row for row in others if row.verdict == "missed"]
    worst = max((row.max_ns for row in others if row.max_ns is not None), default=None)
    if len(kept) == len(others):
        keep = "keeps" if len(kept) == 1 else "keep"
        told = f"{names(kept)} {keep} {wording.deadlines(kept)}, {wording.delay(worst)} at most"
        return "Yes: ", told
    if lost:
        return "No: ", f"missed by {listed(map(wording.missed, lost))}"
    unsure = [row for row in others if row not in kept]
    return "Not shown: ", f"{names(unsure)} took {wording.delay(worst)} at most"


def _held_by(run: RunFolder, loaded: Collection[str]) -> str:
    """What of the slices' terms held a flood before the shared link; empty: nothing did."""
    if policed(run.record(CONTROL)):
        return "policing"
    for load in run.plan.loads:
        for hop in pairwise(load.path.nodes):
            port = run.plan.port(*hop)
            for queue in port.queues:
                if queue.id == load.path.queue and queue.peak_bps:
                    return f"the maximum rate of {_of(loaded)}"
    return ""


def _paths(plan: Plan, rows: Sequence[SummaryRow]) -> list[Path]:
    """Those that are judged."""
    sessions = {session.id: session for session in plan.sessions}
    found: list[Path] = []
    for row in rows:
        session = sessions[row.session]
        found += passed(session, row.judged)
    return found


def _typed(run: RunFolder, link: Shared) -> str:
    """What to type so that the link is overloaded."""
    found = _parameter(run.scenario, run.plan)
    if found is None or not link.planned:
        return ""
    name, value = found
    enough = math.ceil(10 * value * _ENOUGH / link.planned) / 10
    return f" (--set {name}={enough:g} overloads it)"


def _parameter(scenario: Scenario, plan: Plan) -> tuple[str, float] | None:
    """The parameter after which a load is named, if it is a number."""
    for name, value in scenario.params.items():
        named_so = any(load.id.startswith(name) for load in plan.loads)
        if named_so and isinstance(value, int | float) and not isinstance(value, bool):
            return name, float(value)
    return None
