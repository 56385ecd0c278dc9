"""Asks the policy for all demands' routes, and numbers what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import networkx as nx

from testbed.errors import PlanError
from testbed.net.paths import Path
from testbed.plan.protection import Protector
from testbed.scenario.model import Slice
from testbed.slices.policy import BEST_EFFORT, Demand, Policy, Route

FIRST_LABEL = 16
"""Labels 0 to 15 are reserved (RFC 3032 clause 2.1)."""


class Router:
    """Hands out paths with a cookie and labels of their own, in the order asked."""

    def __init__(
        self,
        graph: nx.DiGraph,
        policy: Policy,
        slices: Iterable[Slice],
        demands: Sequence[Demand],
    ) -> None:
        """`graph` is Network.graph(), which is frozen for the policy.

        Raises PlanError if what the policy answers is not a path.
        """
        self.paths: list[Path] = []
        self.queue_names = queue_names(policy, slices)
        self._queue = {
            member: number
            for number, (_, members) in enumerate(self.queue_names, start=1)
            for member in members
        }
        self._policy = policy
        self._labels = count(FIRST_LABEL)
        routes = policy.routes(nx.freeze(graph), demands)
        self._protector = Protector(graph)
        self._found: dict[str, tuple[Demand, Route]] = {}
        for demand, route in zip(demands, routes, strict=True):
            for nodes in (route.nodes, route.backup) if route.backup else (route.nodes,):
                self._checked(graph, demand, nodes)
            self._found[demand.id] = demand, self._protector.paired(demand, route)

    def path(self, id_: str) -> Path:
        """The path of the demand with this id, and its backups.

        Raises PlanError if its slice orders protection that the network cannot give.
        """
        demand, route = self._found[id_]
        label = next(self._labels) if len(route.nodes) > 3 else None

        def find(graph: nx.DiGraph) -> Sequence[str]:
            return self._checked(graph, demand, self._policy.path(graph, demand))

        path = Path(
            id=id_,
            cookie=len(self.paths) + 1,
            slice=demand.slice.id,
            src=demand.src,
            dst=demand.dst,
            nodes=route.nodes,
            label=label,
            queue=self._queue.get(demand.slice.id, 0),
            policy=self._policy.name,
            backup=route.backup,
            protection=demand.slice.protection,
            backups=self._protector.backups(demand, route, find, self._labels),
        )
        self.paths.append(path)
        return path

    def _checked(self, graph: nx.DiGraph, demand: Demand, answer: Sequence[str]) -> tuple[str, ...]:
        """What the policy answered, if it is a path. Raises PlanError."""
        nodes = tuple(answer)
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
