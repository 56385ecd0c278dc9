"""Send times are periodic to the nanosecond, or Poisson with the asked mean."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from testbed.probes.schedule import send_times


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 200))
def test_periodic(start_ns: int, interval_ns: int, count: int) -> None:
    times = list(send_times(start_ns, interval_ns, count, "periodic", 0))
    assert times == [start_ns + i * interval_ns for i in range(count)]


@given(st.integers(0, 2**32), st.integers(0, 200))
def test_poisson_is_the_seeds_own(seed: int, count: int) -> None:
    times = list(send_times(7, 1000, count, "poisson", seed))
    assert times == list(send_times(7, 1000, count, "poisson", seed))
    assert len(times) == count
    assert times == sorted(times)


def test_poisson_has_exponential_gaps() -> None:
    times = list(send_times(0, 1_000_000, 20_000, "poisson", 1))
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert abs(mean - 1e6) < 3e4  # 4 standard errors
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert abs(spread / mean - 1) < 0.05
    assert times != list(send_times(0, 1_000_000, 20_000, "poisson", 2))


def test_poisson_gaps_do_not_depend_on_the_start() -> None:
    late = 9 * 10**15
    gaps = [t - late for t in send_times(late, 1_000_000, 2000, "poisson", 3)]
    assert gaps == list(send_times(0, 1_000_000, 2000, "poisson", 3))
