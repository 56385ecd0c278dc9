"""When a verdict can be borne by the lab that measured it."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.deadline import judge
from testbed.analysis.fidelity import (
    NOTHING_KNOWN,
    Floor,
    Instrument,
    as_record,
    doubt,
    fidelity,
    null_floor,
    port_errors,
)
from testbed.analysis.independence import RANDOM, Delays, Observations, Sampling
from testbed.analysis.loads import Deviation, Way
from testbed.results.samples import tidy
from tests.legs import with_paths
from tests.results import synthetic
from tests.searching import examples

PLAN = synthetic.plan()
SESSION = PLAN.sessions[0]  # 5 ms, 99.9 %
PATHS = (SESSION.paths[0],)
WAYS: tuple[Literal["less", "more"], ...] = ("less", "more")


def known(late: Delays, hop_ns: float = 0.0, lab: str = "wall") -> Instrument:
    floor = Floor(
        packets=len(late),
        lost=0,
        hop_ns=hop_ns,
        p99_ns=None,
        p999_ns=None,
        max_ns=float(late.max()),
        stalls=0,
    )
    return Instrument(lab, floor, late, {})


def why(delays: Delays, lab: Instrument, schedule_ns: float = 0.0) -> str:
    seen = Observations(delays, RANDOM)
    verdict = judge(seen, SESSION.deadline_ns, SESSION.reliability)
    found = fidelity(lab, PLAN, PATHS, schedule_ns=schedule_ns, early_ns=0)
    return doubt(verdict, seen, SESSION, found, lab, PATHS, schedule_ns)


FLAT = np.full(10_000, 2_500_000.0)


@pytest.mark.parametrize(
    ("late_ns", "delay_ns", "doubted"),
    [
        (900, 4_999_900, ""),  # exact: what was measured stands
        (1_000, 4_999_900, "error"),
        (2_400_000, 2_500_000, ""),
        (2_600_000, 2_500_000, "error"),  # would be missed, were each so much later
        (400_000, 5_500_000, ""),  # missed, and by more than the error
        (600_000, 5_500_000, "error"),
        (math.inf, 2_500_000, "error"),
    ],
)
def test_a_verdict_stands_if_it_outlives_the_error(
    late_ns: float, delay_ns: float, doubted: str
) -> None:
    assert why(np.full(10_000, float(delay_ns)), known(np.full(800, float(late_ns)))) == doubted


@settings(deadline=None, max_examples=examples(40))
@given(
    late_ns=st.floats(0, 1e8),
    hop_ns=st.floats(0, 1e5),
    schedule_ns=st.floats(0, 1e6),
    delay_ns=st.floats(1e5, 1e8),
    late_packets=st.integers(0, 100),
)
def test_no_verdict_stands_that_the_error_could_turn(
    late_ns: float, hop_ns: float, schedule_ns: float, delay_ns: float, late_packets: int
) -> None:
    delays = np.full(10_000, delay_ns)
    delays[:late_packets] += 1e8
    lab = known(np.full(800, late_ns), hop_ns)
    found = fidelity(lab, PLAN, PATHS, schedule_ns=schedule_ns, early_ns=0)
    assert found.error_ns is not None
    assert found.error_ns >= max(late_ns, schedule_ns)
    assert (found.trust == "exact") == (found.error_ns < 1_000)
    if why(delays, lab, schedule_ns) == "" and found.trust != "exact":
        assert SESSION.deadline_ns is not None
        words = {
            judge(
                Observations(delays, RANDOM), SESSION.deadline_ns + shift, SESSION.reliability
            ).word
            for shift in (-found.error_ns, 0, found.error_ns)
        }
        assert len(words) == 1


def test_stalls_that_the_null_path_saw_explain_as_many_late_packets() -> None:
    stalled = np.full(4_000, 50_000.0)
    stalled[:3] = 40e6  # below p99.9, so no part of the error
    lab = known(stalled)
    assert lab.floor is not None
    lab = lab._replace(floor=msgspec.structs.replace(lab.floor, p999_ns=60_000))
    few, many, lost = FLAT.copy(), FLAT.copy(), FLAT.copy()
    some = np.random.default_rng(1).permutation(len(FLAT))
    few[some[:21]] = 42e6
    many[some[:500]] = 42e6
    lost[some[:21]] = math.inf
    assert (
        judge(Observations(few, RANDOM), SESSION.deadline_ns, SESSION.reliability).word == "missed"
    )
    assert why(few, lab) == "stalls"
    assert why(many, lab) == ""
    assert why(lost, lab) == ""  # a stall loses nothing
    assert why(FLAT + 4e6, lab) == ""  # nor does it move the median
    exact = known(np.zeros(4_000), lab="virtual")
    assert why(few, exact) == ""


def test_traffic_other_than_planned_meets_nothing() -> None:
    lab = known(np.zeros(800))
    assert why(FLAT, lab, schedule_ns=SESSION.interval_ns + 1) == "sender"
    hop = (SESSION.paths[0].nodes[1], SESSION.paths[0].nodes[2])
    less, more = (lab._replace(deviations=(_deviation(way, hop),)) for way in WAYS)
    assert why(FLAT, less) == "load"
    assert why(FLAT + 4e6, less) == ""  # missed, even with less load
    assert why(FLAT, more) == ""  # met, even with more
    assert why(FLAT + 4e6, more) == "load"
    assert why(FLAT[:10], less) == why(FLAT[:10], more) == "load"  # not shown
    assert why(FLAT, lab._replace(deviations=(_deviation("less", ("a", "b")),))) == ""


def test_where_a_load_was_not_counted_only_the_budget_decides() -> None:
    hop = (SESSION.paths[0].nodes[1], SESSION.paths[0].nodes[2])
    lab = known(np.zeros(800))._replace(deviations=(_deviation("unknown", hop),))
    assert lab.overloaded
    assert {why(FLAT, lab), why(FLAT + 4e6, lab), why(FLAT[:10], lab)} == {"load"}
    seen = Observations(FLAT + 4e6, RANDOM)
    verdict = judge(seen, SESSION.deadline_ns, SESSION.reliability)
    proved = msgspec.structs.replace(verdict, ground="budget")
    found = fidelity(lab, PLAN, PATHS, schedule_ns=0, early_ns=0)
    assert doubt(proved, seen, SESSION, found, lab, PATHS, 0) == ""


def _deviation(way: Way, hop: tuple[str, str]) -> Deviation:
    return Deviation(load="l", way=way, what="was not as planned", hops=frozenset([hop]))


def test_a_load_that_deviates_is_named_in_the_record() -> None:
    lab = known(np.zeros(800))._replace(deviations=(_deviation("more", ("a", "b")),))
    told = msgspec.json.decode(as_record(lab, []))
    assert told["loads"] == [{"load": "l", "deviation": "was not as planned"}]


def test_a_null_path_that_lost_everything_bears_nothing() -> None:
    frame = _null([4_000.0] * 400)
    frame["lost_forward"] = True
    late, floor = null_floor(frame, 0)
    assert floor is not None
    assert (floor.lost, floor.max_ns) == (400, math.inf)
    assert why(FLAT, known(late)._replace(floor=floor)) == "error"


def test_without_a_null_path_nothing_is_claimed() -> None:
    found = fidelity(NOTHING_KNOWN, PLAN, PATHS, schedule_ns=1.0, early_ns=0)
    assert (found.trust, found.error_ns) == ("not measured", None)
    assert null_floor(None, 0)[1] is None


def test_the_error_is_the_sum_of_its_parts() -> None:
    links = len(SESSION.paths[0].nodes) - 1
    port = PLAN.port(*SESSION.paths[0].nodes[:2])
    lab = known(np.full(10, 5_000.0), hop_ns=20)._replace(ports={port.name: 7.0})
    found = fidelity(lab, PLAN, PATHS, schedule_ns=1.0, early_ns=3)
    assert (found.late_ns, found.path_ns, found.shaper_ns) == (5_000, 20 * links, 10)
    assert found.error_ns == 5_010 + 20 * links


def _null(late: list[float]) -> pd.DataFrame:
    raw = synthetic.raw(msgspec.structs.replace(SESSION, count=len(late)))
    raw["forward_ns"], raw["reverse_ns"] = 2_000, 300
    raw["forward_intended_ns"] = late
    frame: pd.DataFrame = tidy("null-path", raw).to_pandas()
    return frame


def test_the_floor_of_a_known_null_path() -> None:
    late, floor = null_floor(_null([4_000.0] * 396 + [9e6] * 4), 0)
    assert floor is not None
    assert (floor.packets, floor.hop_ns, floor.stalls, floor.max_ns) == (400, 2_000, 4, 9e6)
    assert (floor.p99_ns, floor.p999_ns, floor.late_ns) == (4_000, None, 9e6)
    assert len(late) == 400


def test_the_way_back_over_the_null_path_may_be_the_later_one() -> None:
    frame = _null([4_000.0] * 400)
    frame.loc[10, "reverse_ns"] = 7_000_000
    _, floor = null_floor(frame, 0)
    assert floor is not None
    assert (floor.max_ns, floor.stalls) == (7e6, 1)


def test_the_null_path_warms_up_as_sessions_do() -> None:
    frame = _null([9e6] * 4 + [4_000.0] * 396)
    warmup_ns = int(frame["intended_ns"].iloc[4])
    late, floor = null_floor(frame, warmup_ns)
    assert floor is not None
    assert (len(late), floor.max_ns, floor.stalls) == (396, 4_000, 0)


def test_shaper_errors_by_port() -> None:
    names = [port.name for port in PLAN.ports]
    at = PLAN.port("gnb1", "agg1").name
    other = next(name for name in names if name != at)
    same = {"discipline": "htb", "delay_ns": 1_000, "rate_bps": 10_000_000, "queues": []}
    rows = [
        {"name": at, "asked": same, "got": same | {"delay_ns": 1_040}},
        {"name": other, "asked": same, "got": same | {"rate_bps": 9_999_992}},
    ]
    found = port_errors(PLAN, {"ports": rows})
    assert found[at] == pytest.approx(40)
    assert found[other] == pytest.approx(12_304e9 * (1 / 9_999_992 - 1 / 10_000_000))
    first = PLAN.sessions[0]
    second = with_paths(first, msgspec.structs.replace(first.paths[0], queue=2))
    shared = msgspec.structs.replace(PLAN, sessions=(first, second))
    assert port_errors(shared, {"ports": rows})[at] == pytest.approx(40 + 1_230_400)
    assert port_errors(PLAN, None) == {}


def test_of_a_null_path_that_was_cut_short_what_is_known_counts() -> None:
    frame = _null([4_000.0])
    frame["reverse_ns"] = math.nan
    with warnings.catch_warnings(action="error"):
        _, floor = null_floor(frame, 0)
    assert floor is not None
    assert math.isfinite(floor.hop_ns)


def test_what_the_budget_decides_needs_no_sample() -> None:
    """One phase shows no miss ratio, but all its messages were far beyond the deadline."""
    assert SESSION.deadline_ns is not None
    seen = Observations(np.full(100, 3.0 * SESSION.deadline_ns), Sampling(phases=1))
    lax = msgspec.structs.replace(SESSION, reliability=0.9)
    judged = judge(seen, lax.deadline_ns, lax.reliability)
    assert judged.word == "not shown"
    verdict = msgspec.structs.replace(judged, word="missed", ground="budget")
    for late_ns, expected in ((1e5, ""), (2.5 * SESSION.deadline_ns, "error")):
        lab = known(np.full(100, late_ns))
        found = fidelity(lab, PLAN, PATHS, schedule_ns=0, early_ns=0)
        assert doubt(verdict, seen, lax, found, lab, PATHS, 0) == expected
