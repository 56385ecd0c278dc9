"""Delay variation and availability of one session in one direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.percentiles import Delays

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
    failed_before = np.concatenate(([False], ~good[:-1]))
    first_failed = due[~good & ~failed_before]
    recovered = due[good & failed_before]
    if len(recovered) < len(first_failed):
        recovered = np.append(recovered, end)
    down = np.clip(recovered - first_failed - survival_ns, 0, None).sum()
    return float(1 - down / (end - int(due[0])))
