"""A network as the planner sees it: nodes, and links with both directions' delays."""

from __future__ import annotations

from typing import Literal

import networkx as nx

from testbed.scenario.model import Frozen


class Node(Frozen, frozen=True, kw_only=True):
    name: str
    role: Literal["host", "switch"]
    kind: str
    """ue, compute, host; oxc, roadm, otn, router, switch, gnb, vswitch, firewall."""
    site: str = ""
    x: float = 0.0
    y: float = 0.0
    """Position for drawing; km on a local plane, or degrees."""
    forwarding_ns: int = 0
    """What a packet spends in this device, charged where it leaves (one-way)."""


class Direction(Frozen, frozen=True, kw_only=True):
    """One direction of a link."""

    propagation_ns: int
    extra_ns: int = 0
    """Fixed delay besides fibre: transponders, amplifiers, radio access."""
    rate_bps: int | None = None
    """None: not shaped."""
    buffer_packets: int = 1000
    loss: float = 0.0
    """Probability of loss per packet, 0 to 1."""


class Link(Frozen, frozen=True, kw_only=True):
    a: str
    b: str
    kind: Literal["fibre", "lan", "radio"] = "fibre"
    km: float = 0.0
    ab: Direction
    ba: Direction


class Network(Frozen, frozen=True, kw_only=True):
    """A topology: what the planner routes over."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def graph(self) -> nx.DiGraph:
        """Directed graph; each edge has `delay_ns` (one-way: propagation + extra +
        forwarding of the sending node), `rate_bps` and `km`; each node has `role`
        and `kind`. Hosts never carry transit traffic: a path may only begin and end
        at them.
        """
        graph = nx.DiGraph(name=self.name)
        forwarding = {}
        for node in self.nodes:
            graph.add_node(node.name, role=node.role, kind=node.kind)
            forwarding[node.name] = node.forwarding_ns
        for link in self.links:
            for u, v, d in ((link.a, link.b, link.ab), (link.b, link.a, link.ba)):
                graph.add_edge(
                    u,
                    v,
                    delay_ns=d.propagation_ns + d.extra_ns + forwarding[u],
                    rate_bps=d.rate_bps,
                    km=link.km,
                )
        return graph
