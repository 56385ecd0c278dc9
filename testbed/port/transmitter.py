"""The transmitter: one packet at a time, bits over rate, never stopped once begun.

Transmission takes (bytes + overhead) x 8 / rate, exactly; fractions of nanoseconds are kept
from one packet to the next. Outside, instants are whole nanoseconds, never early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from testbed.port.curves import S, up
from testbed.port.stage import Events, Stage
from testbed.port.wire import Record

if TYPE_CHECKING:
    from testbed.port.pipeline import Pipeline

_TRANSMITTER = Record("Q rate_bps", "i overhead_bytes", "4x")
ROUNDING_NS = 1
"""A port delivers at the whole nanosecond that follows."""


class Transmitter(Stage, frozen=True, kw_only=True):
    """What sends packets."""

    ATTRIBUTE: ClassVar[int] = 5
    STOCK: ClassVar[bool] = True
    rate_bps: int | None
    """None: infinitely fast."""
    overhead_bytes: int = 0
    """What each packet takes on the wire beyond its Ethernet frame without FCS."""

    def wire_bits(self, size: int) -> int:
        """Bits on the wire of a frame of `size` bytes without FCS."""
        return 8 * max(0, size + self.overhead_bytes)

    def sent_ns(self, size: int) -> int:
        """How long a frame of `size` bytes is sent, to the next whole nanosecond."""
        return up(self.wire_bits(size) * S, self.rate_bps) if self.rate_bps else 0

    def encode(self, ids: Sequence[int]) -> bytes:
        return _TRANSMITTER.pack(self, rate_bps=self.rate_bps or 0)

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Transmitter:
        found = _TRANSMITTER.unpack(data)
        return cls(rate_bps=found["rate_bps"] or None, overhead_bytes=found["overhead_bytes"])

    def wrong(self, port: Pipeline) -> Iterator[tuple[str, str]]:
        if self.rate_bps is not None and self.rate_bps < 8:
            yield f"rate {self.rate_bps} bit/s cannot be shaped", "at least 8 bit/s"

    def events(self) -> Sending:
        return Sending(self)


class Sending(Events):
    """When the transmitter is free."""

    def __init__(self, transmitter: Transmitter) -> None:
        self._rate, self._wire_bits = transmitter.rate_bps, transmitter.wire_bits
        self.free = Fraction(0)
        """When it has sent its last bit."""

    def idle(self, now_ns: int) -> bool:
        """Whether it has sent all; then it is free from this nanosecond on."""
        if self.free > now_ns:
            return False
        self.free = Fraction(now_ns)
        return True

    def lasts(self, size: int) -> Fraction:
        """Nanoseconds that a packet takes."""
        rate = self._rate
        return Fraction(self._wire_bits(size) * S, rate) if rate else Fraction(0)

    def end(self, size: int, start_ns: int) -> Fraction:
        """When a packet is sent; one that begins as another ends does so between nanoseconds."""
        return (self.free if start_ns == ceil(self.free) else start_ns) + self.lasts(size)

    def send(self, size: int, start_ns: int) -> int:
        """Sends a packet, and says at which whole nanosecond it has left."""
        self.free = self.end(size, start_ns)
        return ceil(self.free)
