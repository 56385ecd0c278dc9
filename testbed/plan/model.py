"""The plan: everything a lab carries out, decided beforehand, JSON in and out.

Delays are one-way int nanoseconds unless the name says rtt.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from testbed.net.legs import RTT, Direction, Leg
from testbed.net.paths import Path
from testbed.net.state import State
from testbed.scenario.events import Event
from testbed.scenario.model import Capture, Frozen
from testbed.slices.sent import Traffic
from testbed.traffic.kinds import KindName

SCHEMA = 4


class BacklogBound(Frozen, frozen=True, kw_only=True):
    """What a queue never exceeds, under the assumptions of those that pass it."""

    port: str
    """Interface name."""
    queue: int
    bytes: int


class Session(Frozen, frozen=True, kw_only=True):
    """One STAMP session (RFC 8762), an application class between two hosts.

    A message of the application is `fragments` IP packets sent back to back: all
    but the last go to the discard port, the last is the STAMP packet. The message
    has arrived when all of them have.
    """

    id: str
    app: str
    slice: str
    sender: str
    reflector: str
    sender_ip: str
    reflector_ip: str
    sender_port: int
    reflector_port: int = 862
    dscp: int
    size_bytes: int
    """UDP payload of the STAMP packet, at least 44."""
    fragments: int = 1
    fragment_bytes: int = 0
    """UDP payload of the other fragments."""
    start_ns: int
    """Its phase included."""
    interval_ns: int
    drift_ppb: int = 0
    """The sender's clock is slow by so much: intervals last that much longer."""
    count: int
    arrivals: Literal["periodic", "poisson"] = "periodic"
    seed: int = 0
    warmup_ns: int
    deadline_ns: int | None
    deadline_kind: Literal["one-way", "rtt"] = "one-way"
    judged: tuple[Direction, ...]
    """Which delays the deadline is held against."""
    reliability: float | None
    """Share of packets within the deadline that the class asks for."""
    survival_ns: int | None = None
    """How long the application lives without a good message (TS 22.104 annex C.3)."""
    legs: tuple[Leg, ...]
    """The ways its packets go, one after the other, from the sender on."""
    source: str = ""
    """Where the class's numbers come from: its spec clause."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(leg.path for leg in self.legs)

    def leg(self, name: str) -> Leg:
        """Raises KeyError: it has none of that name."""
        for leg in self.legs:
            if leg.name == name:
                return leg
        raise KeyError(name)

    def over(self, direction: Direction) -> tuple[Leg, ...]:
        """The legs that a direction is of. Raises KeyError."""
        return self.legs if direction == RTT else (self.leg(direction),)

    def before(self, direction: Direction) -> tuple[Leg, ...]:
        """The legs that its packets have gone when a direction begins. Raises KeyError."""
        return self.legs[: self.legs.index(self.over(direction)[0])]

    def called(self, direction: Direction) -> str:
        """What a direction is to the application. Raises KeyError."""
        return RTT if direction == RTT else self.leg(direction).called

    def payloads(self, leg: Leg) -> tuple[int, ...]:
        """UDP payloads of the packets of one message on a leg, the STAMP packet last: only that
        is answered."""
        leading = self.fragments - 1 if leg == self.legs[0] else 0
        return (self.fragment_bytes,) * leading + (self.size_bytes,)


class Load(Frozen, frozen=True, kw_only=True):
    """One background flow, with its path."""

    id: str
    slice: str
    kind: KindName
    src: str
    dst: str
    src_ip: str
    dst_ip: str
    port: int
    """Destination port, unique in the plan."""
    rate_bps: int
    packet_bytes: int
    dscp: int
    start_ns: int
    """Its phase included."""
    duration_ns: int
    drift_ppb: int = 0
    """The sender's clock is slow by so much: times between packets last that much longer."""
    paths: tuple[Path, ...]
    """To its destination, and back."""

    @property
    def path(self) -> Path:
        """To its destination."""
        return self.paths[0]


class Afterwards(Frozen, frozen=True, kw_only=True):
    """What holds after an event, until the next."""

    delays_ns: dict[str, int]
    """Path id -> what no conforming packet takes longer than, one-way, by network calculus.
    Paths that lead nowhere then, or have no bound, are not here."""
    reroutes: tuple[tuple[int, int], ...]
    """Cookies of paths that the controller moves because of it, and the way each takes."""
    settle_ns: int
    """From the last of what follows from the event until packets of before it have passed."""


class Plan(State, frozen=True, kw_only=True):
    """The state that a lab begins with, what will be sent through it, and what is to happen."""

    schema: int = SCHEMA
    experiment: str
    sessions: tuple[Session, ...] = ()
    loads: tuple[Load, ...] = ()
    traffic: dict[str, Traffic] = msgspec.field(default_factory=dict)
    """Path id -> what is sent by it; of others nothing is known."""
    backlog_bounds: tuple[BacklogBound, ...] = ()
    events: tuple[Event, ...] = ()
    """The deltas that are known beforehand, by time."""
    afterwards: tuple[Afterwards, ...] = ()
    """What holds after each of them, as far as that is known beforehand."""
    captures: tuple[Capture, ...] = ()
    sample_ports_ns: int | None = None
    """How often each port's depth and counts are taken down; None: they are not."""
    duration_ns: int = 0
    """From the start of traffic to the last packet sent."""
    positions: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    """Node -> (x, y) for drawing, km or degrees; may be empty."""
