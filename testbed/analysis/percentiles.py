"""Percentiles that say how sure they are, and refuse when they cannot be sure.

Nearest rank: the p-th percentile of n delays is the ceil(n p / 100)-th smallest; no
interpolation, so a lost packet (+inf) stays one and a percentile is always a delay
that occurred.

A percentile is stated with an interval of which each side holds with 97.5 %, or it is
refused. The interval is, by the first of these that can be said:

sample   Distribution-free: of independent packets the number at or below the true percentile
         is Binomial(n, p), so two order statistics enclose it (David and Nagaraja, Order
         Statistics, section 7.1; RFC 2330 clause 11.3 uses empirical distributions the same
         way). Packets are counted as so many as they are worth (independence.py), and the
         order statistics are those of the shares that bound p then (Woodruff, Journal of the
         American Statistical Association 47, 1952). p99 needs 368 independent packets for
         an upper one, p99.9 3,688, p99.99 36,887.
lost     More packets are lost than the percentile leaves out, by the lower bound of their
         share (shares.py): it is infinite.
bound    Of as many packets that are worth fewer, since they saw few phases between periodic
         senders or are alike: no packet takes less than its budget or more than its bound,
         at any phase, and the share that links lose is bounded for itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy import optimize, special

from testbed.analysis.independence import Delays, Observations, Sampling
from testbed.analysis.shares import CONFIDENCE, lost
from testbed.scenario.model import Frozen


class Estimate(Frozen, frozen=True, kw_only=True):
    """A percentile with its interval, nanoseconds; +inf where packets were lost."""

    value: float
    low: float
    high: float
    by: Literal["sample", "bound"] = "sample"
    """What the interval rests on: order statistics, or budget and bound."""


class Refused(Frozen, frozen=True, kw_only=True):
    """A percentile that is not stated, since it has no interval."""

    worth: float
    """Independent observations that the sample surely is, for this percentile."""
    needed: int


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


def percentile(
    delays: Observations | Delays | Sequence[float], percent: float
) -> Estimate | Refused:
    """The percentile with its interval, if it has one.

    Of plain numbers it is not known how they were sampled.
    """
    if not isinstance(delays, Observations):
        delays = Observations(np.asarray(delays, dtype=float), Sampling())
    n, least = len(delays), needed(percent)
    if not n:
        return Refused(worth=0.0, needed=least)
    value = nearest_rank(delays.ordered, percent)
    part = float(share(percent))
    found = delays.effective(value, min(part, 1 - part))
    if found.surely >= least:
        low, high = ranks(n, found.size, percent)[0], ranks(n, found.surely, percent)[1]
        return Estimate(
            value=value, low=float(delays.ordered[low - 1]), high=float(delays.ordered[high - 1])
        )
    gone = lost(delays)
    if gone.low > 1 - part:
        return Estimate(value=math.inf, low=math.inf, high=math.inf)
    if n >= least and delays.certain:
        most_ns = delays.sampling.most_ns if gone.high <= 1 - part else math.inf
        return Estimate(value=value, low=delays.sampling.least_ns, high=most_ns, by="bound")
    return Refused(worth=found.surely, needed=least)


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
