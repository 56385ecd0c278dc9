"""Verdicts: intervals against known values, losses as misses, samples too small."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.analysis.deadline import clopper_pearson, judge, packets_to_show
from testbed.analysis.percentiles import needed

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
    assert packets_to_show(percent / 100) == needed(percent)


@given(st.integers(0, 20), st.sampled_from([0.9, 0.99, 0.999]))
def test_packets_to_show_is_the_least(misses: int, reliability: float) -> None:
    n = packets_to_show(reliability, misses)
    assert n is not None
    allowed = 1 - reliability + 1e-12
    assert clopper_pearson(misses, n)[1] <= allowed < clopper_pearson(misses, n - 1)[1]


def _delays(good: int, late: int = 0, lost: int = 0) -> np.ndarray:
    return np.array([1 * MS] * good + [6 * MS] * late + [math.inf] * lost)


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
def test_words(delays: np.ndarray, reliability: float | None, word: str) -> None:
    verdict = judge(delays, 5 * MS, reliability)
    assert verdict.word == word
    assert verdict.misses == int((delays > 5 * MS).sum())


def test_a_packet_exactly_at_the_deadline_meets_it() -> None:
    assert judge(np.array([5 * MS]), 5 * MS, 0.5).misses == 0


def test_without_deadline() -> None:
    assert judge(_delays(5, lost=5), None, 0.99).word == "no deadline"


def test_not_shown_says_how_many_would_do() -> None:
    verdict = judge(_delays(1000), 5 * MS, 0.999)
    assert verdict.needed == 3688
    assert judge(_delays(10), 5 * MS, 1.0).needed is None
