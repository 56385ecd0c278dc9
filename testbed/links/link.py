"""What every kind of link says of itself, for each of its directions.

A direction is known by the node that sends. The stages it gives a port are how it is
planned, bounded, emulated and modelled (testbed/port).
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, Self

from testbed.port.channel import Channel
from testbed.port.kinds import AnyStage
from testbed.port.queues import Queues
from testbed.port.stage import Parts
from testbed.port.transmitter import Transmitter
from testbed.scenario.model import Frozen


class Way(Frozen, frozen=True, kw_only=True):
    """What one direction of any link has."""

    rate_bps: int | None = None
    """None: not shaped."""
    buffer_packets: int = 1000
    loss: float = 0.0
    """Probability of loss per packet, 0 to 1."""


class Delay(NamedTuple):
    """What a packet takes besides waiting and transmission: one-way ns."""

    least_ns: int
    typical_ns: int
    most_ns: int


class Link(Frozen, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """A link between two nodes."""

    a: str
    b: str
    ab: Way = Way()
    ba: Way = Way()

    WORDS: ClassVar[str]
    """What it is called beside a map."""
    LINE: ClassVar[Literal["-", "--", "-.", ":"]] = "-"
    """How it is drawn, as matplotlib names line styles."""
    DEPENDS: ClassVar[Literal["nothing", "time", "packet", "medium"]] = "nothing"
    """What the delay of a packet depends on."""
    OVERHEAD_BYTES: ClassVar[int] = 0
    """What each packet takes on the wire beyond its Ethernet frame without FCS."""

    @property
    def kind(self) -> str:
        """Its name among all kinds."""
        return type(self).__name__.lower()

    @property
    def km(self) -> float:
        """Length of the route."""
        return 0.0

    def way(self, src: str) -> Way:
        """The direction in which `src` sends."""
        return self.ab if src == self.a else self.ba

    def between(self, optical: int) -> Self:
        """As it is where so many of its two ends are optical devices."""
        return self

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        """The least delay, by what it counts as in a budget; with what the sender's device
        takes to forward a packet."""
        raise NotImplementedError

    def delay(self, src: str) -> Delay:
        """Least, typical and largest; the same where it depends on nothing."""
        least_ns = sum(self.parts(src))
        return Delay(least_ns, least_ns, least_ns)

    def medium(self, src: str) -> str:
        """What the direction shares with others that name the same: one sends at a time.
        Empty: nothing."""
        return ""

    def stages(self, src: str, forwarding_ns: int = 0) -> tuple[AnyStage, ...]:
        """Of the port by which `src` sends, by the order of their attributes."""
        way, parts = self.way(src), self.parts(src, forwarding_ns)
        return (
            Queues(buffer_packets=way.buffer_packets),
            Transmitter(rate_bps=way.rate_bps, overhead_bytes=self.OVERHEAD_BYTES),
            Channel(**parts._asdict(), km=self.km, loss=way.loss),
        )
