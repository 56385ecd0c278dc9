"""Verdicts: intervals against known values, losses as misses, samples too small."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.analysis.deadline import judge, observations_to_decide
from testbed.analysis.independence import RANDOM, Observations, Sampling
from testbed.analysis.percentiles import needed
from testbed.analysis.shares import clopper_pearson

MS = 1e6


@pytest.mark.parametrize(
    ("misses", "packets", "low", "high"),
    [  # two-sided 95 %, published tables of exact binomial limits
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (4, 20, 0.0573, 0.4366),
    ],
)
def test_clopper_pearson_against_tables(misses: int, packets: int, low: float, high: float) -> None:
    assert clopper_pearson(misses, packets) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_clopper_pearson_inverts_the_binomial(packets: int, data: st.DataObject) -> None:
    misses = data.draw(st.integers(0, packets))
    low, high = clopper_pearson(misses, packets)
    assert low <= misses / packets <= high
    if misses:
        assert stats.binom.sf(misses - 1, packets, low) == pytest.approx(0.025, rel=1e-6)
    if misses < packets:
        assert stats.binom.cdf(misses, packets, high) == pytest.approx(0.025, rel=1e-6)


def test_no_packets_say_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert judge(np.array([]), 5 * MS, 0.99).word == "not shown"


@pytest.mark.parametrize("percent", [99, 99.9, 99.99])
def test_showing_a_reliability_takes_what_its_percentile_takes(percent: float) -> None:
    assert observations_to_decide(percent / 100) == needed(percent)


@given(st.floats(0, 0.5), st.sampled_from([0.9, 0.99, 0.999]))
def test_what_decides_is_the_least(ratio: float, reliability: float) -> None:
    allowed = round(1 - reliability, 12)
    n = observations_to_decide(reliability, ratio)
    if n is None:
        assert abs(ratio - allowed) < 1e-6
        return
    now, before = (clopper_pearson(ratio * size, size) for size in (n, n - 1))
    assert (now[0] > allowed) == (ratio > allowed)
    assert (now[1] <= allowed) == (ratio < allowed)
    assert before[0] <= allowed < before[1]


def _delays(good: int, late: int = 0, lost: int = 0) -> Observations:
    """Misses spread over the run, in step with nothing."""
    delays = np.array([1 * MS] * good + [6 * MS] * late + [math.inf] * lost)
    return Observations(np.random.default_rng(7).permutation(delays), RANDOM)


@pytest.mark.parametrize(
    ("delays", "reliability", "word"),
    [
        (_delays(3688), 0.999, "met"),
        (_delays(3687), 0.999, "not shown"),
        (_delays(3999, late=1), 0.999, "not shown"),
        (_delays(9999, late=1), 0.999, "met"),
        (_delays(999, lost=1), 0.999, "not shown"),
        (_delays(998, late=1, lost=1), 0.999, "not shown"),
        (_delays(993, late=4, lost=3), 0.999, "missed"),
        (_delays(99, lost=1), 0.999, "not shown"),
        (_delays(38, lost=1), 0.9995, "missed"),
        (_delays(0, lost=50), 0.9, "missed"),
        (_delays(100_000), 1.0, "not shown"),
        (_delays(100_000, late=1), 1.0, "missed"),
        (_delays(10), None, "not shown"),
        (_delays(10, lost=1), None, "missed"),
    ],
)
def test_words(delays: Observations, reliability: float | None, word: str) -> None:
    verdict = judge(delays, 5 * MS, reliability)
    assert verdict.word == word
    assert verdict.misses == int((delays.delays > 5 * MS).sum())
    assert (verdict.effective, verdict.limit) == (len(delays), "")


def test_a_packet_exactly_at_the_deadline_meets_it() -> None:
    assert judge(np.array([5 * MS]), 5 * MS, 0.5).misses == 0


def test_without_deadline() -> None:
    assert judge(_delays(5, lost=5), None, 0.99).word == "no deadline"


def test_not_shown_says_how_many_would_do() -> None:
    verdict = judge(_delays(1000), 5 * MS, 0.999)
    assert (verdict.observations_needed, verdict.needed) == (3688, 3688)
    assert judge(_delays(10), 5 * MS, 1.0).needed is None


def test_one_phase_is_one_observation_however_many_packets_saw_it() -> None:
    """What repeats while it is not known what else sends, or falls on few phases by plan."""
    constant = np.full(5000, 1 * MS)
    unknown = judge(constant, 5 * MS, 0.999)
    assert (unknown.word, unknown.effective, unknown.limit) == ("not shown", 1, "phases")
    assert (unknown.observations_needed, unknown.needed) == (3688, None)
    assert unknown.high == pytest.approx(0.975)
    varied = np.random.default_rng(1).uniform(0, MS, 5000)
    for phases, word in ((1, "not shown"), (3687, "not shown"), (3688, "met"), (None, "met")):
        seen = Observations(varied, Sampling(phases=phases, locked=False))
        verdict = judge(seen, 5 * MS, 0.999)
        assert (verdict.word, verdict.effective) == (word, phases or 5000)


@pytest.mark.parametrize(("reliability", "word"), [(0.999, "missed"), (0.97, "not shown")])
def test_one_phase_that_misses_shows_that_some_do(reliability: float, word: str) -> None:
    """Of a phase drawn from the seed: one observation, of a share of at least 2.5 %."""
    verdict = judge(np.full(1500, 6 * MS), 5 * MS, reliability)
    assert verdict.word == word
    assert (verdict.misses, verdict.packets) == (1500, 1500)


def test_correlated_packets_show_what_they_are_worth() -> None:
    """No miss, but delays that last: 4,000 packets are not 4,000 observations."""
    steps = np.repeat(np.random.default_rng(5).uniform(0, MS, 80), 50)
    verdict = judge(Observations(steps, RANDOM), 5 * MS, 0.99)
    assert (verdict.word, verdict.limit, verdict.misses) == ("not shown", "correlated", 0)
    assert 20 < verdict.effective < 130
    assert verdict.observations_needed == 368
    assert verdict.needed is not None
    assert 15_000 < verdict.needed < 60_000


def test_of_nothing_measured_it_is_known_what_would_show_it() -> None:
    found = judge(np.array([]), 5.0, 0.999)
    assert (found.word, found.observations_needed, found.needed) == ("not shown", 3688, 3688)
    assert judge(np.array([]), 5.0, None).needed is None
