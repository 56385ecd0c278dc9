"""When senders with a period begin, and how fast their clocks run: pure, from the seed.

A schedule's first moment lies anywhere in its first period (RFC 3432 clause 4), so that
two periodic senders meet at a phase that nobody chose; one run is one phase, and other
seeds have others. A sender whose clock is slow by p millionths sends its n-th packet
n x p millionths of a period later: the phase of two senders then changes while they run.
"""

from __future__ import annotations

import hashlib

from testbed.errors import InputError
from testbed.scenario.model import Flow, Probe
from testbed.scenario.scenario import Scenario
from testbed.traffic.classes import AppClass
from testbed.traffic.kinds import KINDS
from testbed.units import show_ns

MAX_DRIFT_PPB = 1_000_000
"""Ten times what Ethernet's clocks may differ from their nominal rate (IEEE 802.3)."""
_WHOLE = 1_000_000_000
"""Parts per billion of a whole."""
_SEED_BITS = 48


def derived_seed(seed: int, id_: str) -> int:
    """A seed of its own for each thing, the same on every machine (48 bits)."""
    digest = hashlib.blake2b(f"{seed}:{id_}".encode(), digest_size=_SEED_BITS // 8).digest()
    return int.from_bytes(digest, "big")


def phase_ns(scenario: Scenario, sender: str, asked_ns: int | None, period_ns: int) -> int:
    """From the earliest moment a sender may begin to its first packet: what was asked for, or
    anything within a period."""
    if asked_ns is not None:
        return asked_ns
    return derived_seed(scenario.seed, f"phase of {sender}") * period_ns >> _SEED_BITS


def stretched(span_ns: int, drift_ppb: int) -> int:
    """How long a span lasts by a clock that is slow by so much.

    >>> stretched(1_000_000, 50_000), stretched(1_000_000, -50_000)
    (1000050, 999950)
    """
    return span_ns + span_ns * drift_ppb // _WHOLE


def by_clock(span_ns: int, drift_ppb: int) -> int:
    """The longest span by a clock that is slow by so much which lasts no longer than this.

    >>> by_clock(1_000_050, 50_000), by_clock(999_950, -50_000), by_clock(7, 0)
    (1000000, 1000000, 7)
    """
    return ((span_ns + 1) * _WHOLE - 1) // (_WHOLE + drift_ppb)


def rate_by_clock(rate_bps: int, drift_ppb: int) -> int:
    """What a rate is by a clock that is slow by so much, rounded up."""
    return -(-rate_bps * _WHOLE // (_WHOLE + drift_ppb))


def drift_ppb(scenario: Scenario, sender: Probe | Flow, host: str) -> int:
    """How slow the clock is by which a host sends this: what was asked for of the sender, else
    the host's own, anything up to the scenario's clock drift either way."""
    if sender.drift_ppb is not None:
        return sender.drift_ppb
    most = scenario.clock_drift_ppb
    return (derived_seed(scenario.seed, f"clock of {host}") * (2 * most + 1) >> _SEED_BITS) - most


def fastest_ppb(scenario: Scenario, sender: Probe | Flow) -> int:
    """The least drift that the sender may have under any seed."""
    return -scenario.clock_drift_ppb if sender.drift_ppb is None else sender.drift_ppb


def count(duration_ns: int, phase_ns: int, interval_ns: int, drift_ppb: int) -> int:
    """Moments phase + n stretched intervals, n from 0 on, before the duration is over.

    >>> count(10, 0, 5, 0), count(10, 4, 5, 0), count(11, 0, 5, 0)
    (2, 2, 3)
    """
    return -(-(duration_ns - phase_ns) * _WHOLE // (interval_ns * (_WHOLE + drift_ppb)))


def period_ns(flow: Flow) -> int | None:
    """From one burst of a load to the next; None: TCP has no period."""
    kind = KINDS[flow.kind]
    if kind.elastic:
        return None
    gap_ns = 8 * flow.packet_bytes * _WHOLE // flow.rate_bps
    return max(gap_ns, kind.tick_ns, 1)


def check_probe(probe: Probe, app: AppClass, warmup_ns: int) -> None:
    """Raises InputError for a phase the class does not have, or if none of its packets may be
    due after the warm-up."""
    where = f"probe {probe.id}"
    check_clocks(probe.drift_ppb or 0, where)
    if app.arrivals != "periodic":
        if probe.phase_ns is not None:
            expected = "no phase: it sends by a Poisson process, not at intervals"
            raise InputError(f"class {app.name} has a phase", where=where, expected=expected)
        return
    interval_ns = probe.interval_ns or app.interval_ns
    _check_phase(probe, interval_ns, "interval", where)
    last_ns = probe.duration_ns - interval_ns
    if probe.phase_ns is not None:
        messages = count(probe.duration_ns, probe.phase_ns, interval_ns, 0)
        last_ns = probe.phase_ns + (messages - 1) * interval_ns
    if probe.start_ns + last_ns < warmup_ns:
        raise InputError(
            "its only packet after the warm-up may be due after its end, so none would be judged",
            where=where,
            expected=f"an end {show_ns(interval_ns)}, its interval, or more after the warm-up "
            f"of {show_ns(warmup_ns)}",
        )


def check_load(flow: Flow) -> None:
    """Raises InputError for a phase the load cannot have."""
    where = f"flow {flow.id}"
    check_clocks(flow.drift_ppb or 0, where)
    period = period_ns(flow)
    if period is not None:
        _check_phase(flow, period, "period", where)
    elif flow.phase_ns is not None:
        expected = "no phase: TCP sends when it may, not at intervals"
        raise InputError("a TCP load has a phase", where=where, expected=expected)


def _check_phase(sender: Probe | Flow, period_ns: int, name: str, where: str) -> None:
    if sender.phase_ns is not None and not 0 <= sender.phase_ns < min(
        period_ns, sender.duration_ns
    ):
        raise InputError(
            f"phase is {show_ns(sender.phase_ns)}",
            where=where,
            expected=f"less than its {name} of {show_ns(period_ns)}, and than its duration",
            remedy="start= is the earliest moment; the phase comes on top",
        )


def check_clocks(drift_ppb: int, where: str) -> None:
    """Raises InputError for a drift that no clock in use has."""
    if abs(drift_ppb) > MAX_DRIFT_PPB:
        raise InputError(
            f"drift is {drift_ppb / 1000:g} ppm",
            where=where,
            expected=f"at most {MAX_DRIFT_PPB // 1000} ppm either way",
        )
