"""How long packets that wait on their way may still take."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.frames import ETHERNET_OVERHEAD_BYTES, LABELLED_FRAME_BYTES
from testbed.port.pipeline import Port

FRAME_BITS = 8 * (LABELLED_FRAME_BYTES + ETHERNET_OVERHEAD_BYTES)


def passage_ns(ports: Iterable[Port]) -> int:
    """Until what is on its way through these ports has passed, full buffers in front of it."""
    return sum(
        port.delay_ns + (port.buffer_packets * FRAME_BITS * 10**9 // (port.rate_bps or 10**12))
        for port in ports
    )
