"""Elimination of copies by sequence number: IEEE 802.1CB clause 7.4.3.4, vector recovery.

It sits where a session's packets are taken up, in the process of the receiving probe, and
reads STAMP's sequence number, or that of a message's leading packet, where a bridge would
read the R-TAG's.
"""

from __future__ import annotations

SEQUENCE_SPACE = 1 << 32
HISTORY = 64
"""frerSeqRcvyHistoryLength: how far copies may be apart, in messages."""
RESET_NS = 100_000_000
"""frerSeqRcvyResetMSec: after so long without a packet any number is taken."""


class Eliminator:
    """Lets the first copy of each packet pass."""

    def __init__(self, history: int = HISTORY, reset_ns: int = RESET_NS) -> None:
        self._history, self._reset_ns = history, reset_ns
        self._latest: int | None = None
        """RecovSeqNum; None: TakeAny."""
        self._seen = 0
        """Bit n: the packet of number latest - n passed (SequenceHistory)."""
        self._passed_ns = 0

    def first(self, number: int, now_ns: int) -> bool:
        """Whether to pass a packet that arrived at `now_ns`; one too far off is not."""
        if self._latest is None or now_ns - self._passed_ns >= self._reset_ns:
            self._latest, self._seen, self._passed_ns = number, 1, now_ns
            return True
        ahead = (number - self._latest) % SEQUENCE_SPACE
        if ahead >= SEQUENCE_SPACE // 2:
            ahead -= SEQUENCE_SPACE
        if abs(ahead) >= self._history:
            return False
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & ((1 << self._history) - 1)
            self._latest = number
        elif self._seen >> -ahead & 1:
            return False
        else:
            self._seen |= 1 << -ahead
        self._passed_ns = now_ns
        return True
