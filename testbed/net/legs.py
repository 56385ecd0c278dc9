"""The legs of a session: a path each, what its packets take there, and what ends it.

What a direction takes is the sum over its legs and over what ends all but the last of them:
of a round trip the way there, the way back, and what is between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from testbed.net.paths import Path
from testbed.scenario.model import Frozen

RTT = "rtt"
"""The direction of all legs together."""

Direction = str
"""What a delay is of: a leg, by its name, or RTT."""

HOLD_NS = 50_000_000
"""How long a reflector holds a reply where the kernel sends it at its moment.

Whole frames of 10 ms, so that in a radio frame or a gate's cycle a reply meets the same
place as one that leaves at once.
"""


class Budget(Frozen, frozen=True, kw_only=True):
    """Where the one-way delay of one packet goes, without queueing."""

    propagation_ns: int
    device_ns: int
    serialisation_ns: int
    radio_ns: int = 0
    compute_ns: int = 0
    """Of what ends the legs before the last."""

    @property
    def total_ns(self) -> int:
        return sum(getattr(self, name) for name in self.__struct_fields__)


class DelayBound(Frozen, frozen=True, kw_only=True):
    """What no conforming packet takes longer than, by network calculus."""

    latency_ns: int | None
    """One-way, from the sender's queue to the arrival of the last bit; None: no bound."""
    concatenated: bool = False
    """With the burst paid once along the path; else the sum of the ports' bounds."""
    lossless: bool = False
    """Nor finds one a queue full or a policer's bucket empty. Links may lose it still."""
    assumptions: tuple[str, ...]
    """What it rests on, or why there is none."""


class Reflector(Frozen, frozen=True, kw_only=True, tag="reflector", tag_field="kind"):
    """Answers each STAMP packet with one. It stamps both, so that what it takes is known, and
    is no part of a round trip (RFC 8762 clause 4.3)."""

    hold_ns: int = HOLD_NS
    """From a packet's arrival to its answer's leaving, at most: when later legs begin."""

    least_ns: ClassVar[int] = 0
    most_ns: ClassVar[int | None] = 0


class Home(Frozen, frozen=True, kw_only=True, tag="home", tag_field="kind"):
    """The session's sender, where its last leg ends."""

    hold_ns: ClassVar[int] = 0
    least_ns: ClassVar[int] = 0
    most_ns: ClassVar[int | None] = 0


End = Reflector | Home
"""What ends a leg: `hold_ns` until the next begins; `least_ns` and `most_ns` (None: unbounded)
of that are part of a round trip."""


class Leg(Frozen, frozen=True, kw_only=True):
    """One of the ways that a session's packets go, one after the other."""

    name: str
    """Of its columns in the samples: `forward` has forward_ns, lost_forward, ..."""
    called: str
    """What it is to the application: UL, DL, ..."""
    path: Path
    budget: Budget
    """Of a message on it."""
    bound: DelayBound | None = None
    end: End


def budget_over(legs: Sequence[Leg]) -> Budget:
    """Of legs one after the other, with what ends all but the last."""
    parts = {
        name: sum(getattr(leg.budget, name) for leg in legs) for name in Budget.__struct_fields__
    }
    parts["compute_ns"] += sum(leg.end.least_ns for leg in legs[:-1])
    return Budget(**parts)


def bound_over_ns(legs: Sequence[Leg]) -> int | None:
    """What no conforming packet takes longer over legs one after the other, with what ends all
    but the last; None: no bound."""
    parts = [None if leg.bound is None else leg.bound.latency_ns for leg in legs]
    parts += [leg.end.most_ns for leg in legs[:-1]]
    known = [ns for ns in parts if ns is not None]
    return sum(known) if len(known) == len(parts) else None


def assumptions(legs: Iterable[Leg]) -> tuple[str, ...]:
    """What the bound over legs rests on, each once."""
    told = (text for leg in legs if leg.bound is not None for text in leg.bound.assumptions)
    return tuple(dict.fromkeys(told))
