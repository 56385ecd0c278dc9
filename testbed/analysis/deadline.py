"""Does a session meet its deadline as reliably as its class asks?

A packet misses when it is lost or later than the deadline (TS 23.501 clause 5.7.3.4:
for delay-critical classes a late packet counts as lost). The interval of the miss
ratio is Clopper and Pearson's (Biometrika 26, 1934), exact for any number of misses.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats

from testbed.analysis.percentiles import CONFIDENCE, Delays
from testbed.scenario.model import Frozen

Word = Literal["met", "not shown", "missed", "not valid", "no deadline"]
"""`not valid`: the lab is not exact enough for this deadline (fidelity.py)."""

_SEARCH_LIMIT = 10**12


class Verdict(Frozen, frozen=True, kw_only=True):
    """What the packets show about a deadline."""

    word: Word
    misses: int = 0
    packets: int = 0
    low: float = 0.0
    high: float = 1.0
    """Bounds of the miss ratio, each with 97.5 % confidence."""
    needed: int | None = None
    """Packets, with no further miss, that would show the reliability; None if no
    number can (a reliability of 1)."""

    @property
    def ratio(self) -> float:
        """Share of the packets that missed."""
        return self.misses / self.packets if self.packets else 0.0


def clopper_pearson(misses: int, packets: int) -> tuple[float, float]:
    """Bounds of the miss probability, each with 97.5 % confidence.

    >>> tuple(round(x, 6) for x in clopper_pearson(0, 100))
    (0.0, 0.036217)
    """
    if packets == 0:
        return 0.0, 1.0
    low = float(stats.beta.ppf(1 - CONFIDENCE, misses, packets - misses + 1)) if misses else 0.0
    kept = packets - misses
    high = float(stats.beta.ppf(CONFIDENCE, misses + 1, kept)) if kept else 1.0
    return low, high


def packets_to_show(reliability: float, misses: int = 0) -> int | None:
    """Packets of which so many may miss and the reliability is still shown.

    >>> packets_to_show(0.999), packets_to_show(0.99999), packets_to_show(1.0)
    (3688, 368887, None)
    """
    allowed = allowed_ratio(reliability)
    if allowed <= 0:
        return None
    low, high = misses, misses + 1
    while clopper_pearson(misses, high)[1] > allowed:
        low, high = high, high * 2
        if high > _SEARCH_LIMIT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if clopper_pearson(misses, middle)[1] > allowed:
            low = middle
        else:
            high = middle
    return high


def allowed_ratio(reliability: float) -> float:
    """The share that may miss; rounded, since 1 - 0.999 is not 0.001 in binary."""
    return round(1 - reliability, 12)


def judge(delays: Delays, deadline_ns: float | None, reliability: float | None) -> Verdict:
    """The verdict on delays (ns, lost +inf) against a deadline.

    `met`: the upper bound of the miss ratio is within what the reliability allows.
    `missed`: the lower bound is beyond it.
    `not shown`: the sample is too small to tell which.
    A class that names no reliability asks for all packets.
    """
    packets = len(delays)
    if deadline_ns is None:
        return Verdict(word="no deadline", packets=packets)
    misses = int(np.count_nonzero(~(delays <= deadline_ns)))
    low, high = clopper_pearson(misses, packets)
    asked = 1.0 if reliability is None else reliability
    allowed = allowed_ratio(asked)
    word: Word
    if packets and low > allowed:
        word = "missed"
    elif packets and high <= allowed:
        word = "met"
    else:
        word = "not shown"
    return Verdict(
        word=word,
        misses=misses,
        packets=packets,
        low=low,
        high=high,
        needed=packets_to_show(asked, misses),
    )
