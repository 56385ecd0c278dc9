"""Delay variation and availability of one session in one direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.independence import Delays

Integers = NDArray[np.int64]


def ipdv(seq: Integers, delays: Delays) -> Delays:
    """Inter-packet delay variation, ns: D(i) - D(i-1) of consecutive packets.

    RFC 3393 clause 2: undefined where either packet was lost, so such pairs are
    left out.
    """
    order = np.argsort(seq, kind="stable")
    seq, delays = seq[order], delays[order]
    pairs = (np.diff(seq) == 1) & np.isfinite(delays[1:]) & np.isfinite(delays[:-1])
    result: Delays = delays[1:][pairs] - delays[:-1][pairs]
    return result


def pdv(delays: Delays) -> Delays:
    """Packet delay variation, ns: D(i) - min D (RFC 5481 clause 4.2); lost is +inf."""
    if not np.isfinite(delays).any():
        return delays.copy()
    result: Delays = delays - delays.min()
    return result


def availability(
    intended_ns: Integers, good: NDArray[np.bool_], interval_ns: int, survival_ns: int
) -> float:
    """Share of time the service was up (TS 22.104 annex C.3).

    The service goes down once no good message has come for the survival time after
    one was due, and up again with the next good one. A message is good when it
    arrives within its deadline; the last one covers one interval.
    """
    if len(intended_ns) == 0:
        return 0.0
    order = np.argsort(intended_ns, kind="stable")
    due, good = intended_ns[order], good[order]
    end = int(due[-1]) + interval_ns
    first_failed, recovered = _outages(due, good, end)
    gone = np.clip(recovered - first_failed - survival_ns, 0, None).sum()
    return float(1 - gone / (end - int(due[0])))


def down(intended_ns: Integers, good: NDArray[np.bool_], survival_ns: int) -> NDArray[np.bool_]:
    """Of messages in the order of sending, which were due while the service was down."""
    first_failed, recovered = _outages(intended_ns, good, np.iinfo(np.int64).max)
    outage = np.searchsorted(first_failed, intended_ns, side="right") - 1
    within = np.clip(outage, 0, None)
    return (
        np.zeros(len(intended_ns), bool)
        if not len(first_failed)
        else (outage >= 0)
        & (intended_ns >= first_failed[within] + survival_ns)
        & (intended_ns < recovered[within])
    )


def _outages(due: Integers, good: NDArray[np.bool_], end: int) -> tuple[Integers, Integers]:
    """When the first message of each run of bad ones was due, and the good one after it."""
    failed_before = np.concatenate(([False], ~good[:-1]))
    first_failed = due[~good & ~failed_before]
    recovered = due[good & failed_before]
    if len(recovered) < len(first_failed):
        recovered = np.append(recovered, end)
    return first_failed, recovered
