"""What a bound or a budget decides, and what it does not."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.analysis.proof import decided, within
from testbed.analysis.summary import summarise
from testbed.net.legs import DelayBound
from testbed.plan.model import Plan, Session
from testbed.results.samples import tidy
from testbed.scenario.events.link import LinkEvent
from tests.legs import with_bounds
from tests.ports import changed
from tests.results import synthetic

MS = 1_000_000
PLAN = msgspec.structs.replace(synthetic.plan(), events=())
BOUND = DelayBound(latency_ns=4 * MS, lossless=True, assumptions=("all is as planned",))


def session(deadline_ns: int | None, bound: DelayBound = BOUND, **fields: object) -> Session:
    bounded = with_bounds(PLAN.sessions[0], bound, bound)
    return msgspec.structs.replace(bounded, deadline_ns=deadline_ns, **fields)


def plan(*sessions: Session, **fields: object) -> Plan:
    return msgspec.structs.replace(PLAN, sessions=sessions, **fields)


@pytest.mark.parametrize(
    ("deadline_ns", "budget_ns", "expected"),
    [
        (4 * MS, 3 * MS, "met"),
        (4 * MS - 1, 3 * MS, None),
        (3 * MS, 3 * MS, None),
        (3 * MS - 1, 3 * MS, "missed"),
        (None, 3 * MS, None),
    ],
)
def test_bound_and_budget(deadline_ns: int | None, budget_ns: int, expected: str | None) -> None:
    one = session(deadline_ns)
    assert decided(plan(one), one, "forward", budget_ns) == expected


def test_a_round_trip_takes_both_ways() -> None:
    for deadline_ns, expected in ((8 * MS, "met"), (8 * MS - 1, None)):
        one = session(deadline_ns)
        assert decided(plan(one), one, "rtt", 3 * MS) == expected


def test_a_bound_proves_nothing_of_what_may_be_lost() -> None:
    one = session(5 * MS)
    event = LinkEvent(at_ns=MS, action="cut", a="agg1", b="core1")
    assert decided(plan(one), one, "forward", 0) == "met"
    assert decided(plan(one, events=(event,)), one, "forward", 0) is None
    at = PLAN.port(*one.paths[0].nodes[1:3])
    lossy = tuple(changed(port, loss=1e-6) if port == at else port for port in PLAN.ports)
    assert decided(plan(one, ports=lossy), one, "forward", 0) is None
    assert decided(plan(one, ports=lossy), one, "reverse", 0) == "met"
    full = session(5 * MS, msgspec.structs.replace(BOUND, lossless=False))
    assert decided(plan(full), full, "forward", 0) is None
    none = session(5 * MS, DelayBound(latency_ns=None, assumptions=()))
    assert decided(plan(none), none, "forward", 0) is None


@pytest.mark.parametrize(
    ("delay_ns", "deadline_ns", "late", "expected"),
    [
        (3 * MS, 5 * MS, 0, ("met", "bound")),
        (3 * MS, 5 * MS, 1, ("missed", "sample")),  # the bound is proved wrong: one is too many
        (3 * MS, 3_500_000, 0, ("not shown", "sample")),
        (MS, 1_500, 0, ("missed", "budget")),
    ],
)
def test_a_session_with_a_phase(
    delay_ns: int, deadline_ns: int, late: int, expected: tuple[str, str]
) -> None:
    """Every packet of the class is asked for, which no sample shows but a proof does."""
    one = session(deadline_ns, reliability=1.0)
    rows = synthetic.raw(one)
    rows["forward_ns"] = delay_ns
    rows["forward_ns"][5000 : 5000 + late] = 10 * MS
    samples = tidy(one.id, rows).to_pandas()
    beside = msgspec.structs.replace(one, id="beside")
    row = summarise(plan(one, beside), samples)[0]
    assert (row.verdict, row.ground, row.phases) == (*expected, 1)


def test_a_budget_says_nothing_of_the_ways_that_events_open() -> None:
    one = session(3 * MS)
    event = LinkEvent(at_ns=MS, action="cut", a="agg1", b="core1")
    assert decided(plan(one), one, "forward", 4 * MS) == "missed"
    assert decided(plan(one, events=(event,)), one, "forward", 4 * MS) is None


def test_a_bound_that_the_lab_did_not_keep_to_proves_nothing() -> None:
    """4.5 ms in a lab of which nothing is known, 4 ms the bound, 5 ms the deadline."""
    one = session(5 * MS, reliability=1.0)
    rows = synthetic.raw(one)
    for delay_ns, expected in ((4 * MS, ("met", "bound")), (4_500_000, ("not shown", "sample"))):
        rows["forward_ns"][5000] = delay_ns
        row = summarise(plan(one), tidy(one.id, rows).to_pandas())[0]
        assert (row.bound, row.verdict, row.ground) == ("not judged", *expected)


def test_what_a_message_takes_at_any_phase() -> None:
    one = session(None)
    assert within(plan(one), one, "forward", MS) == (MS, 4 * MS)
    assert within(plan(one), one, "rtt", MS) == (MS, 8 * MS)
    event = LinkEvent(at_ns=MS, action="cut", a="agg1", b="core1")
    assert within(plan(one, events=(event,)), one, "forward", MS) == (0, math.inf)
    full = session(None, msgspec.structs.replace(BOUND, lossless=False))
    assert within(plan(full), full, "forward", MS) == (MS, math.inf)
