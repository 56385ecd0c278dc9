"""Percentiles that say how sure they are, and refuse when they cannot be sure.

Nearest rank: the p-th percentile of n delays is the ceil(n p / 100)-th smallest; no
interpolation, so a lost packet (+inf) stays one and a percentile is always a delay
that occurred.

The confidence interval is distribution-free: the number of packets at or below the
true percentile is Binomial(n, p), so two order statistics enclose it (David and
Nagaraja, Order Statistics, section 7.1; RFC 2330 clause 11.3 uses empirical
distributions the same way). Each side holds with 97.5 %, packets taken as
independent. Where even the largest sample is no upper bound the percentile is
refused: p99 needs 368 packets, p99.9 3,688, p99.99 36,887.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from testbed.scenario.model import Frozen

Delays = NDArray[np.float64]

CONFIDENCE = 0.975
"""Of each bound; a two-sided interval of 95 %."""


class Estimate(Frozen, frozen=True, kw_only=True):
    """A percentile with its bounds, nanoseconds; +inf where packets were lost."""

    value: float
    low: float
    high: float


def share(percent: float) -> Fraction:
    """A percentage as an exact share: 99.9 -> 999/1000."""
    if not 0 < percent < 100:
        raise ValueError(f"percentile {percent} is not between 0 and 100")
    return Fraction(str(percent)) / 100


def needed(percent: float) -> int:
    """The smallest sample whose largest value bounds the percentile from above.

    >>> [needed(p) for p in (50, 99, 99.9, 99.99)]
    [6, 368, 3688, 36887]
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(share(percent)))


def nearest_rank(ordered: Delays, percent: float) -> float:
    """The nearest-rank percentile of sorted delays, whatever their number."""
    return float(ordered[math.ceil(share(percent) * len(ordered)) - 1])


def percentile(delays: Delays | Sequence[float], percent: float) -> Estimate | None:
    """The percentile with its interval; None if the sample cannot support it."""
    ordered = np.sort(np.asarray(delays, dtype=float))
    n = len(ordered)
    if n < needed(percent):
        return None
    rank = stats.binom(n, float(share(percent)))
    low, high = int(rank.ppf(1 - CONFIDENCE)), int(rank.ppf(CONFIDENCE)) + 1
    return Estimate(
        value=nearest_rank(ordered, percent),
        low=float(ordered[max(low, 1) - 1]),
        high=float(ordered[min(high, n) - 1]),
    )
