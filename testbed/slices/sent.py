"""What is sent on a path, as a token bucket."""

from __future__ import annotations

from testbed.scenario.model import Frozen


class Traffic(Frozen, frozen=True, kw_only=True):
    """The packets of a demand: in any t seconds at most burst + rate x t (a token bucket).

    Bytes are Ethernet frames without preamble and check sequence, as ports count them;
    a label is not in them.
    """

    rate_bps: int
    """Sustained; the mean, where no token bucket holds the packets."""
    burst_bytes: int | None
    """None: no token bucket holds them; 0: nothing is sent."""
    burst_packets: int = 1
    """The packets of such a burst."""
    largest_bytes: int
    smallest_bytes: int
    """Of the packets whose delay is told: the last of each message."""
    message_packets: int = 1
    """Sent back to back; all but the last are of the largest size."""
