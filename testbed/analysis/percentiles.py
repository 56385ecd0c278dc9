"""Percentiles that say how sure they are, and refuse when they cannot be sure.

Nearest rank: the p-th percentile of n delays is the ceil(n p / 100)-th smallest; no
interpolation, so a lost packet (+inf) stays one and a percentile is always a delay
that occurred.

The confidence interval is distribution-free: of independent packets the number at or below
the true percentile is Binomial(n, p), so two order statistics enclose it (David and
Nagaraja, Order Statistics, section 7.1; RFC 2330 clause 11.3 uses empirical distributions
the same way). Correlated packets are counted as so many as they are worth (independence.py),
and the order statistics are those of the shares that bound p then (Woodruff, Journal of the
American Statistical Association 47, 1952). Each side holds with 97.5 %. Where even the
largest sample is no upper bound the percentile is refused: p99 needs 368 independent
packets, p99.9 3,688, p99.99 36,887. One of a run that saw too few phases between periodic
senders is that of these phases: it has no interval.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from testbed.analysis.independence import Observations, Sampling
from testbed.scenario.model import Frozen

Delays = NDArray[np.float64]

CONFIDENCE = 0.975
"""Of each bound; a two-sided interval of 95 %."""


class Estimate(Frozen, frozen=True, kw_only=True):
    """A percentile with its bounds, nanoseconds; +inf where packets were lost."""

    value: float
    low: float | None
    high: float | None
    """None: the phases between periodic senders that the run saw are too few for bounds."""


def share(percent: float) -> Fraction:
    """A percentage as an exact share: 99.9 -> 999/1000."""
    if not 0 < percent < 100:
        raise ValueError(f"percentile {percent} is not between 0 and 100")
    return Fraction(str(percent)) / 100


def needed(percent: float) -> int:
    """The smallest independent sample whose largest value bounds the percentile from above.

    >>> [needed(p) for p in (50, 99, 99.9, 99.99)]
    [6, 368, 3688, 36887]
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(share(percent)))


def nearest_rank(ordered: Delays, percent: float) -> float:
    """The nearest-rank percentile of sorted delays, whatever their number."""
    return float(ordered[math.ceil(share(percent) * len(ordered)) - 1])


def percentile(delays: Observations | Delays | Sequence[float], percent: float) -> Estimate | None:
    """The percentile with its interval; None if the sample cannot support it.

    Of plain numbers it is not known how they were sampled.
    """
    if not isinstance(delays, Observations):
        delays = Observations(np.asarray(delays, dtype=float), Sampling())
    n, least = len(delays), needed(percent)
    if n < least:
        return None
    value = nearest_rank(delays.ordered, percent)
    part = float(share(percent))
    found = delays.effective(value, min(part, 1 - part))
    if found.limit == "phases":
        if delays.correlated(value, min(part, 1 - part)).surely < least:
            return None
        if found.size < least:
            return Estimate(value=value, low=None, high=None)
    elif found.surely < least:
        return None
    low, high = ranks(n, found.size, percent)[0], ranks(n, found.surely, percent)[1]
    return Estimate(
        value=value, low=float(delays.ordered[low - 1]), high=float(delays.ordered[high - 1])
    )


@functools.lru_cache(maxsize=256)
def ranks(n: int, effective: float, percent: float) -> tuple[int, int]:
    """Ranks, from 1, of the order statistics of n that bound a percentile, each with 97.5 %.

    >>> ranks(368, 368, 99), ranks(1000, 1000, 50)
    ((360, 368), (469, 532))
    """
    above = float(1 - share(percent))

    def at_most(count: float) -> float:
        """1 - CONFIDENCE less the probability of so few above the percentile."""
        return float(special.betainc(count + 1, effective - count, above)) - CONFIDENCE

    def at_least(count: float) -> float:
        return float(special.betainc(count, effective - count + 1, above)) - (1 - CONFIDENCE)

    few = optimize.brentq(at_most, 0, effective * (1 - 1e-12)) if at_most(0) > 0 else 0.0
    most = effective * (1 - 1e-12)
    many = optimize.brentq(at_least, 1e-12, most) if at_least(most) < 0 else effective
    scale = n / effective
    low = math.floor(n + 1 - many * scale + 1e-9)
    high = math.ceil(n - few * scale - 1e-9)
    return min(max(low, 1), n), min(max(high, 1), n)
