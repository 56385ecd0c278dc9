"""Bounds of a share of messages, and of the share that is lost.

The interval is Clopper and Pearson's (Biometrika 26, 1934), exact for any number of
independent messages, of as many as the sample is worth (independence.py): Korn and
Graubard, Survey Methodology 24, 1998. Less than one independent event is too few for it.
What holds of any sample, however its messages depend on one another, is Markov's
inequality: a share is seldom (2.5 %) more than 40 times its mean, so that the mean is at
least a fortieth of what was seen. One phase at which all messages are lost shows that
2.5 % of all are.

Links that lose packets lose each by chance, whatever else is sent and when. Losses that
are no more than the links of the plan make (_LINKS), and scattered by chance, are judged
by themselves: as many independent observations as messages, whatever few phases their
delays saw. Drops from a queue that is full at some phase are never judged so: they come
where no link loses anything, or beside more losses than the links make. Of what has no way
to go, since a link of its only one is cut, all is lost at any phase.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from testbed.analysis.independence import Effective, Observations

CONFIDENCE = 0.975
"""Of each bound; a two-sided interval of 95 %."""
HALF = (1 + CONFIDENCE) / 2
"""Of each of two bounds that both hold with CONFIDENCE."""
_SMALLEST = 1e-9
"""Fewer events than that are none."""
_LINKS = 0.001
"""Probability that links lose so many, below which something else lost some."""


class Share(NamedTuple):
    """A share of the messages."""

    low: float
    high: float
    """Its bounds."""
    size: float = 0.0
    """Independent observations behind them."""


def clopper_pearson(
    events: float, size: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Bounds of a probability, each with this confidence; of effective numbers, which need not
    be whole, as well.

    >>> tuple(round(x, 6) for x in clopper_pearson(0, 100))
    (0.0, 0.036217)
    """
    if size == 0:
        return 0.0, 1.0
    rest = size - events
    some = events > _SMALLEST
    low = float(special.betaincinv(events, rest + 1, 1 - confidence)) if some else 0.0
    high = float(special.betaincinv(events + 1, rest, confidence)) if rest > _SMALLEST else 1.0
    return low, high


def bounds(
    ratio: float, size: float, surely: float | None = None, confidence: float = CONFIDENCE
) -> Share:
    """Bounds of a share of which `ratio` was seen.

    Args:
        size: independent observations that the messages are worth.
        surely: the same for the upper bound.
    """
    surely = size if surely is None else surely
    low = clopper_pearson(ratio * size, size, confidence)[0]
    high = clopper_pearson(ratio * surely, surely, confidence)[1]
    return Share(max(low, (1 - confidence) * ratio), high, size)


def beyond(seen: Observations, limit_ns: float, share: float) -> tuple[Share, Effective]:
    """Of the messages that are lost or take longer, and what that rests on.

    Args:
        share: of the messages that may; at least so rare is what is looked at.
    """
    sent = len(seen)
    ratio = int(np.count_nonzero(~(seen.delays <= limit_ns))) / sent
    found = seen.effective(limit_ns, max(ratio, share))
    if found.size < sent and (apart := _apart(seen, limit_ns, share)) is not None:
        return apart
    told = bounds(ratio, found.size, found.surely)
    return told._replace(low=max(told.low, seen.sampling.gone)), found


def _apart(seen: Observations, limit_ns: float, allowed: float) -> tuple[Share, Effective] | None:
    """The same, of losses by links and of delays each by itself; None if other things may have
    lost some. What is lost, and what of the rest is late, are two shares, and both hold."""
    arrived = seen.arrived()
    late = int(np.count_nonzero(arrived.delays > limit_ns))
    if seen.sampling.most_ns <= limit_ns and not late:
        gone = by_links(seen)
        return None if gone is None else (gone, Effective(gone.size))
    gone = by_links(seen, HALF)
    if gone is None:
        return None
    if gone.low > allowed or not len(arrived):
        return gone, Effective(gone.size)
    ratio = late / len(arrived)
    found = arrived.effective(limit_ns, max(ratio, allowed))
    rest = bounds(ratio, found.size, found.surely, HALF)
    low, high = (lost + (1 - lost) * slow for lost, slow in zip(gone[:2], rest[:2], strict=True))
    return Share(low, high, found.size), found


def by_links(seen: Observations, confidence: float = CONFIDENCE) -> Share | None:
    """Of the messages that are lost, if links alone lose them; else None."""
    gone = np.isinf(seen.delays)
    number, sent = int(gone.sum()), len(seen)
    loss = seen.sampling.loss
    if not loss or not sent or float(stats.binom.sf(number - 1, sent, loss)) < _LINKS:
        return None
    return bounds(number / sent, sent, confidence=confidence) if seen.scattered(gone) else None


def lost(seen: Observations) -> Share:
    """Of the messages that are lost. What the plan does not exclude, a run that saw few phases
    does not either."""
    number, sent = int(np.isinf(seen.delays).sum()), len(seen)
    found = by_links(seen)
    certain = math.isfinite(seen.sampling.most_ns)
    if found is None and number:
        worth = seen.effective(sys.float_info.max, number / sent)
        found = bounds(number / sent, worth.size, worth.surely)
        found = found._replace(low=max(found.low, seen.sampling.gone))
    elif found is None:
        found = Share(0.0, 0.0 if certain and not seen.sampling.loss else 1.0)
    elif not certain:
        found = found._replace(high=1.0)
    return found
