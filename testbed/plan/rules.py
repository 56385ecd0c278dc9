"""OpenFlow 1.3 entries: what each switch does with which packet.

    first switch   5-tuple from the host's port -> push label, queue, output
    between        label and port -> queue, output
    last switch    label and port -> pop, queue, output
    best effort    destination address -> queue 0, output, along fewest hops

Source and destination on one switch need no label. Whatever matches nothing is dropped.
The traffic class of the label is the class selector of the DSCP, its top three bits
(RFC 2474 clause 4.2.2, RFC 5462).

Protection puts a group where a rule would send to the next switch, numbered by the
path's cookie; each backup has a label of its own, and rules like a path's.

    fast_failover  output, or while that port is down: backup's label, output
    frer           at the first switch, a copy under each label
    reactive       no group: the controller adds a backup's rules, then replaces the
                   first switch's (Repair)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import networkx as nx

from testbed.net.matches import IPV4, MPLS, oxm, rank
from testbed.net.openflow import IN_PORT
from testbed.net.paths import Backup, Carried, Path
from testbed.net.tables import (
    DEFAULT_TABLE_PRIORITY,
    ORDER_PRIORITY,
    SLICE_PRIORITY,
    Bucket,
    Group,
    Repair,
    Rule,
)
from testbed.plan.wiring import Wiring
from testbed.port.pipeline import Port

Action = dict[str, int]


class Tables(NamedTuple):
    """What controllers put on switches."""

    rules: tuple[Rule, ...]
    groups: tuple[Group, ...]
    repairs: tuple[Repair, ...]


def all_tables(graph: nx.DiGraph, wiring: Wiring, paths: Iterable[Carried]) -> Tables:
    """Rules and groups switch by switch in the network's order, highest priority first."""
    rules: list[Rule] = []
    groups: list[Group] = []
    repairs: list[Repair] = []
    for traffic in paths:
        path = traffic.path
        mine = [_group(wiring, path, b) for b in path.backups if path.protection != "reactive"]
        grouped = {group.switch for group in mine}
        groups += mine
        rules += _classify(wiring, traffic, path.nodes, path.label, grouped)
        rules += _forward(wiring, path, path.nodes[1:], path.label, grouped)
        for backup in path.backups:
            way = tuple(_forward(wiring, path, from_switch(path, backup), backup.label))
            if path.protection != "reactive":
                rules += way
                continue
            first = tuple(_classify(wiring, traffic, backup.nodes, backup.label))
            assert backup.failed is not None
            repairs.append(
                Repair(
                    cookie=path.cookie,
                    failed=backup.failed,
                    prepare=way,
                    switch_over=first,
                    switch_back=tuple(_classify(wiring, traffic, path.nodes, path.label)),
                )
            )
    rules += _best_effort(graph, wiring)
    order = {switch.name: switch.dpid for switch in wiring.switches}
    return Tables(
        tuple(sorted(rules, key=lambda rule: (order[rule.switch], -rule.priority))),
        tuple(sorted(groups, key=lambda group: order[group.switch])),
        tuple(repairs),
    )


def order_rules(wiring: Wiring, carried: Carried) -> tuple[Rule, ...]:
    """The rules of one direction of an ordered slice, those of its first switch last."""
    path = carried.path
    rules = list(_forward(wiring, path, path.nodes[1:], path.label))
    for match in carried.matches:
        traffic = Carried(path=path, matches=(match,), dscp=match.dscp)
        priority = ORDER_PRIORITY + rank(match)
        rules += [
            msgspec.structs.replace(rule, priority=priority)
            for rule in _classify(wiring, traffic, path.nodes, path.label)
        ]
    return tuple(rules)


def from_switch(path: Path, backup: Backup) -> tuple[str, ...]:
    """The backup's nodes from the switch on that gives packets its label."""
    return backup.nodes[1:] if backup.nodes[0] == path.src else backup.nodes


def _classify(
    wiring: Wiring,
    traffic: Carried,
    nodes: Sequence[str],
    label: int | None,
    grouped: Collection[str] = (),
) -> Iterator[Rule]:
    """At the first switch of `nodes`: which packets, and the label they get."""
    path, (host, switch, peer) = traffic.path, nodes[:3]
    push: tuple[Action, ...] = ()
    if label is not None:
        push = (
            {"push_mpls": MPLS},
            {"set_mpls_label": label},
            {"set_mpls_tc": (traffic.dscp or 0) >> 3},
        )
    for match in traffic.matches:
        yield Rule(
            switch=switch,
            priority=SLICE_PRIORITY,
            match={"in_port": wiring.port(switch, host).number, **oxm(match)},
            actions=push + _send(wiring, path, switch, peer, grouped),
            cookie=path.cookie,
        )


def _forward(
    wiring: Wiring,
    path: Path,
    nodes: Sequence[str],
    label: int | None,
    grouped: Collection[str] = (),
) -> Iterator[Rule]:
    """Rules of the switches after `nodes[0]`, which sends packets under the label."""
    if label is None:
        return
    for before, switch, peer in zip(nodes, nodes[1:], nodes[2:], strict=False):
        pop: tuple[Action, ...] = ({"pop_mpls": IPV4},) if peer == path.dst else ()
        in_port = wiring.port(switch, before).number
        yield Rule(
            switch=switch,
            priority=SLICE_PRIORITY,
            match={"in_port": in_port, "eth_type": MPLS, "mpls_label": label},
            actions=pop + _send(wiring, path, switch, peer, grouped),
            cookie=path.cookie,
        )


def _send(
    wiring: Wiring, path: Path, switch: str, peer: str, grouped: Collection[str]
) -> tuple[Action, ...]:
    """Towards the next node: by the path's group if it has one at the switch."""
    if switch in grouped:
        return ({"group": path.cookie},)
    return _out(wiring.port(switch, peer), path.queue)


def _group(wiring: Wiring, path: Path, backup: Backup) -> Group:
    """Where the backup leaves the path: one of them, or a copy by each."""
    switch, first = from_switch(path, backup)[:2]
    at = path.nodes.index(switch)
    port = wiring.port(switch, path.nodes[at + 1])
    other = wiring.port(switch, first)
    there = ({"set_mpls_label": backup.label}, *_out(other, path.queue))
    if first == path.nodes[at - 1]:
        # a packet leaves by the port it came from only by that name (clause 5.12)
        there = (*there[:-1], {"output": IN_PORT})
    watched = path.protection == "fast_failover"
    return Group(
        switch=switch,
        id=path.cookie,
        kind="fast_failover" if watched else "all",
        buckets=(
            Bucket(actions=_out(port, path.queue), watch_port=port.number if watched else None),
            Bucket(actions=there, watch_port=other.number if watched else None),
        ),
    )


def _best_effort(graph: nx.DiGraph, wiring: Wiring) -> Iterator[Rule]:
    """One tree of fewest hops to each host; of equal next hops the first by name.

    Hosts of one switch share its tree, so the search runs once a switch.
    """
    core = graph.subgraph([switch.name for switch in wiring.switches]).copy()
    next_hops: dict[str, dict[str, str]] = {}
    for host in wiring.hosts:
        (home,) = graph[host.name]
        if home not in next_hops:
            next_hops[home] = _tree(core, home)
        match: dict[str, int | str] = {"eth_type": IPV4, "ipv4_dst": host.ip}
        for switch, peer in {**next_hops[home], home: host.name}.items():
            yield Rule(
                switch=switch,
                priority=DEFAULT_TABLE_PRIORITY,
                match=match,
                actions=_out(wiring.port(switch, peer), 0),
                cookie=0,
            )


def _tree(core: nx.DiGraph, home: str) -> dict[str, str]:
    """Switch -> its next hop towards `home`."""
    hops = nx.single_source_shortest_path_length(core, home)
    return {
        switch: min(peer for peer in core[switch] if hops[peer] == hops[switch] - 1)
        for switch in core
        if switch != home
    }


def _out(port: Port, queue: int) -> tuple[Action, ...]:
    """Output by `port`; a port may have one FIFO and nothing to select."""
    output = {"output": port.number}
    return ({"set_queue": queue}, output) if port.selects else (output,)
