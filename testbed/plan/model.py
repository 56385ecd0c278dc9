"""The plan: everything a lab carries out, decided beforehand, JSON in and out.

Delays are one-way int nanoseconds unless the name says rtt.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from testbed.port.pipeline import Port
from testbed.scenario.model import Capture, Event, Frozen, Protection, Recovery, Slice

SCHEMA = 2

DEFAULT_TABLE_PRIORITY = 10
"""Priority of the best-effort rules between all hosts."""
SLICE_PRIORITY = 100
"""Priority of the rules that put a session on its slice's path, and of label rules."""
ORDER_PRIORITY = 200
"""Of the rules that put packets on a slice that was ordered at run time; one more for those
that match a DSCP. They come before a plan's own, which are of sessions of best effort where
both match."""


FLOOD_DEBT_NS = 20_000_000
"""What a flood that was held up still sends, so that no stall becomes a burst."""
FLOOD_TICK_NS = 1_000_000
"""A flood sends no more often: several packets at a time, if its rate asks for that."""


class Host(Frozen, frozen=True, kw_only=True):
    name: str
    kind: str
    """ue, compute, or host."""
    site: str
    ip: str
    prefix: int
    mac: str


class Switch(Frozen, frozen=True, kw_only=True):
    name: str
    kind: str
    """oxc, roadm, otn, router, switch, gnb, ..."""
    site: str
    dpid: int


class Rule(Frozen, frozen=True, kw_only=True):
    """One OpenFlow 1.3 flow entry.

    `match` has OXM names (in_port, eth_type, ipv4_src, ip_proto, udp_dst,
    mpls_label ...) with int or str values. `actions` is a sequence of one-key
    objects, in order: {"push_mpls": 34887}, {"set_mpls_label": 17},
    {"set_mpls_tc": 5}, {"pop_mpls": 2048}, {"set_queue": 2}, {"group": 7},
    {"output": 3}. No action drops, unless `goto` sends the packet on to a table.
    """

    switch: str
    priority: int
    match: dict[str, int | str]
    actions: tuple[dict[str, int], ...]
    cookie: int
    """Which path the rule belongs to (Path.cookie), or 0 for best effort."""
    table: int = 0
    goto: int | None = None
    """The table that goes on with the packet after the actions."""


class Bucket(Frozen, frozen=True, kw_only=True):
    """One way a group can treat a packet.

    `actions` are an action set: whatever their order here, a switch takes pop, push,
    set, queue, output in this order (OpenFlow 1.3.5 clause 5.10).
    """

    actions: tuple[dict[str, int], ...]
    watch_port: int | None = None
    """The port whose liveness is the bucket's; None: always live."""


class Group(Frozen, frozen=True, kw_only=True):
    """One OpenFlow 1.3 group of a switch; {"group": id} gives packets to it."""

    switch: str
    id: int
    kind: Literal["all", "indirect", "fast_failover"]
    """All buckets on a copy each; the only bucket; the first live bucket."""
    buckets: tuple[Bucket, ...]


class Repair(Frozen, frozen=True, kw_only=True):
    """How a controller puts one path on one of its backups."""

    cookie: int
    """Of the path."""
    failed: tuple[str, str]
    """The backup's link."""
    prepare: tuple[Rule, ...]
    """The rules of the backup's label: nothing uses them before `switch_over`."""
    switch_over: tuple[Rule, ...]
    """Each takes the place of the path's rule with the same match at its first switch."""


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


class Backup(Frozen, frozen=True, kw_only=True):
    """Another way for the packets of a path, under a label of its own."""

    failed: tuple[str, str] | None
    """The link it goes round; None: it carries a copy of every packet."""
    nodes: tuple[str, ...]
    """From where it leaves the path to the path's last host: from the switch before the
    failed link for fast failover, else from the first host."""
    label: int


class Path(Frozen, frozen=True, kw_only=True):
    """A pinned path of one session, in one direction."""

    id: str
    cookie: int
    slice: str
    src: str
    dst: str
    nodes: tuple[str, ...]
    """Host, switches, host."""
    label: int | None
    """MPLS label between the first and the last switch; None if there is one switch."""
    queue: int
    policy: str
    backup: tuple[str, ...] = ()
    """The policy's other path, which shares no link of the core; empty: none."""
    protection: Protection = "none"
    backups: tuple[Backup, ...] = ()
    """What stands in for the path, as its protection says; links in the path's order."""


class Match(Frozen, frozen=True, kw_only=True):
    """The packets of a path, as its ingress switch sees them. None: any."""

    ipv4_src: str
    ipv4_dst: str
    ip_proto: int | None = None
    """6 or 17."""
    src_port: int | None = None
    dst_port: int | None = None
    dscp: int | None = None


class Carried(Frozen, frozen=True, kw_only=True):
    """One direction of a slice that was ordered at run time."""

    path: Path
    """Its id is the contract's (scenario.Contract), after the slice's."""
    matches: tuple[Match, ...]
    guaranteed_bps: int
    """Kept on every link of the path."""


class Placed(Frozen, frozen=True, kw_only=True):
    """A slice that was ordered at run time, as the network carries it."""

    slice: Slice
    queue_name: str
    """Of the queue its packets wait in; empty: queue 0."""
    queue: int
    carried: tuple[Carried, ...]


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


class Plan(Frozen, frozen=True, kw_only=True):
    """What a lab carries out."""

    schema: int = SCHEMA
    experiment: str
    seed: int
    policy: str
    hosts: tuple[Host, ...]
    switches: tuple[Switch, ...]
    ports: tuple[Port, ...]
    rules: tuple[Rule, ...]
    groups: tuple[Group, ...] = ()
    repairs: tuple[Repair, ...] = ()
    """What a controller does when links fail, for the paths that order it."""
    sessions: tuple[Session, ...] = ()
    loads: tuple[Load, ...] = ()
    backlog_bounds: tuple[BacklogBound, ...] = ()
    events: tuple[Event, ...] = ()
    recovery: Recovery = Recovery(control_delay_ns=0)
    captures: tuple[Capture, ...] = ()
    duration_ns: int = 0
    """From the start of traffic to the last packet sent."""
    positions: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    """Node -> (x, y) for drawing, km or degrees; may be empty."""

    def guarded(self) -> set[frozenset[str]]:
        """The links, by their two nodes, whose failure somebody has to see."""
        towards = {(port.node, port.number): port.peer_node for port in self.ports}
        links = {frozenset(repair.failed) for repair in self.repairs}
        for group in self.groups:
            for bucket in group.buckets:
                if bucket.watch_port is not None:
                    links.add(frozenset((group.switch, towards[group.switch, bucket.watch_port])))
        return links

    def port(self, node: str, peer: str) -> Port:
        """The port of `node` towards `peer`. Raises KeyError."""
        for port in self.ports:
            if port.node == node and port.peer_node == peer:
                return port
        raise KeyError(f"{node} has no port towards {peer}")
