"""The port's modelled background: seeded arrivals, the same numbers as the kernel's.

Integer arithmetic throughout, so that kernel and model agree to the bit: time in
picoseconds, logarithms by repeated squaring (kernel/sch_port.c, port_exponential).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from testbed.reference.port import Arrival

_MASK = 2**64 - 1
_LN2 = 2977044472
"""ln 2 x 2**32."""


@dataclass(frozen=True)
class Source:
    """Packets of modelled background traffic.

    Attributes:
        rate_bps: of the packets' own bytes, without the port's overhead.
        sizes: (bytes, weight) pairs, at most four; weights at most 10,000.
        burst: packets that arrive together.
        start_ns: CLOCK_MONOTONIC.
        stop_ns: no arrival from here on; 0 is never.
    """

    rate_bps: int
    sizes: tuple[tuple[int, int], ...] = ((1514, 1),)
    queue: int = 0
    arrivals: Literal["periodic", "poisson"] = "poisson"
    burst: int = 1
    seed: int = 0
    start_ns: int = 1
    stop_ns: int = 0


class Random:
    """splitmix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
        return z ^ z >> 31

    def exponential(self) -> int:
        """-ln(u) x 2**24, u uniform in (0, 1]."""
        u = self.next() | 1
        zeros = 64 - u.bit_length()
        x = (u << zeros & _MASK) >> 32
        fraction = 0
        for bit in range(23, -1, -1):
            x = x * x >> 31
            if x >> 32:
                x >>= 1
                fraction |= 1 << bit
        return ((zeros + 1 << 24) - fraction) * _LN2 >> 32


def mean_gap_ps(source: Source) -> int:
    """Mean time between bursts."""
    weights = sum(weight for _, weight in source.sizes)
    bits = sum(8 * size * weight for size, weight in source.sizes)
    return bits * source.burst * 10**12 // (weights * source.rate_bps)


def arrivals(*sources: Source) -> Iterator[Arrival]:
    """The sources' packets in order of time, without end unless they stop."""
    for _, arrival in heapq.merge(*map(_timed, sources), key=lambda timed: timed[0]):
        yield arrival


def _timed(source: Source) -> Iterator[tuple[int, Arrival]]:
    """Packets with their times in picoseconds, which order those of one nanosecond."""
    random = Random(source.seed)
    gap_ps = mean_gap_ps(source)
    at_ps = source.start_ns * 1000
    if source.arrivals == "periodic":  # anywhere in its first period
        at_ps += gap_ps * random.next() >> 64
    else:
        at_ps += gap_ps * random.exponential() >> 24
    while not source.stop_ns or at_ps // 1000 < source.stop_ns:
        for _ in range(source.burst):
            yield at_ps, Arrival(at_ps // 1000, _size(source, random), source.queue)
        periodic = source.arrivals == "periodic"
        at_ps += gap_ps if periodic else gap_ps * random.exponential() >> 24


def _size(source: Source, random: Random) -> int:
    weights = sum(weight for _, weight in source.sizes)
    if len(source.sizes) == 1:
        return source.sizes[0][0]
    pick = (random.next() >> 32) * weights >> 32
    for size, weight in source.sizes:
        if pick < weight:
            return size
        pick -= weight
    raise AssertionError("weights do not add up")
