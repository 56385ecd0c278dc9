"""The plan: everything a lab carries out, decided beforehand, JSON in and out.

Delays are one-way int nanoseconds unless the name says rtt.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from testbed.net.paths import Path
from testbed.net.state import State
from testbed.scenario.events import Event
from testbed.scenario.model import Capture, Frozen

SCHEMA = 3

FLOOD_DEBT_NS = 20_000_000
"""What a flood that was held up still sends, so that no stall becomes a burst."""
FLOOD_TICK_NS = 1_000_000
"""A flood sends no more often: several packets at a time, if its rate asks for that."""


class Budget(Frozen, frozen=True, kw_only=True):
    """Where the one-way delay of one packet goes, without queueing."""

    propagation_ns: int
    device_ns: int
    serialisation_ns: int
    radio_ns: int = 0
    compute_ns: int = 0

    @property
    def total_ns(self) -> int:
        return (
            self.propagation_ns
            + self.device_ns
            + self.serialisation_ns
            + self.radio_ns
            + self.compute_ns
        )


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
    judged: tuple[Literal["forward", "reverse", "rtt"], ...]
    """Which delays the deadline is held against; forward is sender to reflector."""
    directions: dict[str, str] = msgspec.field(default_factory=dict)
    """What forward and reverse are to the application: {"forward": "UL", ...}."""
    reliability: float | None
    """Share of packets within the deadline that the class asks for."""
    survival_ns: int | None = None
    """How long the application lives without a good message (TS 22.104 annex C.3)."""
    forward: Path
    reverse: Path
    forward_budget: Budget
    reverse_budget: Budget
    forward_bound: DelayBound | None = None
    reverse_bound: DelayBound | None = None
    source: str = ""
    """Where the class's numbers come from: its spec clause."""


class Load(Frozen, frozen=True, kw_only=True):
    """One background flow, with its path."""

    id: str
    slice: str
    kind: Literal["udp", "tcp", "flood"]
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
    forward: Path
    reverse: Path


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
    backlog_bounds: tuple[BacklogBound, ...] = ()
    events: tuple[Event, ...] = ()
    """The deltas that are known beforehand, by time."""
    afterwards: tuple[Afterwards, ...] = ()
    """What holds after each of them, as far as that is known beforehand."""
    captures: tuple[Capture, ...] = ()
    duration_ns: int = 0
    """From the start of traffic to the last packet sent."""
    positions: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    """Node -> (x, y) for drawing, km or degrees; may be empty."""
