"""Modelled background: arrivals at a port that are only counted, and delay real packets.

Integer arithmetic throughout, so that kernel and model agree to the bit: time in
picoseconds, logarithms by repeated squaring (kernel/port/background.c).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import msgspec

from testbed.errors import EmulationError
from testbed.frames import FULL_FRAME_BYTES
from testbed.port.stage import Arrival, Stage
from testbed.port.wire import Record
from testbed.scenario.model import Frozen

MAX_SOURCES = 64
"""Of one port."""
_SIZES = 4
_ARRIVALS: tuple[Literal["periodic", "poisson"], ...] = ("periodic", "poisson")
_SOURCE = Record(
    *("Q rate_bps", "Q seed", "Q start_ns", "Q stop_ns"),
    *("I queue", "I arrivals", "I burst", "4x"),
    *(f"I {what}{n}" for n in range(_SIZES) for what in ("bytes", "weight")),
)
_MASK = 2**64 - 1
_LN2 = 2977044472
"""ln 2 x 2**32."""


class Source(Frozen, frozen=True, kw_only=True):
    """Packets of modelled background traffic."""

    id: str = ""
    """Of the scenario's background."""
    slice: str = ""
    queue: int = 0
    """0 where the port has no queues."""
    rate_bps: int
    """Of the packets' own bytes, without what the wire adds."""
    sizes: tuple[tuple[int, int], ...] = ((FULL_FRAME_BYTES, 1),)
    """(bytes, weight), at most four; weights at most 10,000."""
    arrivals: Literal["periodic", "poisson"] = "poisson"
    burst: int = 1
    """Packets that arrive together."""
    seed: int = 0
    start_ns: int = 0
    """From the start of traffic; in a kernel CLOCK_MONOTONIC, or when it is set if later."""
    stop_ns: int = 0
    """No arrival from here on; 0: never."""


class Background(Stage, frozen=True, kw_only=True):
    """What arrives besides packets."""

    ATTRIBUTE: ClassVar[int] = 1
    sources: tuple[Source, ...]

    def encode(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(_encode, self.sources))

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Background:
        return cls(sources=tuple(map(_decode, _SOURCE.each(data))))

    def stored(self) -> Background:
        named = (msgspec.structs.replace(one, id="", slice="") for one in self.sources)
        return Background(sources=tuple(named))

    @property
    def timed(self) -> bool:
        return True

    def silent(self) -> None:
        return None

    def begun(self, start_ns: int) -> Background:
        return Background(
            sources=tuple(
                msgspec.structs.replace(
                    one,
                    start_ns=start_ns + one.start_ns,
                    stop_ns=one.stop_ns and start_ns + one.stop_ns,
                )
                for one in self.sources
            )
        )


def _encode(source: Source) -> bytes:
    if not 1 <= len(source.sizes) <= _SIZES:
        raise EmulationError(
            f"background has {len(source.sizes)} packet sizes", expected=f"1 to {_SIZES}"
        )
    sizes = dict.fromkeys(_SOURCE.names[-2 * _SIZES :], 0)
    for n, (size, weight) in enumerate(source.sizes):
        sizes |= {f"bytes{n}": size, f"weight{n}": weight}
    return _SOURCE.pack(source, arrivals=_ARRIVALS.index(source.arrivals), **sizes)


def _decode(found: dict[str, int]) -> Source:
    pairs = ((found.pop(f"bytes{n}"), found.pop(f"weight{n}")) for n in range(_SIZES))
    sizes = tuple((size, weight) for size, weight in pairs if weight)
    arrivals = _ARRIVALS[found.pop("arrivals")]
    return Source(
        sizes=sizes,
        arrivals=arrivals,
        rate_bps=found["rate_bps"],
        seed=found["seed"],
        start_ns=found["start_ns"],
        stop_ns=found["stop_ns"],
        queue=found["queue"],
        burst=found["burst"],
    )


# Event model


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
