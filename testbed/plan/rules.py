"""OpenFlow 1.3 entries: what each switch does with which packet.

    first switch   5-tuple from the host's port -> push label, queue, output
    between        label -> queue, output
    last switch    label -> pop, queue, output
    best effort    destination address -> queue 0, output, along fewest hops

Source and destination on one switch need no label. Whatever matches nothing is dropped.
The traffic class of the label is the class selector of the DSCP, its top three bits
(RFC 2474 clause 4.2.2, RFC 5462).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import networkx as nx

from testbed.plan.matches import IPV4, MPLS, load_matches, oxm, session_matches
from testbed.plan.model import (
    DEFAULT_TABLE_PRIORITY,
    SLICE_PRIORITY,
    Load,
    Match,
    Path,
    Port,
    Rule,
    Session,
)
from testbed.plan.wiring import Wiring

Action = dict[str, int]


def all_rules(
    graph: nx.DiGraph, wiring: Wiring, sessions: Iterable[Session], loads: Iterable[Load]
) -> tuple[Rule, ...]:
    """Every rule, switch by switch in the network's order, highest priority first."""
    rules: list[Rule] = []
    for session in sessions:
        rules += _label_rules(wiring, session.forward)
        rules += _label_rules(wiring, session.reverse)
        rules += (_ingress(wiring, p, m, session.dscp) for p, m in session_matches(session))
    for load in loads:
        rules += _label_rules(wiring, load.forward)
        rules += _label_rules(wiring, load.reverse)
        rules += (_ingress(wiring, p, m, load.dscp) for p, m in load_matches(load))
    rules += _best_effort(graph, wiring)
    order = {switch.name: switch.dpid for switch in wiring.switches}
    return tuple(sorted(rules, key=lambda rule: (order[rule.switch], -rule.priority)))


def _ingress(wiring: Wiring, path: Path, match: Match, dscp: int) -> Rule:
    host, switch, peer = path.nodes[:3]
    label: tuple[Action, ...] = ()
    if path.label is not None:
        label = (
            {"push_mpls": MPLS},
            {"set_mpls_label": path.label},
            {"set_mpls_tc": dscp >> 3},
        )
    return Rule(
        switch=switch,
        priority=SLICE_PRIORITY,
        match={"in_port": wiring.port(switch, host).number, **oxm(match)},
        actions=label + _out(wiring.port(switch, peer), path.queue),
        cookie=path.cookie,
    )


def _label_rules(wiring: Wiring, path: Path) -> Iterator[Rule]:
    """Rules of the switches after the first."""
    if path.label is None:
        return
    for before, switch, peer in zip(path.nodes[1:], path.nodes[2:], path.nodes[3:], strict=False):
        pop: tuple[Action, ...] = ({"pop_mpls": IPV4},) if peer == path.dst else ()
        yield Rule(
            switch=switch,
            priority=SLICE_PRIORITY,
            match={
                "in_port": wiring.port(switch, before).number,
                "eth_type": MPLS,
                "mpls_label": path.label,
            },
            actions=pop + _out(wiring.port(switch, peer), path.queue),
            cookie=path.cookie,
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
    """Output by `port`; a port without queues has one FIFO and nothing to select."""
    output = {"output": port.number}
    return ({"set_queue": queue}, output) if port.queues else (output,)
