"""A network as the planner sees it: nodes and links."""

from __future__ import annotations

from typing import Literal

import networkx as nx

from testbed.links.kinds import AnyLink
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


class Network(Frozen, frozen=True, kw_only=True):
    """A topology: what the planner routes over."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[AnyLink, ...]

    def graph(self) -> nx.DiGraph:
        """Directed graph; each edge has `delay_ns` (one-way: of the link, and forwarding of
        the sending node), `rate_bps`, `overhead_bytes` on the wire and `km`; each node has
        `role` and `kind`. Hosts never carry transit traffic: a path may only begin and end
        at them.
        """
        graph = nx.DiGraph(name=self.name)
        forwarding = {}
        for node in self.nodes:
            graph.add_node(node.name, role=node.role, kind=node.kind)
            forwarding[node.name] = node.forwarding_ns
        for link in self.links:
            for src, dst in ((link.a, link.b), (link.b, link.a)):
                graph.add_edge(
                    src,
                    dst,
                    delay_ns=sum(link.parts(src, forwarding[src])),
                    rate_bps=link.way(src).rate_bps,
                    overhead_bytes=link.OVERHEAD_BYTES,
                    km=link.km,
                )
        return graph
