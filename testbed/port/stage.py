"""What every kind of stage of a port says of itself.

A kind that leaves a method alone does nothing there: it drops nothing, delays nothing,
asks for nothing more. The event model, the calculus, the plan, the lab kernel's wire form
and what is read back all ask the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from testbed.scenario.model import Frozen

if TYPE_CHECKING:
    from testbed.port.pipeline import Pipeline


class Arrival(NamedTuple):
    """A packet at the port's entrance; bytes are those of its frame without FCS."""

    time_ns: int
    bytes: int
    queue: int = 0


class Parts(NamedTuple):
    """What a packet takes besides waiting and transmission, by its cause: one-way ns."""

    propagation_ns: int = 0
    device_ns: int = 0
    radio_ns: int = 0


class Events:
    """A stage in the event model. One that has no state is this."""

    def admits(self, arrival: Arrival, wire_bytes: int) -> bool:
        """Whether a packet goes on to the queues that takes so much on the wire; it is dropped
        otherwise."""
        return True

    def fits(self, queue: int, lasts_ns: Fraction) -> bool:
        """Whether a packet of this queue that is sent so long can ever begin."""
        return True

    def begin_ns(self, queue: int, from_ns: int, end: Callable[[int], Fraction]) -> int:
        """The first moment, not before `from_ns`, at which the queue's first packet may
        begin; `end` says when it has been sent, by when it begins."""
        return from_ns

    def arrives_ns(self, sent_ns: int) -> int | None:
        """When the last bit is there that has left at `sent_ns`; None: the packet is lost."""
        return sent_ns


class Stage(Frozen, frozen=True, kw_only=True, tag_field="stage", tag=str.lower):
    """One stage of a port."""

    ATTRIBUTE: ClassVar[int]
    """Of the netlink attribute, and the stage's place among those of the port."""
    STOCK: ClassVar[bool] = False
    """Whether stock Linux disciplines can be made to do it."""

    def encode(self, ids: Sequence[int]) -> bytes:
        """The netlink attribute's value: the structs of the C file of the same name.

        `ids` are the numbers of the port's queues, in order.
        Raises struct.error or EmulationError for what it cannot carry.
        """
        raise NotImplementedError

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Stage:
        """From the attribute's value; `ids` are the numbers of the port's queues."""
        raise NotImplementedError

    def stored(self) -> Stage:
        """What of it a kernel keeps: numbers, not names."""
        return self

    def wrong(self, port: Pipeline) -> Iterator[tuple[str, str]]:
        """What no port can do, and what is expected instead."""
        yield from ()

    @property
    def timed(self) -> bool:
        """Whether anything of it depends on when traffic starts."""
        return False

    def silent(self) -> Stage | None:
        """As it is before traffic starts; None: it is not there."""
        return self

    def begun(self, start_ns: int) -> Stage:
        """As it is when traffic starts at `start_ns` of the lab's clock (CLOCK_MONOTONIC)."""
        return self

    def parts(self) -> Parts:
        """The least delay that it adds, by cause."""
        return Parts()

    def spread_ns(self) -> int:
        """How much later than that a packet may be, waiting aside."""
        return 0

    def may_drop(self, queue: int) -> bool:
        """Whether it may drop a packet that names this queue, however few they are."""
        return False

    def told(self) -> str:
        """In words, for the plan's table; empty where the plan has a table of its own."""
        return ""

    def events(self) -> Events:
        """Its event model, as at the start."""
        return Events()
