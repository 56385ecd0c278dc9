"""When packets are meant to be sent: pure, from the session's own seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from testbed.plan.model import Session
from testbed.plan.pacing import stretched


def moments(session: Session, start_ns: int = 0) -> Iterator[int]:
    """When a session's messages are due, traffic beginning at `start_ns`."""
    return send_times(
        start_ns + session.start_ns,
        session.interval_ns,
        session.count,
        session.arrivals,
        session.seed,
        session.drift_ppb,
    )


def send_times(
    start_ns: int, interval_ns: int, count: int, arrivals: str, seed: int, drift_ppb: int = 0
) -> Iterator[int]:
    """`count` moments in ns: every interval (RFC 3432), or Poisson with that mean (RFC 2330),
    by a clock that is slow by `drift_ppb`."""
    if arrivals == "periodic":
        for moment_ns in range(0, count * interval_ns, interval_ns):
            yield start_ns + stretched(moment_ns, drift_ppb)
        return
    draw = Random(seed).expovariate
    moment = 0.0  # from the start: the sum's rounding must not depend on the host's uptime
    for _ in range(count):
        moment += draw(1.0) * interval_ns
        yield start_ns + stretched(round(moment), drift_ppb)


def grace_ns(sessions: Sequence[Session]) -> int:
    """How long to wait for the last replies: 1 s, or twice the largest deadline up to 5 s."""
    largest_ns = max((s.deadline_ns or 0 for s in sessions), default=0)
    return max(1_000_000_000, min(2 * largest_ns, 5_000_000_000))
