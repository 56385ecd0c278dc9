"""Percentiles against numpy, their coverage by simulation, and their refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.analysis.independence import RANDOM, Observations, Sampling
from testbed.analysis.percentiles import (
    Estimate,
    Refused,
    nearest_rank,
    needed,
    percentile,
    ranks,
    share,
)


def test_smallest_samples_are_those_of_the_literature() -> None:
    assert [needed(p) for p in (99, 99.9, 99.99, 99.999)] == [368, 3688, 36887, 368887]


def bounded(found: Estimate | Refused) -> tuple[float, float]:
    assert isinstance(found, Estimate)
    return found.low, found.high


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9])
def test_refused_one_below_what_is_needed(percent: float) -> None:
    n = needed(percent)
    refused = percentile(Observations(np.ones(n - 1), RANDOM), percent)
    assert refused == Refused(worth=n - 1, needed=n)
    assert bounded(percentile(Observations(np.ones(n), RANDOM), percent)) == (1, 1)
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
    spread = np.random.default_rng(n).permutation(delays)
    estimate = percentile(Observations(spread, RANDOM), 99)
    if isinstance(estimate, Refused):  # by chance they did not look independent
        return
    assert math.isinf(estimate.value) == (min(losses, n) > n - math.ceil(0.99 * n))
    low, high = bounded(estimate)
    assert low <= estimate.value <= high


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9])
@pytest.mark.parametrize("n", [4000, 9999])
def test_ranks_of_independent_packets_are_the_binomials(percent: float, n: int) -> None:
    below = stats.binom(n, float(share(percent)))
    low, high = ranks(n, n, percent)
    # the true percentile is below the low one if fewer packets than its rank are below it
    assert below.cdf(low - 1) <= 0.025 < below.cdf(low)
    assert below.sf(high - 1) <= 0.025 < below.sf(high - 2)


def test_ranks_of_fewer_effective_packets_are_wider_apart() -> None:
    spans = [np.subtract(*ranks(10_000, size, 99)[::-1]) for size in (10_000, 3000.5, 400)]
    assert spans == sorted(spans)
    assert spans[0] < spans[1] / 1.5 < spans[2] / 3


@pytest.mark.parametrize(("percent", "n"), [(50, 40), (99, 500), (99, 2000)])
def test_bounds_cover_the_true_percentile(percent: float, n: int) -> None:
    random = np.random.default_rng(3)
    trials = 400
    truth = -math.log(1 - float(share(percent)))  # of an exponential
    low = high = refused = 0
    for _ in range(trials):
        estimate = percentile(Observations(random.exponential(size=n), RANDOM), percent)
        if isinstance(estimate, Refused):
            refused += 1
            continue
        bounds = bounded(estimate)
        low += bounds[0] > truth
        high += bounds[1] < truth
    # each side fails with at most 2.5 %; four standard errors of the simulation
    slack = 4 * math.sqrt(0.025 * 0.975 / trials)
    assert low / trials <= 0.025 + slack
    assert high / trials <= 0.025 + slack
    assert low + high > 0  # the bounds are not trivially wide
    assert refused < 0.07 * trials


def test_a_percentile_of_few_phases_is_refused() -> None:
    assert percentile(np.full(1000, 5.0), 99) == Refused(worth=1, needed=368)
    varied = np.random.default_rng(2).uniform(size=1000)
    few = percentile(Observations(varied, Sampling(phases=367, locked=False)), 99)
    enough = percentile(Observations(varied, Sampling(phases=400, locked=False)), 99)
    assert few == Refused(worth=367, needed=368)
    assert bounded(enough)[1] == varied.max()


def test_a_percentile_of_few_phases_lies_between_budget_and_bound() -> None:
    one = Sampling(phases=1, locked=False, least_ns=3, most_ns=9)
    delays = np.full(1000, 5.0)
    found = percentile(Observations(delays, one), 99)
    assert found == Estimate(value=5, low=3, high=9, by="bound")
    # as many messages as for any other; none beyond the bound
    assert percentile(Observations(delays[:367], one), 99) == Refused(worth=1, needed=368)
    delays[7] = 9.5
    assert isinstance(percentile(Observations(delays, one), 99), Refused)
    # where a link loses some, as many as it may are infinite
    for loss, lost, high in ((0.001, 1, 9), (0.02, 15, math.inf), (0.3, 290, None)):
        delays[7] = 5
        delays[np.random.default_rng(3).choice(1000, lost, replace=False)] = math.inf
        found = percentile(Observations(delays, one._replace(loss=loss)), 99)
        assert bounded(found) == ((math.inf, math.inf) if high is None else (3, high))


def test_a_percentile_of_what_is_mostly_lost_is_lost() -> None:
    """Whatever the phase, and of however few: at least a fortieth of what was lost is."""
    delays = np.where(np.arange(900) % 5 < 3, math.inf, 5.0)
    one = Observations(delays, Sampling(phases=1))
    assert percentile(one, 99) == Estimate(value=math.inf, low=math.inf, high=math.inf)
    assert percentile(one, 90) == Refused(worth=1, needed=needed(90))
    few = Observations(np.full(9, math.inf), RANDOM)
    assert percentile(few, 50) == Estimate(value=math.inf, low=math.inf, high=math.inf)


def test_a_percentile_of_correlated_packets_is_refused() -> None:
    steps = np.repeat(np.random.default_rng(5).uniform(size=80), 50)
    refused = percentile(Observations(steps, RANDOM), 99)
    assert isinstance(refused, Refused)
    assert 1 < refused.worth < 130
    assert isinstance(percentile(Observations(steps, RANDOM), 50), Estimate)


def test_percentile_outside_the_scale() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile([1.0], 100)
