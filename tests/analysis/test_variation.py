"""Delay variation and availability against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.variation import availability, ipdv, pdv

INF = math.inf
DELAYS = st.lists(st.one_of(st.just(INF), st.integers(0, 50).map(float)), max_size=60)


@given(DELAYS)
def test_ipdv_is_the_difference_of_neighbours_that_both_arrived(values: list[float]) -> None:
    brute = [b - a for a, b in itertools.pairwise(values) if math.isfinite(a) and math.isfinite(b)]
    got = ipdv(np.arange(len(values)), np.array(values, dtype=float))
    assert got.tolist() == brute


def test_ipdv_needs_consecutive_numbers() -> None:
    assert ipdv(np.array([0, 2, 3]), np.array([1.0, 5.0, 6.0])).tolist() == [1.0]


def test_pdv_keeps_losses() -> None:
    assert pdv(np.array([3.0, INF, 5.0])).tolist() == [0.0, INF, 2.0]
    assert pdv(np.array([INF])).tolist() == [INF]


@pytest.mark.parametrize(
    ("good", "survival", "expected"),
    [
        ("gggggggggg", 10, 1.0),
        ("ggggbggggg", 10, 1.0),  # one message missing is survived
        ("ggggbbgggg", 10, 0.9),
        ("ggggbbgggg", 0, 0.8),
        ("gggggggbbb", 10, 0.8),
        ("bbbbbbbbbb", 10, 0.1),
        ("bgbgbgbgbg", 0, 0.5),
    ],
)
def test_availability(good: str, survival: int, expected: float) -> None:
    flags = np.array([c == "g" for c in good])
    due = np.arange(len(good)) * 10
    assert availability(due, flags, 10, survival) == pytest.approx(expected)


@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(0, 60))
def test_availability_by_walking_through_time(good: list[bool], survival: int) -> None:
    up, since = 0, None
    for flag in good:
        for tick in range(10):
            if tick == 0:
                since = None if flag else (0 if since is None else since)
            if since is None:
                up += 1
            else:
                up += since < survival
                since += 1
    got = availability(np.arange(len(good)) * 10, np.array(good), 10, survival)
    assert got == pytest.approx(up / (10 * len(good)))
