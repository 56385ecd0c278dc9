"""Kinds of load."""

from __future__ import annotations

from testbed.plan.pacing import period_ns
from testbed.plan.traffic import steady
from testbed.traffic.kinds import KINDS
from testbed.traffic.kinds.flood import FLOOD_DEBT_NS, FLOOD_TICK_NS
from tests.plan.networks import flow


def test_a_file_is_a_kind() -> None:
    assert {"udp", "flood", "tcp"} <= set(KINDS)
    assert "kind" not in KINDS


def test_what_kinds_send() -> None:
    """1,000 bytes at 80 Mbit/s: a packet each 100 us; a flood owes up to 20 ms of them."""
    of = {kind: flow(kind=kind, rate_bps=80_000_000, packet_bytes=1000) for kind in KINDS}
    assert [period_ns(of[kind]) for kind in ("udp", "flood", "tcp")] == [
        100_000,
        FLOOD_TICK_NS,
        None,
    ]
    owed = FLOOD_DEBT_NS // 100_000
    assert [steady(of[kind]).burst_packets for kind in ("udp", "flood")] == [1, 1 + owed]
    assert steady(of["tcp"]).burst_bytes is None
