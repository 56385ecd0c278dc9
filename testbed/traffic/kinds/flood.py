"""Packets at a constant rate, those of a millisecond at once, which costs the host less."""

from __future__ import annotations

from testbed.traffic.kinds.kind import Kind

FLOOD_DEBT_NS = 20_000_000
"""What a flood that was held up still sends, so that no stall becomes a burst."""
FLOOD_TICK_NS = 1_000_000
"""A flood sends no more often: several packets at a time, if its rate asks for that."""

KIND = Kind(protocol="udp", tick_ns=FLOOD_TICK_NS, debt_ns=FLOOD_DEBT_NS)
