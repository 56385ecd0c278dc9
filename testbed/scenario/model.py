"""What an experiment asks: slices and their terms, traffic, recovery; frozen and JSON-able.

Times are int nanoseconds (`_ns`), rates int bit/s (`_bps`), sizes int bytes
(`_bytes`). Times of traffic and events count from the start of traffic.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from testbed.frames import LABELLED_FRAME_BYTES
from testbed.traffic.kinds import KindName

Param = str | int | float | bool
"""What a parameter of a topology or an experiment can be."""

Diversity = Literal["none", "link", "node"]
"""What a backup path may not share with the path it protects."""

Isolation = Literal["shared", "dedicated-queue"]
"""dedicated-queue: no other slice's packet in its queues."""

Protection = Literal["none", "reactive", "fast_failover", "frer"]
"""What keeps a slice going when a link fails.

none           nothing
reactive       the controller moves its paths to others (restoration, RFC 4427)
fast_failover  switches send packets round the link (one-to-one backup, RFC 4090)
frer           every packet goes twice, over disjoint paths (IEEE 802.1CB)
"""


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all data that crosses a stage: immutable, typed, strict JSON."""


UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What reading a file of such data raises where it is gone, damaged or of another kind."""


class TopologyRef(Frozen, frozen=True, kw_only=True):
    """A topology by name, and the parameters of its build()."""

    name: str
    params: dict[str, Param] = msgspec.field(default_factory=dict)


class Slo(Frozen, frozen=True, kw_only=True):
    """What one direction from an end to another is promised; None promises nothing.

    Delays are one-way (RFC 7679), variation is between successive packets (RFC 3393),
    percentiles are in percent, loss and availability are ratios from 0 to 1.
    """

    guaranteed_bps: int = 0
    """Rate kept on every link of the path, of what frames take on the wire."""
    maximum_bps: int | None = None
    """Rate that what it holds for never exceeds together."""
    delay_ns: int | None = None
    """No packet takes longer, one-way."""
    delay_percentile: float | None = None
    delay_percentile_ns: int | None = None
    """`delay_percentile` percent of the packets take no longer, one-way."""
    variation_ns: int | None = None
    """Two successive packets' one-way delays never differ by more."""
    variation_percentile: float | None = None
    variation_percentile_ns: int | None = None
    """`variation_percentile` percent of the differences are no larger."""
    loss: float | None = None
    """At most this share of the packets is lost (RFC 7680)."""
    availability: float | None = None
    """At least this share of the time the promise is kept."""
    mtu_bytes: int | None = None
    """Largest layer 2 packet."""


class Match(Frozen, frozen=True, kw_only=True):
    """Packets of an end that belong to a connection group: all that is given must fit.

    Of each kind any listed value fits; nothing given at all matches every packet.
    """

    group: str
    construct: str | None = None
    """One construct of the group; None: whichever leads to the packet's receiver."""
    dscp: tuple[int, ...] = ()
    vlan: tuple[int, ...] = ()
    label: tuple[int, ...] = ()
    """MPLS labels."""
    src: tuple[str, ...] = ()
    """Source prefixes, such as 10.0.1.0/24."""
    dst: tuple[str, ...] = ()
    port: tuple[str, ...] = ()
    """Physical interfaces by name."""
    acl: tuple[str, ...] = ()
    """Access control lists by name (RFC 8519)."""
    role: Literal["any-to-any", "hub", "spoke", "custom", "sender", "receiver"] = "any-to-any"


class Sdp(Frozen, frozen=True, kw_only=True):
    """A service demarcation point: an end of the slice (RFC 9543 clause 5.2)."""

    id: str
    node: str | None = None
    """Host or switch of the topology."""
    addresses: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()
    rate_bps: int | None = None
    """What the end may send at most in the long run (CIR); None: what it is guaranteed."""
    burst_bytes: int | None = None
    """What it may send at once beyond that (CBS); None: one packet."""
    peak_bps: int | None = None
    """Rate above which its packets are dropped (PIR)."""


class Construct(Frozen, frozen=True, kw_only=True):
    """Who sends to whom (RFC 9543 clause 3.2): each sender to each receiver but itself."""

    id: str
    kind: Literal["p2p", "p2mp", "a2a"] = "p2p"
    senders: tuple[str, ...]
    """Ids of SDPs. In a2a, senders and receivers are the same."""
    receivers: tuple[str, ...]
    slo: Slo | None = None
    """Promised here in place of what the slice promises."""


class Group(Frozen, frozen=True, kw_only=True):
    """Constructs that belong together, such as the two directions of a session."""

    id: str
    kind: Literal[
        "point-to-point",
        "point-to-multipoint",
        "multipoint-to-point",
        "multipoint-to-multipoint",
        "any-to-any",
        "hub-spoke",
        "hub-spoke-disjoint",
        "custom",
    ] = "any-to-any"
    constructs: tuple[Construct, ...] = ()


class Contract(Frozen, frozen=True, kw_only=True):
    """One direction of a slice: what may be sent (a token bucket) and what is promised."""

    id: str
    """Group, construct, sender and receiver."""
    src: str
    """Node of the sending SDP."""
    dst: str
    rate_bps: int
    burst_bytes: int
    packet_bytes: int
    """Largest packet."""
    slo: Slo


class Slice(Slo, frozen=True, kw_only=True):
    """A network slice: its S-NSSAI (TS 23.003 clause 28.4), what it is promised, and where.

    The same object whether written in build() or read from an order. Without `groups`
    it promises to whichever sessions and loads name it.
    """

    id: str
    description: str = ""
    sst: int
    """Slice/Service Type, 1 to 255 (TS 23.501 table 5.15.2.2-1)."""
    sd: str = "FFFFFF"
    """Slice Differentiator, 6 hex digits; FFFFFF is none."""
    priority: int = 80
    """Scheduling priority, 1 (first) to 127 (last), as 5QI priority levels."""
    diversity: Diversity = "none"
    protection: Protection = "none"
    isolation: Isolation = "shared"
    sdps: tuple[Sdp, ...] = ()
    groups: tuple[Group, ...] = ()

    def promised(self, src: str, dst: str) -> Slo | None:
        """What packets from a node to another are promised; None if nothing is."""
        if not self.groups:
            return self
        ends = src, dst
        return next((one.slo for one in self.contracts() if (one.src, one.dst) == ends), None)

    def contracts(self) -> tuple[Contract, ...]:
        """Every direction the groups ask for, in the order they are written.

        SDPs without a node, or both on one node, have no contract. An SDP without a burst
        sends one packet at once; without an MTU that packet has DEFAULT_PACKET_BYTES.
        """
        own = Slo(**{name: getattr(self, name) for name in Slo.__struct_fields__})
        ends = {sdp.id: sdp for sdp in self.sdps}
        found: list[Contract] = []
        for group in self.groups:
            for construct in group.constructs:
                slo = construct.slo or own
                packet = slo.mtu_bytes or DEFAULT_PACKET_BYTES
                for sender in construct.senders:
                    for receiver in construct.receivers:
                        a, b = ends[sender], ends[receiver]
                        if a.node is None or b.node is None or a.node == b.node:
                            continue
                        found.append(
                            Contract(
                                id=f"{group.id}/{construct.id}/{sender}>{receiver}",
                                src=a.node,
                                dst=b.node,
                                rate_bps=slo.guaranteed_bps if a.rate_bps is None else a.rate_bps,
                                burst_bytes=max(packet, a.burst_bytes or 0),
                                packet_bytes=packet,
                                slo=slo,
                            )
                        )
        return tuple(found)


DEFAULT_PACKET_BYTES = LABELLED_FRAME_BYTES
"""A full Ethernet frame as a port counts it: label included, no check sequence."""


class Flow(Frozen, frozen=True, kw_only=True):
    """Load between two hosts.

    `udp` and `flood` send packets at a constant rate: `udp` each at its moment (where the
    kernel keeps packets until theirs, as in the virtual lab), `flood` those of a
    millisecond at once, which costs the host less. `tcp` is iperf3.
    """

    id: str
    src: str
    dst: str
    slice: str
    kind: KindName = "udp"
    rate_bps: int
    packet_bytes: int = 1448
    """UDP payload."""
    dscp: int = 0
    start_ns: int = 0
    """The earliest; the phase comes on top."""
    phase_ns: int | None = None
    """None: anything within a period, by the seed."""
    drift_ppb: int | None = None
    """How slow the clock is that paces it; None: the host's."""
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
    sizes: tuple[tuple[int, int], ...] = ((LABELLED_FRAME_BYTES, 1),)
    """(bytes, weight) of one to four sizes. Bytes are what a port counts: an Ethernet
    frame without preamble and check sequence, labels included."""
    arrivals: Literal["periodic", "poisson"] = "poisson"
    burst: int = 1
    """Packets that arrive together."""
    start_ns: int = 0
    """Periodic arrivals have a phase of their own in each port, from the seed."""
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
    """The earliest; the phase comes on top."""
    phase_ns: int | None = None
    """None: anything within an interval, by the seed."""
    drift_ppb: int | None = None
    """How slow the clock is that paces it; None: the sending host's."""
    duration_ns: int
    interval_ns: int | None = None
    size_bytes: int | None = None
    deadline_ns: int | None = None


class Recovery(Frozen, frozen=True, kw_only=True):
    """How fast failures are seen and answered, for the slices that order protection."""

    control_delay_ns: int = 5_000_000
    """One-way, between each switch and the controller."""
    decision_ns: int = 1_000_000
    """From what a controller is told to what it says about it."""
    wait_to_restore_ns: int = 1_000_000_000
    """How long a link has to be up before a controller uses it again (RFC 4427 clause 4.12)."""
    bfd_ns: int | None = None
    """Interval of BFD (RFC 5880) on links between switches, three missed being a failure;
    None: only a carrier that is lost is a failure."""


HEADS = ".probes.pcap"
"""How the names of captures of probes' first bytes end."""


class Capture(Frozen, frozen=True, kw_only=True):
    """A packet capture at a node's port."""

    node: str
    peer: str
    """The port is the one towards this neighbour."""
    probes: bool = False
    """Of what leaves by it only the probes' packets, by their first bytes: when they left."""

    @property
    def file(self) -> str:
        """Its name among a run's captures."""
        return f"{self.node}-{self.peer}{HEADS if self.probes else '.pcap'}"


Scheduler = Literal["fifo", "htb", "strict_priority", "time_aware"]
"""How ports choose the next packet: testbed/slices/queues.py."""
