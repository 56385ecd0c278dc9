"""describe(topo): the planner's Network of any mininet.topo.Topo.

Nodes and links of a MetroTopo carry their description with them. Those of a stock
topology are read from Mininet's own options: `bw` (Mbit/s), `delay` (text with tc's
units, a bare number is us), `loss` (percent) and `max_queue_size`, common or per
direction (`params1`, `params2`); their devices forward in no time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

import networkx as nx
from mininet.topo import Topo

from testbed.errors import InputError
from testbed.links.kinds import AnyLink
from testbed.links.link import Link, Way
from testbed.links.stated import Stated
from testbed.topology import limits
from testbed.topology.model import Network, Node

_TC_TIME = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(?:(s|ms|us|ns)(?:ecs?)?)?")
_TC_UNIT_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, None: 1e3}
_NOT_CARRIED = ("jitter", "enable_ecn", "enable_red")


def describe(topo: Topo, name: str) -> Network:
    """The network of a topology, checked.

    Raises InputError: no hosts, a host with several links or linked to a host, two links
    between the same nodes, parts that are not connected (named), a link option out of range
    or not supported, an interface name over 15 characters.
    """
    nodes = tuple(_node(topo, node) for node in topo.nodes(sort=False))
    links = tuple(_link(info) for _, _, info in topo.links(withInfo=True))
    network = Network(name=name, nodes=nodes, links=links)
    _check(network, f"topology {name}")
    return network


def _node(topo: Topo, name: str) -> Node:
    info = topo.nodeInfo(name)
    limits.name(name, f"node {name}")
    known = info.get("metro")
    if isinstance(known, Node):
        return known
    role: Literal["host", "switch"] = "switch" if topo.isSwitch(name) else "host"
    return Node(name=name, role=role, kind=role)


def _link(info: Mapping[str, Any]) -> AnyLink:
    known = info.get("metro")
    if isinstance(known, Link):
        return cast("AnyLink", known)
    a, b = info["node1"], info["node2"]
    # Link.__init__ of Mininet: what is common overrides what is one direction's
    (ab_ns, ab), (ba_ns, ba) = (
        _stock({**(info.get(p) or {}), **info}, f"link {a} - {b}") for p in ("params1", "params2")
    )
    return Stated(a=a, b=b, ab=ab, ba=ba, ab_ns=ab_ns, ba_ns=ba_ns)


def _stock(options: Mapping[str, Any], where: str) -> tuple[int, Way]:
    """Delay ns, and what else a direction has."""
    for option in _NOT_CARRIED:
        if options.get(option):
            raise InputError(
                f"link option {option} = {options[option]!r} is not supported",
                where=where,
                expected="bw, delay, loss, max_queue_size",
            )
    bw, size = options.get("bw"), options.get("max_queue_size")
    most = limits.STOCK_MAX_RATE_BPS / 1e6
    delay_ns = limits.delay(_tc_time_ns(options.get("delay") or 0, where), where)
    way = Way(
        rate_bps=None
        if bw is None
        else limits.rate(round(limits.number(bw, "bw in Mbit/s", where, high=most) * 1e6), where),
        buffer_packets=1000 if size is None else limits.buffer(size, where),
        loss=limits.loss(options.get("loss") or 0, where),
    )
    return delay_ns, way


def _tc_time_ns(text: object, where: str) -> int:
    match = _TC_TIME.fullmatch(str(text).strip())
    try:
        value = float(match[1]) * _TC_UNIT_NS[match[2]] if match else -1.0
    except ValueError:
        value = -1.0
    if value < 0:
        raise InputError(
            f"delay = {text!r}", where=where, expected="a time >= 0 as tc has it, such as '5ms'"
        )
    return round(value)


def _check(network: Network, where: str) -> None:
    roles = {node.name: node.role for node in network.nodes}
    if "host" not in roles.values():
        raise InputError("the network has no hosts", where=where, expected="at least one host")
    graph = nx.Graph()
    graph.add_nodes_from(roles)
    for link in network.links:
        at = f"{where}, link {link.a} - {link.b}"
        if link.a == link.b or graph.has_edge(link.a, link.b):
            raise InputError(
                "a node is linked to itself" if link.a == link.b else "the nodes are linked twice",
                where=at,
                expected="one link between two different nodes",
            )
        if roles[link.a] == roles[link.b] == "host":
            raise InputError("two hosts are linked", where=at, expected="a switch between them")
        graph.add_edge(link.a, link.b)
    for node, role in roles.items():
        links = graph.degree(node)
        limits.interface(node, links if role == "switch" else 0)
        if role == "host" and links > 1:
            raise InputError(
                f"host {node} has {links} links",
                where=where,
                expected="one link for each host",
                remedy=f"put a switch of kind vswitch before {node}",
            )
    parts = sorted((sorted(part) for part in nx.connected_components(graph)), key=len)
    if len(parts) > 1:
        raise InputError(
            f"the network is in {len(parts)} parts that are not connected",
            where=where,
            expected="a path between any two nodes",
            remedy="; ".join(
                f"link {', '.join(part[:6])}{' ...' if len(part) > 6 else ''}"
                for part in parts[:-1]
            )
            + " to the rest",
        )
