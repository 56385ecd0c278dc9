"""Words and number formats shared by the terminal table and the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from testbed.analysis.fidelity import EXACT_NS, Doubt, Instrument
from testbed.analysis.outage import YARDSTICK_NS, Outage
from testbed.analysis.over_runs import OverRuns
from testbed.analysis.percentiles import Estimate, Refused
from testbed.analysis.summary import SummaryRow
from testbed.analysis.terms import Held, Promise
from testbed.report.naming import called, listed
from testbed.results.folder import PROMISES
from testbed.results.provenance import Provenance
from testbed.scenario.scenario import Headline
from testbed.units import show_bps, show_ns

NONE = "\N{EN DASH}"
_DOUBTS: dict[Doubt, str] = {
    "sender": "their packets left too late",
    "load": "a load was not sent as planned",
    "error": "the lab is not exact enough for them",
    "stalls": "the lab is not exact enough for them",
    "": "",
}
SIGNS = {"met": "✓", "not shown": "?", "missed": "✗", "not valid": "!", "no deadline": NONE}


def outcome(made: Provenance) -> str:
    """How a run that did not go well ended, and how much of it was measured; else nothing."""
    if made.status == "ok":
        return ""
    why = f": {made.error}." if made.error else "."
    if made.status == "failed":
        return f"This run failed{why}"
    reached, asked = (found.get("traffic_ns", 0) / 1e9 for found in (made.actual, made.asked))
    seconds = math.floor(100 * reached) / 100
    whole = round(asked, 2) or asked
    return f"Unfinished, {seconds:g} s of {whole:g} s of traffic were measured{why}"


def overdue(rows: Iterable[SummaryRow]) -> list[str]:
    """A line for each session with messages that had not come when the run was cut short."""
    return [
        f"{called(row)}: {row.overdue:,} messages had not come by their deadline when "
        "the run ended; they count as late, not as lost."
        for row in rows
        if row.overdue and row.deadline_ns is not None
    ]


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
    """A percentile of a row, or why it has none."""
    return stated(getattr(row, name))


def stated(found: Estimate | Refused) -> str:
    """A percentile, or what its messages are worth and what it takes: 1<368."""
    if isinstance(found, Refused):
        return f"{math.floor(found.worth)}<{found.needed}"
    return delay(found.value)


def refused(rows: Iterable[SummaryRow | OverRuns]) -> str:
    """What a cell of a percentile that is refused says, by the first; empty if there is none."""
    found = [one for row in rows if row.messages for one in (row.p50, row.p99, row.p999)]
    cell = next((stated(one) for one in found if isinstance(one, Refused)), "")
    if not cell:
        return ""
    worth, _, needed = cell.partition("<")
    return (
        f"a cell like {cell}: the messages are surely worth {worth} independent ones, of the "
        f"{needed} that this percentile takes"
    )


def by_bound(row: SummaryRow) -> bool:
    """Whether a percentile's interval is budget and bound."""
    found = (row.p50, row.p99, row.p999)
    return any(isinstance(one, Estimate) and one.by == "bound" for one in found)


def interval(row: SummaryRow, name: str) -> str:
    """The 95 % interval of a percentile; empty if it was refused."""
    found: Estimate | Refused = getattr(row, name)
    if isinstance(found, Refused):
        return ""
    by = " by budget and bound" if found.by == "bound" else ""
    return f"{delay(found.low)} to {delay(found.high)}{by}"


def share(value: float) -> str:
    """A share in percent, never rounded to nothing: 0 %, 0.02 %, 1.5 %."""
    if value == 0:
        return "0 %"
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def reliability(value: float | None) -> str:
    """A reliability as people say it: 99.9 %."""
    return "every message" if value is None or value == 1 else f"{100 * value:.10g} %"


def portion(value: float) -> str:
    """A share near one in percent: 100 %, 99.98 %."""
    return f"{math.floor(1e6 * value) / 1e4:g} %"


def loss(row: SummaryRow) -> str:
    """Share of the judged messages that were lost."""
    return share(row.lost / row.messages) if row.messages else NONE


def several(row: SummaryRow) -> bool:
    """Whether its messages are of several packets."""
    return row.judged != "reverse" and row.packets > (1 + (row.judged == "rtt")) * row.messages


def messages(row: SummaryRow) -> str:
    """How many were judged, and their packets where these are more."""
    more = f" ({row.packets:,} packets)" if several(row) else ""
    return f"{row.messages:,}{more}"


def packets(rows: Iterable[SummaryRow]) -> list[str]:
    """A line for each row of whose messages, which are of several packets, some were lost or
    out of order."""
    return [
        f"{called(row)}: {row.lost:,} of {row.messages:,} messages lost, "
        f"{row.packets_lost:,} of their {row.packets:,} packets"
        f"{f'; {row.packets_reordered:,} packets out of order' * (row.packets_reordered > 0)}."
        for row in rows
        if several(row) and (row.packets_lost or row.packets_reordered)
    ]


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
    late = f"{row.misses:,} of {row.messages:,} messages late or lost"
    asked = f"{reliability(row.reliability)} within {nominal(row.deadline_ns)} asked"
    if row.verdict == "not valid":
        return f"{late}; {asked}. The lab cannot tell: {unresolved(row)}."
    return f"{late}{_ground(row, asked)}."


def _ground(row: SummaryRow, asked: str) -> str:
    """What a verdict rests on, or what it would take."""
    if row.ground == "bound":
        return f"; {asked}: no message takes longer than {delay(row.bound_ns)}, its bound"
    if row.ground == "budget":
        return f"; {asked}: no message takes less than {delay(row.budget_ns)}, its budget"
    if row.verdict == "met":
        return f"; {asked}, shown with 97.5 % confidence{worth(row)}"
    if row.verdict == "missed":
        return f", a share of {share(row.miss_ratio)}; {asked}{worth(row)}"
    return f"; {asked}, which {_takes(row)}{worth(row)}"


def _takes(row: SummaryRow) -> str:
    if row.limit == "phases" and row.observations_needed is not None:
        return f"takes {row.observations_needed:,} phases to show"
    if row.messages_needed is None:
        return "no finite sample can show"
    return f"takes {row.messages_needed:,} messages to show"


def worth(row: SummaryRow) -> str:
    """How many observations the packets are, if fewer than they are."""
    if row.limit == "phases":
        phases = "one phase" if row.phases == 1 else f"{row.phases:,} phases"
        return f"; all messages saw {phases} between senders of exact periods"
    if row.limit == "correlated":
        return f"; messages through a queue are alike, and these are worth {row.effective:,.0f}"
    return ""


def unresolved(row: SummaryRow) -> str:
    """Why a verdict is not valid."""
    if row.doubt == "sender":
        return f"messages left {delay(row.schedule_error_p99_ns)} late (p99), beyond their interval"
    if row.doubt == "load":
        return "a load on its path was not sent as planned"
    if row.doubt == "stalls":
        return "its own stalls can make as many messages late"
    if row.fidelity_ns is not None and math.isinf(row.fidelity_ns):
        return "packets of its null path were lost, so that its own error is unknown"
    return (
        f"its own error may be {delay(row.fidelity_ns)} ({delay(row.fidelity_late_ns)} late, "
        f"{delay(row.fidelity_path_ns)} on the path, {delay(row.fidelity_shaper_ns)} in shapers)"
    )


def fidelity(row: SummaryRow) -> str:
    """The lab's own error in a row: exact, 340 us, or not valid."""
    if row.fidelity == "good":
        return error(row.fidelity_ns)
    return {"not measured": "unknown"}.get(row.fidelity, row.fidelity)


def error(value: float | None) -> str:
    """The lab's own error, which is unknown where packets of its null path were lost."""
    return "unknown" if value is not None and math.isinf(value) else delay(value)


def outlived(row: SummaryRow) -> bool:
    """Whether messages took longer than the bound, but not before an event."""
    return row.bound == "kept" and (row.max_ns or 0) > (row.bound_ns or 0)


def bound(row: SummaryRow) -> str:
    """What a row's bound is, whether it was kept, and what it rests on."""
    if row.bound_ns is None:
        return f"no bound: {row.bound_assumptions}" if row.bound_assumptions else "no bound"
    if row.bound == "not judged":
        kept = "not held against it"
    elif row.beyond_bound_ns is not None and row.beyond_ns is not None:
        after = ""
        if row.beyond_bound_ns != row.bound_ns:
            after = f" of {delay(row.beyond_bound_ns)}, as it was after an event"
        share = 100 * row.beyond_ns / row.beyond_bound_ns
        kept = f"exceeded{after}, one message took {share:.0f} % of it"
    elif row.max_ns is None:
        kept = row.bound
    else:
        when = " until the first event" if outlived(row) else ""
        kept = f"{row.bound}{when}, the longest took {100 * row.max_ns / row.bound_ns:.0f} % of it"
    return f"at most {delay(row.bound_ns)} ({kept}), if {row.bound_assumptions}"


def tally(rows: Sequence[SummaryRow | OverRuns]) -> str:
    """How many of how many deadlines were met, in plain words."""
    words = Counter(row.verdict for row in rows if row.verdict != "no deadline")
    judged = sum(words.values())
    if not judged:
        return "No class of this run has a deadline."
    parts = [f"{words['met']} of {judged} deadlines met"]
    if words["missed"]:
        parts.append(f"{words['missed']} missed")
    if words["not shown"]:
        parts.append(f"{words['not shown']} not shown")
    if words["not valid"]:
        parts.append(f"{words['not valid']} not valid: {doubts(rows)}")
    return ", ".join(parts) + "."


def doubts(rows: Sequence[SummaryRow | OverRuns]) -> str:
    """Why verdicts are not valid."""
    why = dict.fromkeys(_DOUBTS[row.doubt] for row in rows if row.verdict == "not valid")
    return " and ".join(why)


def precision(rows: Sequence[SummaryRow], known: Instrument) -> str:
    """Which lab, how exact, and why, in plain words."""
    errors = [row.fidelity_ns for row in rows if row.fidelity_ns is not None]
    clock = "time is the lab's own" if known.lab == "virtual" else "real time on a shared processor"
    floor = known.floor
    if floor is None or not errors:
        return f"Lab {known.lab} ({clock}): no null path was measured, its own error is unknown."
    least, most = min(errors), max(errors)
    if math.isinf(least):
        how = "its own error is unknown"
    elif most < EXACT_NS:
        how = f"exact, every number to {delay(most)}"
    elif delay(least) == delay(most):
        how = f"numbers are good to {delay(most)}"
    else:
        how = f"numbers are good to {delay(least)} at best, {error(most)} at worst"
    which = "at most" if floor.p999_ns is None else "at p99.9"
    late = f"was {delay(floor.late_ns)} late {which}"
    if math.isinf(floor.late_ns):
        late = f"lost {floor.lost:,} packets"
    why = (
        f"A bare wire beside the network {late} "
        f"({floor.packets:,} packets, {floor.stalls:,} over 1 ms)"
    )
    return (
        f"Lab {known.lab} ({clock}): {how}{_but(known)}. {why}{_surroundings(known)}."
        f"{_amount(known)}"
    )


def _but(known: Instrument) -> str:
    """The loads that make a precise number one of other traffic than was planned."""
    names = ", ".join(dict.fromkeys(found.load for found in known.deviations))
    return f", but not all traffic was as planned: see load {names}" if names else ""


def _amount(known: Instrument) -> str:
    if not known.unchecked:
        return ""
    return (
        f" Of TCP load {listed(known.unchecked)} only what they sent in all is held against their "
        "rates, not when their packets left."
    )


def _surroundings(known: Instrument) -> str:
    host = known.host
    if host is None or known.lab == "virtual":
        return ""
    parts = [f"host load {host.load_after:g} on {host.cores} processors"]
    if host.steal:
        parts.append(f"{share(host.steal)} stolen")
    return "; " + ", ".join(parts)


def deviations(known: Instrument) -> list[str]:
    """A line for each way in which a load was not sent as planned."""
    return [f"Load {found.load} {found.what}." for found in known.deviations]


def promises(rows: Iterable[Promise]) -> list[str]:
    """A line for each slice that promises something, what was broken first: of each term, who
    came off worst; of a rate or MTU that was not broken, who tried it most. What would show
    those is said once, since it is in the report."""
    by_slice: dict[str, dict[str, Promise]] = {}
    for row in rows:
        terms = by_slice.setdefault(row.slice, {})
        worst = terms.setdefault(term(row), row)
        if _badness(row) > _badness(worst):
            terms[term(row)] = row
    told = [sorted(terms.values(), key=lambda row: _ORDER[row.held]) for terms in by_slice.values()]
    lines = [
        f"Slice {name} promises " + "; ".join(map(_promise, terms)) + "."
        for name, terms in zip(by_slice, told, strict=True)
    ]
    if any(map(_untried, (row for terms in told for row in terms))):
        lines.append(f"What would show a rate or MTU is in the report and in {PROMISES}.")
    return lines


_HELD: tuple[Held, ...] = ("kept", "not shown", "not valid", "broken")
"""From good to bad."""
_TRIED = ("guaranteed rate", "maximum rate", "MTU")
_ORDER: dict[Held, int] = {"broken": 0, "not valid": 1, "kept": 2, "not shown": 3}


def _untried(row: Promise) -> bool:
    return row.held == "not shown" and row.term in _TRIED and row.found is not None


def _badness(row: Promise) -> tuple[int, float]:
    """Of two rows of a term, which is told: the larger."""
    found = row.found or 0.0
    if row.term in _TRIED and row.held in ("kept", "not shown"):
        return -int(row.held == "not shown"), found
    less_is_worse = row.term in ("guaranteed rate", "availability", "MTU")
    return 1 + _HELD.index(row.held), -found if less_is_worse else found


def term(row: Promise) -> str:
    """What is promised, and how much of it."""
    which = "" if row.percentile is None else f" p{row.percentile:g}"
    return f"{row.term}{which} of {_quantity(row, row.asked)}"


def found(row: Promise) -> str:
    """What there was of a promise, in its unit."""
    return NONE if row.found is None else _quantity(row, row.found)


def _quantity(row: Promise, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if row.term == "loss":
        return share(value)
    if row.term == "availability":
        return portion(value)
    if row.term in ("guaranteed rate", "maximum rate"):
        return show_bps(value)
    if row.term == "MTU":
        return f"{value:.0f} B"
    return nominal(round(value)) if value == row.asked else delay(value)


def _promise(row: Promise) -> str:
    what = "" if row.found is None else f", {found(row)}"
    why = f": {row.condition}" if row.condition and not _untried(row) else ""
    who = f"{row.session} {row.direction}".strip()
    return f"{term(row)}: {row.held}{what}{f' ({who})' * bool(who)}{why}"


def events(headline: Headline, found: Sequence[Outage]) -> list[str]:
    """What events cost, as far as a headline of that kind does not say it."""
    reordered = any(row.reordered for row in found)
    lost = any(row.lost or row.outage_ns is None for row in found)
    if (headline == "outages" or (headline == "orders" and not lost)) and not reordered:
        return []
    return outages(found)


def outages(found: Iterable[Outage]) -> list[str]:
    """A line for each event that cost messages, and one for those that did not."""
    lines: list[str] = []
    harmless: list[str] = []
    for (event, at_ns), group in groupby(found, key=lambda row: (row.event, row.at_ns)):
        when = f"{event} at {at_ns / 1e9:g} s"
        told = [_outage(row) for row in group if row.lost or row.reordered or row.outage_ns is None]
        if told:
            lines.append(f"{when}: {'; '.join(told)}.")
        else:
            harmless.append(when)
    if harmless:
        lines.append(f"No message was lost or out of order by {', '.join(harmless)}.")
    return lines


def _outage(row: Outage) -> str:
    words = f"{called(row)} lost {row.lost:,} {'message' if row.lost == 1 else 'messages'}"
    if row.reordered:
        words += f", {row.reordered:,} out of order"
    if row.outage_ns is None:
        return f"{words}, not restored"
    if not row.outage_ns:
        return words
    sign = "within" if row.outage_ns <= YARDSTICK_NS else "over"
    return f"{words}, {delay(row.outage_ns)} without one ({sign} {delay(YARDSTICK_NS)})"


def missed(row: SummaryRow) -> str:
    """Who missed its deadline, and by how much."""
    asked = nominal(row.deadline_ns)
    if row.ground == "budget":
        why = f"takes {delay(row.budget_ns)} without any queue"
    else:
        why = f"{share(row.miss_ratio)} lost or later"
    return f"{called(row)} ({why}; {asked} asked)"


def deadlines(rows: Sequence[SummaryRow]) -> str:
    """Those that were asked for, from short to long."""
    asked = sorted({row.deadline_ns for row in rows if row.deadline_ns is not None})
    return listed(map(nominal, asked))


def largest(row: SummaryRow) -> float:
    """What the slowest message took, ns; a lost one takes for ever."""
    return math.inf if row.lost or row.max_ns is None else row.max_ns


def takes(largest_ns: float) -> str:
    """That in words."""
    if math.isinf(largest_ns):
        return "loses messages"
    return f"takes up to {delay(largest_ns)}"
