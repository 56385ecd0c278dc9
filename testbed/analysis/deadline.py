"""Does a session meet its deadline as reliably as its class asks?

A packet misses when it is lost or later than the deadline (TS 23.501 clause 5.7.3.4:
for delay-critical classes a late packet counts as lost). The interval of the miss
ratio is that of shares.py.

What is claimed is the miss ratio over the run as it was planned, events and all, as many
repetitions of it with other seeds would have it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from testbed.analysis.independence import Delays, Limit, Observations, Sampling
from testbed.analysis.shares import beyond, clopper_pearson
from testbed.scenario.model import Frozen

Word = Literal["met", "not shown", "missed", "not valid", "no deadline"]
"""`not valid`: the lab is not exact enough for this deadline (fidelity.py)."""

Ground = Literal["", "sample", "bound", "budget"]
"""What a verdict rests on: its packets, as many as they are worth; the bound, which no packet
exceeds at any phase; or the budget, below which none comes. Empty: nothing was judged."""

_SEARCH_LIMIT = 10**12


class Verdict(Frozen, frozen=True, kw_only=True):
    """What the packets show about a deadline."""

    word: Word
    ground: Ground = ""
    misses: int = 0
    packets: int = 0
    effective: float = 0.0
    """Independent observations that the packets are worth (independence.py)."""
    limit: Limit = ""
    """Why these are fewer: packets are correlated, or saw few phases between senders."""
    low: float = 0.0
    high: float = 1.0
    """Bounds of the miss ratio, each with 97.5 % confidence."""
    observations_needed: int | None = None
    """Independent ones that would decide at the ratio seen; None if no number can."""
    needed: int | None = None
    """Packets of such a run that are worth as many; None if no number can: to show that
    every packet is in time, or while all have the same phases."""

    @property
    def ratio(self) -> float:
        """Share of the packets that missed."""
        return self.misses / self.packets if self.packets else 0.0


def observations_to_decide(reliability: float, ratio: float = 0.0) -> int | None:
    """Independent observations of which a share may miss and it is decided whether that is
    within the reliability; None if no number can.

    >>> observations_to_decide(0.999), observations_to_decide(0.99, 0.005)
    (3688, 1518)
    >>> observations_to_decide(1.0), observations_to_decide(0.99, 0.01)
    (None, None)
    """
    allowed = allowed_ratio(reliability)

    def decided(packets: int) -> bool:
        low, high = clopper_pearson(ratio * packets, packets)
        return low > allowed or high <= allowed

    if ratio == allowed:
        return None
    low, high = 0, 1
    while not decided(high):
        low, high = high, high * 2
        if high > _SEARCH_LIMIT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if decided(middle):
            high = middle
        else:
            low = middle
    return high


def allowed_ratio(reliability: float) -> float:
    """The share that may miss; rounded, since 1 - 0.999 is not 0.001 in binary."""
    return round(1 - reliability, 12)


def judge(
    delays: Observations | Delays, deadline_ns: float | None, reliability: float | None
) -> Verdict:
    """The verdict on delays (ns, lost +inf) against a deadline.

    `met`: the upper bound of the miss ratio is within what the reliability allows.
    `missed`: the lower bound is beyond it.
    `not shown`: the sample is too small to tell which.
    A class that names no reliability asks for all packets, so one that misses decides.
    Of plain numbers it is not known how they were sampled.
    """
    if not isinstance(delays, Observations):
        delays = Observations(delays, Sampling())
    packets = len(delays)
    if deadline_ns is None:
        return Verdict(word="no deadline", packets=packets)
    asked = 1.0 if reliability is None else reliability
    if not packets:
        enough = observations_to_decide(asked)
        return Verdict(word="not shown", ground="sample", observations_needed=enough, needed=enough)
    misses = int(np.count_nonzero(~(delays.delays <= deadline_ns)))
    allowed = allowed_ratio(asked)
    (low, high, _), found = beyond(delays, deadline_ns, allowed)
    ratio = misses / packets
    word: Word
    if low > allowed:
        word = "missed"
    elif high <= allowed:
        word = "met"
    else:
        word = "not shown"
    enough = observations_to_decide(asked, ratio)
    return Verdict(
        word=word,
        ground="sample",
        misses=misses,
        packets=packets,
        effective=found.size,
        limit=found.limit,
        low=low,
        high=high,
        observations_needed=enough,
        needed=None if enough is None else found.packets_for(enough),
    )
