"""Slices' terms against sessions whose delays are known."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pandas as pd
import pytest

from testbed.analysis.fidelity import NOTHING_KNOWN, Floor, Instrument
from testbed.analysis.loads import Deviation
from testbed.analysis.promises import promises
from testbed.analysis.summary import summarise
from testbed.analysis.terms import Promise
from testbed.net.legs import DelayBound
from testbed.plan.model import Plan
from testbed.report import wording
from testbed.results.samples import tidy
from testbed.scenario.model import Construct, Group, Sdp, Slice
from tests.legs import with_bounds
from tests.ports import changed
from tests.results import synthetic

MS = 1_000_000
FLOOR = Floor(packets=9000, lost=0, hop_ns=0, p99_ns=0, p999_ns=0, max_ns=0, stalls=0)
EXACT = NOTHING_KNOWN._replace(floor=FLOOR)


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = synthetic.plan()
    return msgspec.structs.replace(made, sessions=made.sessions[1:2])


@pytest.fixture(scope="module")
def samples(plan: Plan) -> pd.DataFrame:
    (session,) = plan.sessions
    frame: pd.DataFrame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return frame.assign(schedule_error_ns=0)


def judged(
    plan: Plan, samples: pd.DataFrame, slice_: Slice, known: Instrument = EXACT
) -> list[Promise]:
    return promises(plan, [slice_], samples, known)


def of(plan: Plan, **terms: object) -> Slice:
    return Slice(id=plan.sessions[0].slice, sst=1, **terms)  # type: ignore[arg-type]


def test_every_term_has_a_row_in_both_directions(plan: Plan, samples: pd.DataFrame) -> None:
    slice_ = of(
        plan,
        delay_ns=MS,
        delay_percentile=50.0,
        delay_percentile_ns=MS,
        variation_ns=MS,
        variation_percentile=90.0,
        variation_percentile_ns=MS,
        loss=0.5,
    )
    rows = judged(plan, samples, slice_)
    terms = [("delay", None), ("delay", 50), ("variation", None), ("variation", 90), ("loss", None)]
    assert [(row.term, row.percentile) for row in rows] == 2 * terms
    assert len({row.direction for row in rows}) == 2
    assert not judged(plan, samples, of(plan))


def test_the_largest_delay_decides(plan: Plan, samples: pd.DataFrame) -> None:
    (row, _) = judged(plan, samples, of(plan, delay_ns=10**12))
    assert row.held == "kept"
    assert row.found is not None
    assert np.isfinite(row.found)
    (same, _) = judged(plan, samples, of(plan, delay_ns=int(row.found)))
    (less, _) = judged(plan, samples, of(plan, delay_ns=int(row.found) - 1))
    assert (same.held, less.held) == ("kept", "broken")


def lossy(plan: Plan, samples: pd.DataFrame, every: int) -> pd.DataFrame:
    """One message of `every` never arrives."""
    gone = samples.copy()
    lost = gone.index[gone["intended_ns"] >= plan.sessions[0].warmup_ns][every - 1 :: every]
    gone.loc[lost, "lost_forward"] = True
    return gone


def test_what_never_arrives_takes_longer_than_any_delay(plan: Plan, samples: pd.DataFrame) -> None:
    """Unless the slice allows the loss; then the delay is of those that arrive."""
    terms = {"delay_ns": 10**12, "delay_percentile": 100.0, "delay_percentile_ns": 10**12}
    gone = lossy(plan, samples, 100)
    most, all_, loss, *_ = judged(plan, gone, of(plan, **terms, loss=0.0))
    assert (most.held, all_.held, loss.held) == ("broken", "broken", "broken")
    assert most.condition == "10 of 1,000 messages never arrived, more than the promised loss"
    assert loss.found == 0.01
    most, all_, *_ = judged(plan, gone, of(plan, **terms))
    assert (most.held, all_.held) == ("broken", "broken")
    assert most.condition.endswith("the slice allows no loss")
    most, all_, loss, *_ = judged(plan, gone, of(plan, **terms, loss=0.1))
    assert (most.held, all_.held, loss.held) == ("kept", "broken", "kept")
    assert most.condition.endswith("within the promised loss")
    most, _, loss, *_ = judged(plan, gone, of(plan, **terms, loss=0.01))
    assert (most.held, loss.held) == ("not shown", "not shown")
    late, *_ = judged(plan, gone, of(plan, delay_ns=1, loss=0.1))
    assert late.held == "broken"


def test_most_messages_lost_keeps_no_promise(plan: Plan, samples: pd.DataFrame) -> None:
    gone = lossy(plan, samples, 2)
    terms = {"delay_ns": 10**12, "delay_percentile": 99.0, "delay_percentile_ns": 10**12}
    rows = judged(plan, gone, of(plan, **terms, loss=0.001))
    assert {row.held for row in rows[:3]} == {"broken"}


def test_variation_says_of_how_many_pairs(plan: Plan, samples: pd.DataFrame) -> None:
    (row, _) = judged(plan, lossy(plan, samples, 100), of(plan, variation_ns=10**12))
    assert row.held == "kept"
    assert "pairs that arrived" in row.condition


def test_availability(plan: Plan, samples: pd.DataFrame) -> None:
    """Down from the survival time after the first bad message was due, to the next good one."""
    assert judged(plan, samples, of(plan, availability=0.99))[0].held == "kept"
    assert judged(plan, samples, of(plan, availability=0.999))[0].held == "not shown"
    down = samples.copy()
    down.loc[down.index[500:600], "lost_forward"] = True
    # one outage, of a tenth of the run: at least a quarter of a percent, with 97.5 % confidence
    assert judged(plan, down, of(plan, availability=0.99))[0].held == "not shown"
    row = judged(plan, down, of(plan, availability=0.999))[0]
    assert row.held == "broken"
    assert row.found == pytest.approx(0.901)  # 100 messages, less one of survival time
    assert "survival time 10.0 ms" in row.condition
    slow = judged(plan, samples, of(plan, availability=0.99, delay_ns=1))
    assert slow[1].held == "broken"


def test_few_packets_show_no_high_percentile(plan: Plan, samples: pd.DataFrame) -> None:
    terms = {"delay_percentile": 99.9999, "delay_percentile_ns": 10**12}
    (row, _) = judged(plan, samples, of(plan, **terms))
    assert row.held == "not shown"


def test_a_lab_that_is_less_exact_than_the_margin_cannot_tell(
    plan: Plan, samples: pd.DataFrame
) -> None:
    (row, _) = judged(plan, samples, of(plan, delay_ns=10**12))
    assert row.found is not None
    near = of(plan, delay_ns=int(row.found) + 1000)
    coarse = EXACT._replace(floor=msgspec.structs.replace(FLOOR, p999_ns=50_000.0))
    assert judged(plan, samples, near)[0].held == "kept"
    assert judged(plan, samples, near, coarse)[0].held == "not valid"


def test_a_lab_whose_error_was_not_measured_is_told_as_of_deadlines(
    plan: Plan, samples: pd.DataFrame
) -> None:
    one = msgspec.structs.replace(plan.sessions[0], deadline_ns=10**12, reliability=0.99)
    asked = msgspec.structs.replace(plan, sessions=(one,))
    assert summarise(asked, samples, NOTHING_KNOWN)[0].verdict == "met"
    for most_ns, held in ((10**12, "kept"), (1, "broken")):
        terms = {"delay_ns": most_ns, "delay_percentile": 99.0, "delay_percentile_ns": most_ns}
        rows = judged(asked, samples, of(plan, **terms, availability=0.9), NOTHING_KNOWN)
        assert [row.held for row in rows[:3]] == [held] * 3
        assert rows[0].condition == "the lab's own error is unknown"


def test_what_all_messages_keep_takes_enough_of_them_or_a_bound(
    plan: Plan, samples: pd.DataFrame
) -> None:
    (session,) = plan.sessions
    terms = {"delay_ns": 10**12, "variation_ns": 10**12, "loss": 0.0}
    due = samples["intended_ns"] - session.warmup_ns
    for number, held in ((1, "not shown"), (300, "not shown"), (1000, "kept")):
        few = samples[due < number * session.interval_ns]
        delay, variation, loss, *_ = judged(plan, few, of(plan, **terms))
        assert (delay.held, loss.held) == (held, held)
        if number == 1:
            assert variation.held == "not shown"  # no pair at all
            told = "of 1 message, worth 1; it takes 368 independent ones, or the bound"
            assert (delay.condition, loss.condition) == (told, told)
            late = judged(plan, few, of(plan, delay_ns=1))
            assert late[0].held == "broken"  # one that breaks it is enough
    bound = DelayBound(latency_ns=10**11, lossless=True, assumptions=())
    sure = with_bounds(session, bound, bound)
    proved = msgspec.structs.replace(plan, sessions=(sure,), events=())
    few = samples[(due >= 0) & (due < 2 * session.interval_ns)]
    assert {row.held for row in judged(proved, few, of(plan, **terms))} == {"kept"}
    near = judged(proved, few, of(plan, delay_ns=10**11 - 1, availability=0.99))
    assert {row.held for row in near} == {"not shown"}


def test_losses_by_links_are_judged_apart_from_phases(plan: Plan, samples: pd.DataFrame) -> None:
    """Beside a sender in step: one phase."""
    (session,) = plan.sessions
    bound = DelayBound(latency_ns=10**11, lossless=True, assumptions=())
    sure = with_bounds(session, bound, bound)
    beside = msgspec.structs.replace(sure, id="beside", slice="other")
    at = plan.port(*session.paths[0].nodes[1:3])
    lossy_ports = tuple(changed(port, loss=0.02) if port == at else port for port in plan.ports)
    made = msgspec.structs.replace(plan, sessions=(sure, beside), events=(), ports=lossy_ports)
    random = np.random.default_rng(1)
    gone = samples.assign(lost_forward=random.random(len(samples)) < 0.02)
    for loss, held in ((0.05, "kept"), (0.005, "broken"), (0.02, "not shown")):
        row = judged(made, gone, of(plan, loss=loss))[0]
        assert (row.term, row.held) == ("loss", held)
    unknown = msgspec.structs.replace(plan, sessions=(session, beside), events=())
    assert judged(unknown, gone, of(plan, loss=0.05))[0].held == "not shown"


@pytest.mark.parametrize(
    ("way", "least", "most"), [("less", "broken", "not valid"), ("more", "not valid", "kept")]
)
def test_a_load_other_than_planned_proves_one_thing_only(
    plan: Plan,
    samples: pd.DataFrame,
    way: Literal["less", "more"],
    least: str,
    most: str,
) -> None:
    nodes = plan.sessions[0].paths[0].nodes
    load = Deviation(load="l", way=way, what="", hops=frozenset([(nodes[0], nodes[1])]))
    known = EXACT._replace(deviations=(load,))
    for delay_ns, held in ((1, least), (10**12, most)):
        promised = of(plan, delay_ns=delay_ns)
        rows = judged(plan, samples, promised, known)
        assert [row.held for row in rows] == [held, judged(plan, samples, promised)[1].held]


def test_groups_promise_to_their_contracts_only(plan: Plan, samples: pd.DataFrame) -> None:
    session = plan.sessions[0]
    ends = (Sdp(id="a", node=session.sender), Sdp(id="b", node=session.reflector))
    one_way = Group(id="g", constructs=(Construct(id="c", senders=("a",), receivers=("b",)),))
    slice_ = of(plan, delay_ns=MS, sdps=ends, groups=(one_way,))
    (row,) = judged(plan, samples, slice_)
    assert row.direction == session.called("forward")


def test_the_worst_session_speaks_for_its_slice(plan: Plan, samples: pd.DataFrame) -> None:
    rows = judged(plan, samples, of(plan, delay_ns=1, loss=0.5))
    (line,) = wording.promises(rows)
    assert line.startswith(f"Slice {plan.sessions[0].slice} promises delay of 1 ns: broken, ")
    assert "loss of 50 %: kept" in line


def test_a_slice_in_which_nothing_was_sent_shows_nothing(plan: Plan, samples: pd.DataFrame) -> None:
    idle = Slice(id="idle", sst=1, delay_ns=MS, loss=0.1, guaranteed_bps=10)
    rows = judged(plan, samples, idle)
    assert {row.held for row in rows} == {"not shown"}
    assert [row.term for row in rows] == ["delay", "loss", "guaranteed rate"]
    (line,) = wording.promises(rows)
    assert line.startswith("Slice idle promises delay of 1 ms: not shown: nothing was sent")


def test_a_session_of_which_nothing_was_measured_shows_nothing(
    plan: Plan, samples: pd.DataFrame
) -> None:
    rows = judged(plan, samples.iloc[:0], of(plan, delay_ns=MS, guaranteed_bps=1, mtu_bytes=100))
    assert {row.term for row in rows} == {"delay", "guaranteed rate", "MTU"}
    assert {row.held for row in rows} == {"not shown"}
