"""Token buckets and rate-latency servers (Le Boudec and Thiran, Network Calculus).

Bits, bit/s and whole nanoseconds, rounded so that a server is never too good.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

S = 1_000_000_000


def up(numerator: int, denominator: int) -> int:
    """The quotient, rounded up."""
    return -(-numerator // denominator)


class Bucket(NamedTuple):
    """A token bucket: at most bits + bps x t in any t seconds."""

    bits: int
    bps: int

    def late(self, ns: int) -> Bucket:
        """The same packets, each up to so much later than the others."""
        return Bucket(self.bits + up(self.bps * ns, S), self.bps)


Curve = tuple[Bucket, ...]
"""The least of some token buckets; empty: anything may come."""
NOTHING: Curve = (Bucket(0, 0),)


class Server(NamedTuple):
    """At least bps x (t - latency) in any t seconds of backlog."""

    bps: int
    latency_ns: int

    def wait_ns(self, curve: Curve, told_bits: int) -> int | None:
        """The longest wait of a packet of the curve's traffic for its transmission."""
        ahead = most_bits(curve, self.bps)
        if ahead is None:
            return None
        return self.latency_ns + up(max(0, ahead - told_bits) * S, self.bps)

    def backlog_bits(self, curve: Curve) -> int | None:
        """The most that waits or is in transmission (theorem 1.4.1)."""
        fit = [b.late(self.latency_ns).bits for b in curve if b.bps <= self.bps]
        return min(fit, default=None)


def most_bits(curve: Curve, bps: int) -> int | None:
    """How far the curve is ever above bps x t; None: without end.

    A faster bucket with a smaller burst holds until it meets a slower one.
    """
    found = []
    for slow in curve:
        if slow.bps > bps:
            continue
        found.append(slow.bits)
        for fast in curve:
            if fast.bps > bps and fast.bits < slow.bits:
                less = (bps - slow.bps) * (slow.bits - fast.bits) // (fast.bps - slow.bps)
                found.append(slow.bits - less)
    return min(found, default=None)


def together(buckets: Iterable[Bucket]) -> Bucket:
    """One bucket for the traffic of all."""
    bits = bps = 0
    for bucket in buckets:
        bits, bps = bits + bucket.bits, bps + bucket.bps
    return Bucket(bits, bps)


def total(curves: Iterable[Curve]) -> Curve:
    """The sum of curves: every bucket that is the least somewhere.

    Each curve goes from its smallest burst to its smallest rate; a sum of any of its
    buckets bounds it, so the order of the steps needs no exact arithmetic.
    """
    bits = bps = 0
    steps: list[tuple[float, int, int]] = []
    for curve in curves:
        if not curve:
            return ()
        now = min(curve)
        bits, bps = bits + now.bits, bps + now.bps
        while slower := [bucket for bucket in curve if bucket.bps < now.bps]:
            at, then = min(((b.bits - now.bits) / (now.bps - b.bps), b) for b in slower)
            steps.append((at, then.bits - now.bits, then.bps - now.bps))
            now = then
    found = [Bucket(bits, bps)]
    for _, more, less in sorted(steps):
        found.append(Bucket(found[-1].bits + more, found[-1].bps + less))
    return tuple(found)
