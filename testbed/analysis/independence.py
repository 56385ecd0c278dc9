"""How many independent observations a run's packets are worth.

Packets that follow one another through a queue find it in nearly the same state. With
integrated autocorrelation time T = 1 + 2 (r1 + r2 + ...), the mean of n of them varies as
that of n / T independent ones (Bayley and Hammersley, JRSS Supplement 8, 1946): their
effective sample size. What is averaged here is an indicator, "later than x", and the
smallest size found of these counts:

    the indicator itself
    those of the delays' own quantiles, up to p99: with few misses, or none, the first says
    nothing; and how long a queue stays long shows at lower thresholds as well
    the ranks of the delays

T is summed over Geyer's initial monotone sequence (Statistical Science 7, 1992, clause 3.3),
which ends where the correlation is lost in noise. It is an estimate itself, from as many
independent events as there are beyond x, and too small where these are too few, so that for
an upper bound the size is lessened by Korn and Graubard's (z / t)^2 (Survey Methodology 24,
1998). Packets of which neither the lag-one rank correlation nor any T is more than chance
would make it count as independent, each one.

Correlation shows in what varies. What is fixed for a whole run does not show in it: the
phase between periodic senders. Exact schedules meet at a few phases only, again and again;
each of these counts once, however many packets saw it (Sampling). Packets at moments of a
Poisson process see every phase (PASTA: Wolff, Operations Research 30, 1982).

The average is of the run as planned. Where the plan changes the traffic or the network,
each part has an average of its own, and what varies is counted around that (stratified
sampling: Cochran, Sampling Techniques, clause 5.6), provided that the parts are longer
than the correlation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize, stats

Delays = NDArray[np.float64]
Values = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Quantiles whose exceedance is looked at."""
_Z = 1.959963984540054
_LAGS_BY_HAND = 128
"""Beyond them the Fourier transform is quicker."""
_SHORTEST_PART = 10
"""A part holds at least so many correlation times, or parts are not told apart."""
_FEW = 8
"""So few values have no correlation to speak of: each pair weighs too much."""

Limit = Literal["", "correlated", "phases"]
"""What makes the effective sample smaller than the sample."""


class Sampling(NamedTuple):
    """What the plan says of the moments at which one session samples the network."""

    phases: int | None = None
    """Phases between periodic senders that were seen; None: as many as packets."""
    locked: bool = True
    """Delays that repeat exactly may be due to one phase: there are other senders whose moments
    are not known."""
    parts: tuple[int, ...] = ()
    """Indices of packets before which the plan changes the traffic or the network."""
    loss: float = 0.0
    """Probability that links lose a packet, each by chance."""
    gone: float = 0.0
    """Share of the packets that have no way to go, at any phase, and were lost."""
    least_ns: float = 0.0
    most_ns: float = math.inf
    """What no packet takes less and, unless a link loses it, more than, at any phase."""


RANDOM = Sampling(locked=False)
"""Of packets that nothing on their way is in step with."""


class Effective(NamedTuple):
    """An effective sample."""

    size: float
    limit: Limit = ""
    time: float = 1.0
    """Packets after which the next one is independent: that are worth one observation."""
    share: float = 0.0
    """Of the packets, whose events the time was estimated from."""

    @property
    def surely(self) -> float:
        """The size for an upper bound."""
        if self.limit != "correlated":
            return self.size
        return max(1.0, self.size * lessened(self.size * self.share))

    def packets_for(self, size: int) -> int | None:
        """Packets of such a run that are surely worth so many; None if all see its phases."""
        if self.limit == "phases":
            return None
        if not self.limit:
            return size

        def spare(larger: float) -> float:
            return larger * lessened(larger * self.share) - size

        most = size / lessened(0)
        return math.ceil(self.time * float(optimize.brentq(spare, size, most, xtol=0.01)))


class _Time(NamedTuple):
    """An integrated autocorrelation time, in packets."""

    packets: float
    lags: int


class Observations:
    """Delays of one session in order of sending, ns, lost +inf, and how they were sampled."""

    def __init__(self, delays: Delays, sampling: Sampling = RANDOM) -> None:
        self.delays = np.asarray(delays, dtype=float)
        self.sampling = sampling
        self.ordered = np.sort(self.delays)
        self._known: tuple[float, bool] | None = None

    def __len__(self) -> int:
        return len(self.delays)

    def effective(self, beyond: float, share: float) -> Effective:
        """Of the indicator "later than `beyond`".

        Args:
            share: of the packets that are, or that may be; at least the rarest of LEVELS.
        """
        found = self.correlated(beyond, share)
        phases = self.phases
        if phases is not None and phases < found.size:
            return found._replace(size=float(phases), limit="phases")
        return found

    def correlated(self, beyond: float, share: float) -> Effective:
        """The same, at the phases that the run had."""
        n = len(self.delays)
        if n <= _FEW:
            return Effective(float(n))
        time, by_chance = self._base()
        own = self._time(self.delays > beyond)
        if by_chance and own.packets <= _chance(n, own.lags):
            return Effective(float(n))
        time = max(time, own.packets)
        share = max(share, 1 - LEVELS[-1])
        return Effective(max(n / time, 1.0), "correlated", time, share)

    def scattered(self, process: NDArray[np.generic]) -> bool:
        """Whether an event that packets see comes by chance as far as their order tells."""
        time = self._time(process)
        return time.packets <= _chance(len(self.delays), time.lags)

    def arrived(self) -> Observations:
        """Those that were not lost."""
        there = np.isfinite(self.delays)
        parts = tuple(int(there[:at].sum()) for at in self.sampling.parts)
        return Observations(
            self.delays[there], self.sampling._replace(parts=parts, loss=0.0, gone=0.0)
        )

    @property
    def certain(self) -> bool:
        """Whether the plan says how long those that arrive take at most, and they did not take
        longer or less."""
        there = self.delays[np.isfinite(self.delays)]
        least_ns, most_ns = self.sampling.least_ns, self.sampling.most_ns
        return math.isfinite(most_ns) and bool(((there >= least_ns) & (there <= most_ns)).all())

    @property
    def phases(self) -> int | None:
        """Distinct phases seen by plan, and by the period in which the delays repeat, of the
        whole run or of its second half."""
        known = self.sampling.phases
        if not self.sampling.locked:
            return known
        repeated = (period(self.delays), period(self.delays[len(self.delays) // 2 :]))
        return min((seen for seen in (known, *repeated) if seen is not None), default=None)

    def _base(self) -> tuple[float, bool]:
        """The longest time of those that do not depend on x; whether chance explains all."""
        if self._known is None:
            longest, by_chance = 1.0, True
            n = len(self.delays)
            for process in self._processes():
                time = self._time(process)
                longest = max(longest, time.packets)
                by_chance &= time.packets <= _chance(n, time.lags)
            self._known = longest, by_chance and not self._follows()
        return self._known

    def _processes(self) -> Iterator[NDArray[np.generic]]:
        thresholds = {self.ordered[math.ceil(q * len(self.ordered)) - 1] for q in LEVELS}
        for threshold in sorted(thresholds):
            yield self.delays > threshold
        yield stats.rankdata(self.delays)

    def _follows(self) -> bool:
        """Whether the rank of a delay tells of the next one's."""
        values = self._centred(stats.rankdata(self.delays), self.sampling.parts)
        variance = _product(values, 0)
        lag_one = _product(values, 1) / variance if variance else 0.0
        return lag_one * math.sqrt(len(values)) > _FOLLOWS_Z

    def _time(self, process: NDArray[np.generic]) -> _Time:
        values = process.astype(float)
        parts = self.sampling.parts
        found = _initial_sequence(self._centred(values, parts))
        if parts and found.packets * _SHORTEST_PART > self._shortest():
            found = _initial_sequence(self._centred(values, ()))
        return found

    def _shortest(self) -> int:
        edges = (0, *self.sampling.parts, len(self.delays))
        return min(end - begin for begin, end in pairwise(edges))

    @staticmethod
    def _centred(values: Values, parts: tuple[int, ...]) -> Values:
        centred = values.copy()
        for begin, end in pairwise((0, *parts, len(values))):
            centred[begin:end] -= values[begin:end].mean()
        return centred


_CHANCE_Z = 4.0
_FOLLOWS_Z = 3.0
"""Standard deviations that chance seldom exceeds: of the largest of many times, which are far
from normal where events are rare; and of one rank correlation."""


def lessened(events: float) -> float:
    """Korn and Graubard's factor of a size that was estimated from so many independent events,
    as degrees of freedom."""
    return (_Z / float(stats.t.ppf(0.975, max(events, 1.0)))) ** 2


def _chance(n: int, lags: int) -> float:
    """What the time of independent values seldom exceeds: the sum of `lags` correlations, each
    of variance 1 / n (Bartlett, JRSS Supplement 8, 1946), doubled."""
    return 1 + 2 * _CHANCE_Z * math.sqrt(max(lags, 2) / n)


def _initial_sequence(centred: Values) -> _Time:
    """Geyer's initial monotone sequence: sums of two neighbouring correlations, the first from
    lag 0 on, while they are positive, each at most the one before."""
    n = len(centred)
    variance = _product(centred, 0)
    if not variance > 1e-9 * n:
        return _Time(1.0, 0)
    total, least, lag = 0.0, math.inf, 0
    transformed: Values | None = None
    while lag + 1 < n:
        if lag < _LAGS_BY_HAND:
            pair = _product(centred, lag) + _product(centred, lag + 1)
        else:
            if transformed is None:
                transformed = _products(centred)
            pair = float(transformed[lag] + transformed[lag + 1])
        if pair <= 0:
            break
        least = min(least, pair / variance)
        total += least
        lag += 2
    return _Time(max(1.0, 2 * total - 1), lag)


def _product(centred: Values, lag: int) -> float:
    # not by BLAS, whose threads add up in an order of their own
    return float(np.einsum("i,i->", centred[lag:], centred[: len(centred) - lag]))


def _products(centred: Values) -> Values:
    """Of all lags (Wiener and Khinchin)."""
    size = fft.next_fast_len(2 * len(centred), real=True)
    spectrum = fft.rfft(centred, size)
    products: Values = fft.irfft(spectrum * spectrum.conj(), size)[: len(centred)]
    return products


def period(delays: Delays) -> int | None:
    """The least number of packets after which all delays repeat; None if they never do.

    At least two whole periods are asked for. By the borders of the sequence's beginnings
    (Knuth, Morris and Pratt, SIAM Journal on Computing 6, 1977).
    """
    n = len(delays)
    if n < 2:
        return None
    values = delays.tolist()
    borders = [0] * n
    length = 0
    for at in range(1, n):
        while length and values[at] != values[length]:
            length = borders[length - 1]
        length += values[at] == values[length]
        borders[at] = length
    found = n - borders[-1]
    return found if 2 * found <= n else None
