"""Phases come from the seed and fill a period; drifting clocks stretch what they pace."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import InputError
from testbed.plan.model import Load, Session
from testbed.plan.pacing import MAX_DRIFT_PPB, by_clock, count, stretched
from testbed.plan.traffic import steady
from testbed.probes.schedule import moments
from testbed.traffic.kinds.flood import FLOOD_TICK_NS
from tests.plan.networks import MBIT, MS, S, app, compiled, flow, probe, scenario

drifts = st.integers(-MAX_DRIFT_PPB, MAX_DRIFT_PPB)


def session(seed: int = 1, clocks: int = 0, **asked: Any) -> Session:
    """Of one probe, 100 bytes up every 10 ms for 10 s."""
    wanted = scenario(seed=seed, probes=(probe(**asked),), clock_drift_ppb=clocks)
    return compiled(LowestDelay(), wanted).sessions[0]


def load(seed: int = 1, **asked: Any) -> Load:
    return compiled(LowestDelay(), scenario(seed=seed, flows=(flow(**asked),))).loads[0]


def test_phases_fill_the_interval_and_are_the_seeds_own() -> None:
    found = [session(seed).start_ns for seed in range(40)]
    assert found == [session(seed).start_ns for seed in range(40)]
    assert len(set(found)) == 40
    assert 0 <= min(found) < MS < 9 * MS < max(found) < 10 * MS
    assert np.mean(found) == pytest.approx(5 * MS, abs=1.5 * MS)  # 3 standard errors


def test_each_sender_has_a_phase_of_its_own() -> None:
    asked = scenario(
        probes=(probe("a"), probe("b")), flows=(flow("c"), flow("d", "h3", kind="flood"))
    )
    plan = compiled(LowestDelay(), asked)
    starts = [s.start_ns for s in plan.sessions] + [load.start_ns for load in plan.loads]
    assert len(set(starts)) == 4


def test_start_is_the_earliest_and_the_phase_comes_on_top() -> None:
    assert session(start_ns=2 * S).start_ns == 2 * S + session().start_ns
    assert session(start_ns=2 * S, phase_ns=3 * MS).start_ns == 2 * S + 3 * MS
    assert session(phase_ns=0).start_ns == 0
    assert load(start_ns=S, phase_ns=7).start_ns == S + 7


def test_a_load_begins_within_its_period() -> None:
    slow = [load(seed, kind="flood", rate_bps=100_000).start_ns for seed in range(20)]
    assert 10 * MS < max(slow) < 8 * 1448 * S // 100_000  # from packet to packet
    fast = [load(seed, kind="flood", rate_bps=90 * MBIT).start_ns for seed in range(20)]
    assert 0.5 * MS < max(fast) < FLOOD_TICK_NS
    assert load(kind="tcp").start_ns == 0


def test_poisson_has_no_phase() -> None:
    asked = scenario(probes=(probe(),))
    plan = compiled(LowestDelay(), asked, app=app(arrivals="poisson"))
    assert plan.sessions[0].start_ns == 0


@given(st.integers(1, 10**10), st.integers(1, 10**9), drifts, st.integers(0, 10**9))
def test_count_is_what_fits(duration_ns: int, interval_ns: int, drift: int, phase_ns: int) -> None:
    phase_ns = min(phase_ns, interval_ns - 1, duration_ns - 1)
    n = count(duration_ns, phase_ns, interval_ns, drift)
    assert n >= 1
    assert phase_ns + stretched((n - 1) * interval_ns, drift) < duration_ns
    assert phase_ns + stretched(n * interval_ns, drift) >= duration_ns - 1


@given(st.integers(0, 10**13), drifts)
def test_by_clock_takes_back_what_is_stretched(span_ns: int, drift: int) -> None:
    own_ns = by_clock(span_ns, drift)
    assert stretched(own_ns, drift) <= span_ns < stretched(own_ns + 1, drift)
    assert by_clock(stretched(span_ns, drift), drift) in (span_ns, span_ns + 1)


def test_a_drifting_sender_is_late_by_its_share() -> None:
    slow = list(moments(session(phase_ns=0, drift_ppb=50_000)))
    assert slow[900] == 9 * S + 9 * 50_000
    fast = session(phase_ns=0, drift_ppb=-50_000)
    assert list(moments(fast))[900] == 9 * S - 9 * 50_000
    assert fast.count == 1001  # one more begins before 10 s are over


def test_hosts_clocks_differ_and_pace_all_they_send() -> None:
    asked = scenario(
        probes=(probe("a"), probe("b"), probe("c", "h3"), probe("own", drift_ppb=7)),
        flows=(flow(kind="flood"),),
        clock_drift_ppb=100_000,
    )
    plan = compiled(LowestDelay(), asked)
    a, b, c, own = (session.drift_ppb for session in plan.sessions)
    assert a == b == plan.loads[0].drift_ppb != c
    assert own == 7
    drawn = [session(seed, clocks=100_000).drift_ppb for seed in range(40)]
    assert -100_000 <= min(drawn) < -60_000 < 60_000 < max(drawn) <= 100_000


@pytest.mark.parametrize("drift", [-100_000, 0, 100_000])
def test_rates_of_the_bound_are_those_of_the_fastest_clock(drift: int) -> None:
    """No two messages come nearer, and no flood is faster, than the calculus takes them for."""
    fast = session(phase_ns=3, drift_ppb=drift)
    gap_ns = min(b - a for a, b in pairwise(moments(fast)))
    asked = steady(flow(), drift)
    assert gap_ns >= stretched(fast.interval_ns, drift)
    assert asked.rate_bps >= 10 * MBIT * (1 - drift * 1e-9) * 1476 / 1448
    assert steady(flow(), -100_000).rate_bps > steady(flow()).rate_bps


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"probes": (probe(phase_ns=10 * MS),)}, "phase is 10.0 ms"),
        ({"probes": (probe(drift_ppb=1_000_001),)}, "drift is 1000 ppm"),
        ({"clock_drift_ppb": 2_000_000}, "drift is 2000 ppm"),
        ({"flows": (flow(kind="tcp", phase_ns=0),)}, "TCP load has a phase"),
        ({"flows": (flow(kind="flood", phase_ns=2 * MS),)}, "phase is 2.00 ms"),
        ({"probes": (probe(duration_ns=S + 9 * MS),)}, "only packet after the warm-up"),
        ({"probes": (probe(duration_ns=S + MS, phase_ns=2 * MS),)}, "only packet after"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        compiled(LowestDelay(), scenario(**asked))


def test_a_fixed_phase_may_leave_one_packet_after_the_warm_up() -> None:
    kept = session(duration_ns=S + 3 * MS, phase_ns=2 * MS)
    assert list(moments(kept))[-1] == S + 2 * MS


def test_a_poisson_class_is_not_given_a_phase() -> None:
    with pytest.raises(InputError, match="class app has a phase"):
        compiled(LowestDelay(), scenario(probes=(probe(phase_ns=0),)), app=app(arrivals="poisson"))
