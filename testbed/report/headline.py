"""A run's answer to its experiment's question, in one sentence with its numbers.

What kind of answer a question asks for is the scenario's `headline`: the experiment's own,
or else told from what it asks (scenario_of).

    verdicts   which deadlines are met, and by how much the others are not
    outages    how long events interrupt what flows, and what they cost
    orders     whether slices that run notice that others come, change and go
    isolation  whether those beside a flooded slice keep their deadlines
    bounds     whether a packet takes longer than network calculus allows
    gain       what load adds to the delay of each
    reach      how many lie within a delay
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from testbed.analysis.outage import YARDSTICK_NS, Outage, outages
from testbed.analysis.percentiles import Estimate, Refused
from testbed.analysis.phases import Phase, phases
from testbed.analysis.summary import SummaryRow
from testbed.report import wording
from testbed.report.isolation import isolation, loaded_slices
from testbed.report.naming import called, listed, names
from testbed.results.folder import CONTROL, RunFolder
from testbed.scenario.events.order import OrderEvent
from testbed.scenario.scenario import Headline

_NAMED = 6
"""So many are named; of more, their number is told."""


def headline(run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    """The answer of a run with these rows; empty if it measured nothing."""
    if not rows:
        return ""
    return _KINDS[run.scenario.headline](run, rows)


def _verdicts(_run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    judged = [row for row in rows if row.verdict != "no deadline"]
    if not judged:
        return "No class of this run has a deadline."
    met = [row for row in judged if row.verdict == "met"]
    told = [_count(met, judged)] if met or len(judged) > 1 else []
    for word, ending in (
        ("missed", ""),
        ("not shown", " not shown either way"),
        ("not valid", ""),
    ):
        these = [row for row in judged if row.verdict == word]
        if not these:
            continue
        if word == "missed":
            told.append(
                ("missed by " if told else "Missed by ") + listed(map(wording.missed, these))
            )
        else:
            why = f" not valid: {wording.doubts(these)}" if word == "not valid" else ending
            told.append(f"{names(these)}{why}")
    return f"{'; '.join(told)}."


def _count(met: Sequence[SummaryRow], judged: Sequence[SummaryRow]) -> str:
    if len(met) == len(judged):
        return f"All {len(judged)} deadlines are met" if len(met) > 1 else "The deadline is met"
    if not met:
        return f"None of {len(judged)} deadlines is met"
    named = f": {names(met)}" if len(met) <= _NAMED else ""
    return f"{len(met)} of {len(judged)} deadlines are met{named}"


def _outages(run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    found = outages(run.plan, run.samples)
    if not found or all(row.max_ns is None for row in rows):
        return "Not shown: no message came that an event could have kept away."
    told, harmless = [], []
    for (event, at_ns), group in groupby(found, key=lambda row: (row.event, row.at_ns)):
        worst = [row for row in group if _interrupts(row)]
        when = f"{event} at {at_ns / 1e9:g} s"
        if worst:
            told.append(f"{when} interrupts {listed(map(_interrupted, worst))}")
        else:
            harmless.append(when)
    if not told:
        lost = sum(row.lost for row in rows)
        beside = f"; {lost:,} were lost otherwise" if lost else ""
        return f"Not at all: no message was lost by {listed(harmless)}{beside}."
    lasting = [row.outage_ns for row in found if _interrupts(row)]
    longest = None if None in lasting else max(filter(None, lasting), default=0)
    if longest is None:
        sign = "not restored"
    else:
        side = "within" if longest <= YARDSTICK_NS else "over"
        sign = f"{side} the {wording.nominal(YARDSTICK_NS)} of transport networks"
    spared = f"; {listed(harmless)} costs nothing" if harmless else ""
    return f"{_capital('; '.join(told))} ({sign}){spared}."


def _interrupts(row: Outage) -> bool:
    """Messages were lost, or none had come any more when the run ended."""
    return row.lost > 0 or row.outage_ns is None


def _interrupted(row: Outage) -> str:
    name = called(row)
    cost = f"{row.lost:,} {'message' if row.lost == 1 else 'messages'}"
    if row.outage_ns is None:
        return f"{name} until the run's end, {cost} lost"
    return f"{name} for {wording.delay(row.outage_ns)}, {cost} lost"


def _orders(run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    record = run.record(CONTROL)
    if record is None:
        return "Not shown: the run was cut short, and what became of its requests is not known."
    answers = [entry.told["answer"] for entry in run.timeline if "answer" in entry.told]
    carried = sum(answer["status"] < 300 for answer in answers)
    ordered = {e.id for e in run.plan.events if isinstance(e, OrderEvent)}
    theirs = {s.id for s in run.scenario.slices} - ordered
    before: dict[str, Phase] = {}
    after: dict[str, list[Phase]] = {}
    for phase in phases(run.plan, run.samples):
        name = f"{phase.session} {phase.direction}"
        if phase.event is None:
            before[name] = phase
        else:
            after.setdefault(name, []).append(phase)
    standing = [row for row in rows if row.slice in theirs] or list(rows)
    disturbed = [
        row for row in standing if any(p.lost for p in after.get(_id(row), ())) or row.bound_over
    ]
    told = listed(_before_and_after(row, before, after) for row in standing)
    answered = f"{carried} of {len(answers)} requests were carried out"
    if carried < len(answers):
        answered += f", {len(answers) - carried} refused"
    if disturbed:
        who = names(disturbed)
        return f"Yes: {who} lost messages or exceeded a bound ({told}); {answered}."
    if not any(phase.messages for row in standing for phase in after.get(_id(row), ())):
        return f"Not shown: none of their messages was sent after a request; {answered}."
    return f"No: none of their messages was lost ({told}); {answered}."


def _id(row: SummaryRow) -> str:
    return f"{row.session} {row.direction}"


def _before_and_after(
    row: SummaryRow, before: dict[str, Phase], after: dict[str, list[Phase]]
) -> str:
    first = before[_id(row)].max_ns if _id(row) in before else None
    later = max((p.max_ns for p in after.get(_id(row), ()) if p.max_ns is not None), default=None)
    return f"{_id(row)} at most {wording.delay(first)} before, {wording.delay(later)} after"


def _isolation(run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    loaded = loaded_slices(run.plan)
    judged = [row for row in rows if row.verdict != "no deadline"]
    others = [row for row in judged if row.slice not in loaded]
    flooded = [row for row in judged if row.slice in loaded]
    return isolation(run, others, flooded) if others and loaded else _verdicts(run, rows)


def _bounds(_run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    over = [row for row in rows if row.bound == "exceeded"]
    if over:
        number = sum(row.bound_over for row in over)
        return f"Yes: {number:,} messages of {names(over)} took longer than their bound."
    held = [row for row in rows if row.bound == "kept" and row.bound_ns and row.max_ns is not None]
    outlived = [row for row in held if wording.outlived(row)]
    held = [row for row in held if row not in outlived]
    without = [row for row in rows if row not in [*held, *outlived]]
    if outlived and not held:
        return f"No, until the first event: {names(outlived)} took longer after it only."
    if not held:
        return "No bound could be judged."
    nearest = max(held, key=lambda row: (row.max_ns or 0) / (row.bound_ns or 1))
    share = (nearest.max_ns or 0) / (nearest.bound_ns or 1)
    told = (
        f"No: of {sum(row.messages for row in held):,} messages none took longer than its bound; "
        f"{called(nearest)} came nearest, {wording.delay(nearest.max_ns)} of "
        f"{wording.delay(nearest.bound_ns)} ({100 * share:.0f} %)"
    )
    if outlived:
        told += f"; {names(outlived)} took longer after the first event only"
    if without:
        told += f"; not held against a bound: {names(without)}"
    return f"{told}."


def _gain(_run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    seen = [row for row in rows if row.messages]
    if not seen:
        return "Not shown: no message was judged."
    return f"Queues add {listed(map(_gained, seen))}."


def _gained(row: SummaryRow) -> str:
    for name, shown in (("p999", "at p99.9"), ("p99", "at p99")):
        found: Estimate | Refused = getattr(row, name)
        if isinstance(found, Estimate):
            within = f"{_more(found.low, row)} to {_more(found.high, row)}"
            if found.by == "bound":
                within += " at other phases"
            return f"{_more(found.value, row)} {shown} ({within}) to {called(row)} ({row.slice})"
    return f"{_more(row.max_ns, row)} at most to {called(row)} ({row.slice})"


def _more(value: float | None, row: SummaryRow) -> str:
    if value is None or math.isinf(value):
        return "loss"
    return wording.delay(value - row.budget_ns)


def _reach(run: RunFolder, rows: Sequence[SummaryRow]) -> str:
    judged = [row for row in rows if row.verdict != "no deadline"]
    if not judged:
        return _verdicts(run, rows)
    within = [row for row in judged if row.verdict == "met"]
    unsure = [row for row in judged if row.verdict in ("not shown", "not valid")]
    told = (
        f"{len(within)} of {len(judged)} ({wording.share(len(within) / len(judged))}) lie within "
        f"{wording.deadlines(judged)}"
    )
    if unsure:
        told += f", {len(unsure)} are not shown either way"
    farthest = max((row for row in judged if row.messages), key=wording.largest, default=None)
    if farthest is not None:
        told += f"; the farthest, {called(farthest)}, {wording.takes(wording.largest(farthest))}"
    return f"{told}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_KINDS: dict[Headline, Callable[[RunFolder, Sequence[SummaryRow]], str]] = {
    "verdicts": _verdicts,
    "outages": _outages,
    "orders": _orders,
    "isolation": _isolation,
    "bounds": _bounds,
    "gain": _gain,
    "reach": _reach,
}
