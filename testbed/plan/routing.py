"""Asks the policy for each demand's path, and numbers what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from testbed.errors import PlanError
from testbed.plan.model import Path
from testbed.scenario.model import Slice
from testbed.slices.policy import BEST_EFFORT, Demand, Policy

FIRST_LABEL = 16
"""Labels 0 to 15 are reserved (RFC 3032 clause 2.1)."""


class Router:
    """Hands out paths with a cookie and label of their own, in the order asked."""

    def __init__(self, graph: nx.DiGraph, policy: Policy, slices: Mapping[str, Slice]) -> None:
        """`graph` is Network.graph(); `slices` are by id."""
        self.paths: list[Path] = []
        self.queue_names = queue_names(policy, slices.values())
        self._queue = {
            member: number
            for number, (_, members) in enumerate(self.queue_names, start=1)
            for member in members
        }
        self._graph, self._policy, self._slices = graph, policy, slices
        self._core = nx.subgraph(
            graph, [node for node, data in graph.nodes(data=True) if data["role"] == "switch"]
        )

    def path(self, id_: str, slice_: str, src: str, dst: str) -> Path:
        """The policy's path for one direction. Raises PlanError if it is not a path."""
        nodes = self._ask(Demand(id=id_, slice=self._slices[slice_], src=src, dst=dst))
        cookie = len(self.paths) + 1
        path = Path(
            id=id_,
            cookie=cookie,
            slice=slice_,
            src=src,
            dst=dst,
            nodes=nodes,
            label=FIRST_LABEL + cookie - 1 if len(nodes) > 3 else None,
            queue=self._queue.get(slice_, 0),
            policy=self._policy.name,
        )
        self.paths.append(path)
        return path

    def _ask(self, demand: Demand) -> tuple[str, ...]:
        graph = self._core.copy()
        for end in (demand.src, demand.dst):
            graph.add_node(end, **self._graph.nodes[end])
            for peer in self._graph[end]:
                graph.add_edge(end, peer, **self._graph[end][peer])
                graph.add_edge(peer, end, **self._graph[peer][end])
        nodes = tuple(self._policy.path(graph, demand))
        if (
            nodes[:1] != (demand.src,)
            or nodes[-1:] != (demand.dst,)
            or len(set(nodes)) != len(nodes)
            or not nx.is_path(graph, nodes)
        ):
            raise PlanError(
                f"policy {self._policy.name} answered {' -> '.join(nodes) or 'nothing'}",
                where=f"{demand.id}, slice {demand.slice.id}",
                expected=f"a path from {demand.src} to {demand.dst} over links, no node twice",
            )
        return nodes


def queue_names(policy: Policy, slices: Iterable[Slice]) -> list[tuple[str, tuple[str, ...]]]:
    """Queue names and the slices in each, first served first; queue 0 is not among them."""
    members: dict[str, list[Slice]] = {}
    for slice_ in slices:
        name = None if slice_.id == BEST_EFFORT else policy.queue_of(slice_)
        if name is not None:
            members.setdefault(name, []).append(slice_)
    served = sorted(members, key=lambda name: (min(s.priority for s in members[name]), name))
    return [(name, tuple(s.id for s in members[name])) for name in served]
