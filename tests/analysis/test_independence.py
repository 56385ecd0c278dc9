"""Effective sample sizes against processes whose autocorrelation time is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from testbed.analysis.independence import RANDOM, Observations, Sampling, period
from testbed.analysis.shares import clopper_pearson
from tests.searching import examples

Values = np.ndarray


def autoregressive(random: np.random.Generator, n: int, memory: float) -> Values:
    """AR(1): its autocorrelation time is (1 + memory) / (1 - memory)."""
    lags = np.arange(min(n, math.ceil(-20 / math.log(memory))))
    noise = random.normal(size=n + len(lags) - 1)
    kernel = math.sqrt(1 - memory**2) * memory**lags
    values: Values = fftconvolve(noise, kernel, mode="valid")
    return values


def size(values: Values, beyond: float, share: float = 0.01, parts: tuple[int, ...] = ()) -> float:
    return Observations(values, RANDOM._replace(parts=parts)).effective(beyond, share).size


@pytest.mark.parametrize("n", [9, 100, 368, 3688])
def test_independent_packets_count_each(n: int) -> None:
    random = np.random.default_rng(n)
    runs = 60
    kinds = {
        "continuous": random.exponential(size=(runs, n)),
        "ties": random.integers(0, 3, (runs, n)).astype(float),
        "rare": (random.random((runs, n)) < 0.003).astype(float),
        "lost": np.where(random.random((runs, n)) < 0.02, math.inf, random.random((runs, n))),
    }
    for drawn in kinds.values():
        whole = [size(values, float(np.sort(values)[n * 9 // 10])) == n for values in drawn]
        assert np.mean(whole) > 0.85


@pytest.mark.parametrize(("memory", "time"), [(0.5, 3), (0.9, 19), (0.98, 99)])
def test_the_median_of_an_autoregression(memory: float, time: float) -> None:
    """Of its sign the correlations are 2 / pi arcsin memory^k (Kedem 1980)."""
    lags = np.arange(1, 5000)
    signs = 1 + 2 * float(np.sum(2 / math.pi * np.arcsin(memory**lags)))
    assert signs < time
    random = np.random.default_rng(1)
    n = 20_000
    found = [size(autoregressive(random, n, memory), 0.0, 0.5) for _ in range(10)]
    assert n / time * 0.7 < np.mean(found) < n / signs * 1.1


def test_the_interval_holds_the_truth_of_an_autoregression() -> None:
    random = np.random.default_rng(4)
    truth, beyond, n, trials = 0.05, 1.6448536, 4000, 150
    holds, taken_as_independent = 0, 0
    for _ in range(trials):
        values = autoregressive(random, n, 0.9)
        ratio = float((values > beyond).mean())
        worth = Observations(values, RANDOM).effective(beyond, ratio)
        low = clopper_pearson(ratio * worth.size, worth.size)[0]
        high = clopper_pearson(ratio * worth.surely, worth.surely)[1]
        holds += low <= truth <= high
        low, high = clopper_pearson(ratio * n, n)
        taken_as_independent += low <= truth <= high
    assert holds > 0.90 * trials
    assert taken_as_independent < 0.75 * trials


def test_no_miss_says_nothing_of_correlation_but_lower_delays_do() -> None:
    values = autoregressive(np.random.default_rng(2), 4000, 0.98)
    none = size(values, values.max())
    assert none < 120
    assert size(np.sort(values)[np.random.default_rng(3).permutation(4000)], 9.0) == 4000


def test_a_burst_of_losses_is_one_event() -> None:
    random = np.random.default_rng(8)
    values = random.uniform(size=2000)
    values[700:740] = math.inf
    worth = Observations(values, RANDOM).effective(1.0, 0.02)
    assert worth.limit == "correlated"
    assert 25 < worth.time < 60
    # of one event it is hardly known how long such events last
    assert worth.surely < worth.size / 1.05
    assert (worth.packets_for(100) or 0) > 100 * worth.time
    scattered = random.permutation(values)
    assert size(scattered, 1.0) == 2000


def test_alternating_delays_are_worth_no_more_than_their_number() -> None:
    values = np.tile([1.0, 2.0], 500)
    assert size(values, 1.5, 0.5) == 1000
    seen = Observations(values, Sampling())
    assert seen.effective(1.5, 0.5).size == 2
    assert seen.phases == 2


def test_what_settles_repeats() -> None:
    """As TCP does: beginnings differ, and then its bursts come at one phase for ever."""
    values = np.full(3000, 7.0)
    values[:300] = np.random.default_rng(3).uniform(size=300)
    assert Observations(values, Sampling()).phases == 1
    values[:1600] = 9.0 + np.arange(1600)
    assert Observations(values, Sampling()).phases is None


def test_constant_delays() -> None:
    values = np.full(3000, 7.0)
    assert size(values, 8.0) == 3000
    assert Observations(values, Sampling()).effective(8.0, 0.01).size == 1
    assert Observations(values, Sampling(phases=40)).effective(8.0, 0.01).size == 1
    known = Observations(values, Sampling(phases=40, locked=False)).effective(8.0, 0.01)
    assert (known.size, known.limit, known.packets_for(50)) == (40, "phases", None)


def test_a_planned_change_is_no_correlation() -> None:
    """Delays that differ before and after, each part by chance; unplanned it is one event."""
    random = np.random.default_rng(6)
    values = random.uniform(size=4000)
    values[2000:] += 5
    assert size(values, 3.0, 0.5, parts=(2000,)) == 4000
    assert size(values, 3.0, 0.5) < 10
    # parts that are no longer than the correlation explain nothing
    lasting = autoregressive(random, 4000, 0.95)
    edges = tuple(range(100, 4000, 100))
    assert size(lasting, 0.5, 0.5, parts=edges) == size(lasting, 0.5, 0.5)


def test_what_more_packets_would_be_worth() -> None:
    random = np.random.default_rng(9)
    short = Observations(autoregressive(random, 5000, 0.9), RANDOM).effective(2.3, 0.01)
    asked = short.packets_for(1000)
    assert asked is not None
    long = Observations(autoregressive(random, asked, 0.9), RANDOM).effective(2.3, 0.01)
    assert 700 < long.surely < 1400


def test_few_packets() -> None:
    for n in range(1, 30):
        for values in (np.arange(n, dtype=float), np.full(n, math.inf), np.zeros(n)):
            assert 1 <= size(values, 0.5) <= n


@given(st.lists(st.integers(0, 2), min_size=2, max_size=40))
def test_the_period_is_the_least_that_repeats_twice(values: list[int]) -> None:
    n = len(values)
    by_hand = [m for m in range(1, n // 2 + 1) if values[m:] == values[: n - m]]
    assert period(np.array(values, dtype=float)) == (by_hand[0] if by_hand else None)


@settings(deadline=None, max_examples=examples(30))
@given(st.integers(1, 200), st.integers(2, 6), st.integers(0, 2**32))
def test_no_repetition_makes_more_of_a_cycle(length: int, times: int, seed: int) -> None:
    cycle = np.random.default_rng(seed).uniform(size=length)
    seen = Observations(np.tile(cycle, times), Sampling())
    assert seen.effective(0.99, 0.01).size <= length
