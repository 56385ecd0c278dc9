"""What every kind of load says of itself: whoever plans, sends or judges a load asks that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of load between two hosts."""

    protocol: Literal["udp", "tcp"]
    """TCP is sent by iperf3, UDP by testbed.traffic.constant."""
    timed: bool = False
    """Each packet leaves at its own moment, where the kernel keeps packets until theirs."""
    tick_ns: int = 0
    """It sends no more often: several packets at a time, if its rate asks for that."""
    debt_ns: int = 0
    """What it still sends of a time in which it was held up, at once."""
    options: tuple[str, ...] = ()
    """More words for iperf3's client."""

    @property
    def elastic(self) -> bool:
        """It sends what there is room for and is answered: nothing is known of its packets, and
        it offers no link more than that carries (RFC 1633 clause 3.1)."""
        return self.protocol == "tcp"
