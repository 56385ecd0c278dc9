"""The scenario: everything an experiment asks, frozen and JSON-able.

Times are int nanoseconds (`_ns`), rates int bit/s (`_bps`), sizes int bytes
(`_bytes`). Times of traffic and events count from the start of traffic.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1

Param = str | int | float | bool
"""What a parameter of a topology or an experiment can be."""


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all data that crosses a stage: immutable, typed, strict JSON."""


class TopologyRef(Frozen, frozen=True, kw_only=True):
    """A topology by name, and the parameters of its build()."""

    name: str
    params: dict[str, Param] = msgspec.field(default_factory=dict)


class Slice(Frozen, frozen=True, kw_only=True):
    """A network slice: its S-NSSAI (TS 23.003 clause 28.4) and what it is promised."""

    id: str
    sst: int
    """Slice/Service Type, 1 to 255 (TS 23.501 table 5.15.2.2-1)."""
    sd: str = "FFFFFF"
    """Slice Differentiator, 6 hex digits; FFFFFF is none."""
    priority: int = 80
    """Scheduling priority, 1 (first) to 127 (last), as 5QI priority levels."""
    guaranteed_bps: int = 0
    """Rate kept for the slice on every link of its paths."""
    maximum_bps: int | None = None


class Flow(Frozen, frozen=True, kw_only=True):
    """Load between two hosts.

    `udp` and `tcp` are iperf3; `flood` sends constant-rate UDP that the sink does
    not read.
    """

    id: str
    src: str
    dst: str
    slice: str
    kind: Literal["udp", "tcp", "flood"] = "udp"
    rate_bps: int
    packet_bytes: int = 1448
    """UDP payload."""
    dscp: int = 0
    start_ns: int = 0
    duration_ns: int


class Background(Frozen, frozen=True, kw_only=True):
    """Modelled load between two hosts: packets that are only counted in the ports of
    its path, where they wait, fill buffers and delay real packets."""

    id: str
    src: str
    dst: str
    slice: str
    rate_bps: int
    """Of the packets' own bytes."""
    sizes: tuple[tuple[int, int], ...] = ((1518, 1),)
    """(bytes, weight) of one to four sizes. Bytes are what a port counts: an Ethernet
    frame without preamble and check sequence, labels included."""
    arrivals: Literal["periodic", "poisson"] = "poisson"
    burst: int = 1
    """Packets that arrive together."""
    start_ns: int = 0
    duration_ns: int


class Probe(Frozen, frozen=True, kw_only=True):
    """An application class measured between a terminal and the compute that serves it.

    Size, interval, DSCP, direction and deadline are the class's; what is given
    here overrides it.
    """

    id: str
    app: str
    """Name of the application class."""
    terminal: str
    server: str
    slice: str
    start_ns: int = 0
    duration_ns: int
    interval_ns: int | None = None
    size_bytes: int | None = None
    deadline_ns: int | None = None


class LinkEvent(Frozen, frozen=True, kw_only=True):
    """A fibre is cut or mended at a moment."""

    at_ns: int
    action: Literal["cut", "mend"]
    a: str
    b: str


class Capture(Frozen, frozen=True, kw_only=True):
    """A packet capture at a node's port."""

    node: str
    peer: str
    """The port is the one towards this neighbour."""


class Scenario(Frozen, frozen=True, kw_only=True):
    """One run's question."""

    schema: int = SCHEMA
    experiment: str
    question: str
    params: dict[str, Param]
    seed: int
    policy: str
    topology: TopologyRef
    slices: tuple[Slice, ...]
    flows: tuple[Flow, ...] = ()
    backgrounds: tuple[Background, ...] = ()
    probes: tuple[Probe, ...] = ()
    events: tuple[LinkEvent, ...] = ()
    captures: tuple[Capture, ...] = ()
    warmup_ns: int = 1_000_000_000
    """Packets meant to be sent before this are kept but not judged."""
