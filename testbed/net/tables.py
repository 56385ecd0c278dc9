"""What controllers put on switches: OpenFlow 1.3 flow entries and groups, as data."""

from __future__ import annotations

from typing import Literal

from testbed.scenario.model import Frozen

DEFAULT_TABLE_PRIORITY = 10
"""Priority of the best-effort rules between all hosts."""
SLICE_PRIORITY = 100
"""Priority of the rules that put a session on its slice's path, and of label rules."""
ORDER_PRIORITY = 200
"""Of the rules that put packets on a slice that was ordered at run time, and more for those that
say more of packets (rank() of matches.py). They come before a plan's own, which are of sessions
of best effort where both match."""

Key = tuple[str, int, int, frozenset[tuple[str, int | str]]]


class Match(Frozen, frozen=True, kw_only=True):
    """The packets of a path, as its ingress switch sees them. None: any."""

    ipv4_src: str
    ipv4_dst: str
    ip_proto: int | None = None
    """6 or 17."""
    src_port: int | None = None
    dst_port: int | None = None
    dscp: int | None = None


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
    switch_back: tuple[Rule, ...]
    """The path's own, which take their place again."""


def key(rule: Rule) -> Key:
    """What a rule is replaced by: one of the same table, priority and match (clause 6.4)."""
    return (rule.switch, rule.table, rule.priority, frozenset(rule.match.items()))
