"""The channel: what a packet takes after its last bit has left, and where it may be lost.

The plan's delay is propagation and the node's forwarding delay together. Forwarding comes
before the queue in a real switch and is with the fibre here. As it is the same for all
packets of a port, it moves all arrivals at the queue alike, and so changes neither their
order, nor who is dropped, nor when they are at the other end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from testbed.errors import EmulationError
from testbed.port.background import Random
from testbed.port.stage import Events, Parts, Stage
from testbed.port.wire import Record

if TYPE_CHECKING:
    from testbed.port.pipeline import Pipeline

_CHANNEL = Record("Q delay_ns", "Q seed", "I loss", "4x")
_CERTAIN = 2**32


class Channel(Stage, frozen=True, kw_only=True):
    """Constant delay, and random loss."""

    ATTRIBUTE: ClassVar[int] = 6
    STOCK: ClassVar[bool] = True
    propagation_ns: int = 0
    """One-way, as all here."""
    device_ns: int = 0
    radio_ns: int = 0
    km: float = 0.0
    loss: float = 0.0
    """Probability of loss per packet, 0 to 1; good to one part in 2**32."""
    seed: int = 0
    """Of the losses, in labs that can repeat them."""

    @property
    def delay_ns(self) -> int:
        """All of it together."""
        return self.propagation_ns + self.device_ns + self.radio_ns

    def encode(self, ids: Sequence[int]) -> bytes:
        if not 0 <= self.loss <= 1:
            raise EmulationError(f"loss {self.loss} is no probability", expected="0 to 1")
        return _CHANNEL.pack(self, loss=_chance(self.loss))

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Channel:
        found = _CHANNEL.unpack(data)
        loss, delay_ns = found["loss"] / _CERTAIN, found["delay_ns"]
        return cls(propagation_ns=delay_ns, loss=loss, seed=found["seed"])

    def stored(self) -> Channel:
        loss = _chance(self.loss) / _CERTAIN
        return Channel(propagation_ns=self.delay_ns, loss=loss, seed=self.seed)

    def wrong(self, port: Pipeline) -> Iterator[tuple[str, str]]:
        if not 0 <= self.delay_ns < 2**63:
            yield f"delay {self.delay_ns} ns cannot be shaped", "0 to 2**63 ns"
        if not 0 <= self.loss <= 1:
            yield f"loss {self.loss} is no probability", "0 to 1"

    def parts(self) -> Parts:
        return Parts(self.propagation_ns, self.device_ns, self.radio_ns)

    def may_drop(self, queue: int) -> bool:
        return self.loss > 0

    def events(self) -> Events:
        return _Travel(self)


def _chance(loss: float) -> int:
    return min(round(loss * _CERTAIN), _CERTAIN - 1)


class _Travel(Events):
    def __init__(self, channel: Channel) -> None:
        self._delay_ns, self._chance = channel.delay_ns, _chance(channel.loss)
        self._random = Random(channel.seed)

    def arrives_ns(self, sent_ns: int) -> int | None:
        if self._chance and self._random.next() >> 32 < self._chance:
            return None
        return sent_ns + self._delay_ns
