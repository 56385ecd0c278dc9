"""Percentiles against numpy, their coverage by simulation, and their refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.percentiles import nearest_rank, needed, percentile, share


def test_smallest_samples_are_those_of_the_literature() -> None:
    assert [needed(p) for p in (99, 99.9, 99.99, 99.999)] == [368, 3688, 36887, 368887]


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9])
def test_refused_one_below_what_is_needed(percent: float) -> None:
    n = needed(percent)
    assert percentile([1.0] * (n - 1), percent) is None
    assert percentile([1.0] * n, percent) is not None
    # and needed() is what its definition says: 1 - p^n >= 0.975 first holds at n
    p = float(share(percent))
    assert 1 - p**n >= 0.975 > 1 - p ** (n - 1)


@given(
    st.lists(st.floats(0, 1e12), min_size=1, max_size=300),
    st.sampled_from([0.1, 7, 50, 90, 99, 99.9]),
)
def test_nearest_rank_is_numpys_inverted_cdf(values: list[float], percent: float) -> None:
    ordered = np.sort(np.array(values))
    brute = min(v for v in values if sum(w <= v for w in values) >= share(percent) * len(values))
    assert nearest_rank(ordered, percent) == brute
    if len(values) * share(percent) != round(len(values) * share(percent)):
        # numpy computes the rank in binary floating point, which errs at whole ranks
        assert brute == np.percentile(ordered, percent, method="inverted_cdf")


@given(st.integers(400, 3000), st.integers(0, 2999))
def test_losses_are_infinite(n: int, losses: int) -> None:
    delays = np.arange(n, dtype=float)
    delays[: min(losses, n)] = math.inf
    estimate = percentile(delays, 99)
    assert estimate is not None
    assert math.isinf(estimate.value) == (min(losses, n) > n - math.ceil(0.99 * n))
    assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize(("percent", "n"), [(50, 40), (99, 500), (99, 2000)])
def test_bounds_cover_the_true_percentile(percent: float, n: int) -> None:
    random = np.random.default_rng(3)
    trials = 2000
    truth = -math.log(1 - float(share(percent)))  # of an exponential
    low = high = 0
    for _ in range(trials):
        estimate = percentile(random.exponential(size=n), percent)
        assert estimate is not None
        low += estimate.low > truth
        high += estimate.high < truth
    # each side fails with at most 2.5 %; four standard errors of the simulation
    slack = 4 * math.sqrt(0.025 * 0.975 / trials)
    assert low / trials <= 0.025 + slack
    assert high / trials <= 0.025 + slack
    assert low + high > 0  # the bounds are not trivially wide


def test_percentile_outside_the_scale() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile([1.0], 100)
