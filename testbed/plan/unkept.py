"""Promises of slices that the plan does not keep, whatever the traffic.

A policy need not hold what slices are promised: the run then shows what comes of it, and
whoever reads it is told beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.frames import LABELLED_FRAME_BYTES
from testbed.plan.model import Plan
from testbed.scenario.model import Slice, Slo
from testbed.scenario.scenario import Scenario
from testbed.scenario.terms import asked
from testbed.slices.policy import BEST_EFFORT
from testbed.units import show_bps, show_bytes, show_ns


def unkept(scenario: Scenario, plan: Plan) -> list[str]:
    """A sentence for each slice and promise; empty if the plan can keep them all."""
    return list(dict.fromkeys(_unkept(scenario, plan)))


def _unkept(scenario: Scenario, plan: Plan) -> Iterator[str]:
    slices = {slice_.id: slice_ for slice_ in scenario.slices if slice_.id != BEST_EFFORT}
    for one in slices.values():
        yield from _unplanned(one)
    for session in plan.sessions:
        slice_ = slices.get(session.slice)
        if slice_ is None:
            continue
        who = f"Slice {slice_.id} is promised"
        first = session.paths[0]
        if slice_.guaranteed_bps and not first.queue:
            yield (
                f"{who} {show_bps(slice_.guaranteed_bps)}, for which policy "
                f"{first.policy} has no queue."
            )
        for path, budget in ((leg.path, leg.budget) for leg in session.legs):
            slo = slice_.promised(path.src, path.dst) or Slo()
            most = [ns for ns in (slo.delay_ns, slo.delay_percentile_ns) if ns is not None]
            if most and budget.total_ns > min(most):
                yield (
                    f"{who} a delay of {show_ns(min(most))}, and the path of policy "
                    f"{path.policy} from {path.src} to {path.dst} takes "
                    f"{show_ns(budget.total_ns)} without queueing."
                )


def _unplanned(slice_: Slice) -> Iterator[str]:
    """Terms that no policy plans for."""
    slos = [contract.slo for contract in slice_.contracts()] if slice_.groups else [slice_]
    for term, value in (one for slo in slos for one in asked(slice_, slo)):
        who = f"Slice {slice_.id} is promised {term.name} of"
        if not term.planned:
            much = show_ns(value) if term.name == "variation" else f"{value:g}"
            yield f"{who} {much}, which no policy plans for: a run tells how much there was."
        elif term.name == "MTU" and value > LABELLED_FRAME_BYTES:
            yield (
                f"{who} {show_bytes(value)}, which is not kept: links carry frames of "
                f"{LABELLED_FRAME_BYTES} bytes, a label included."
            )
