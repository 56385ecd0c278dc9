"""Asks the policy for all demands' routes, and numbers what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import networkx as nx

from testbed.errors import PlanError
from testbed.plan.model import Path
from testbed.scenario.model import Slice
from testbed.slices.policy import BEST_EFFORT, Demand, Policy, Route

FIRST_LABEL = 16
"""Labels 0 to 15 are reserved (RFC 3032 clause 2.1)."""


class Router:
    """Hands out paths with a cookie and label of their own, in the order asked."""

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
        routes = policy.routes(nx.freeze(graph), demands)
        self._found = {
            demand.id: (demand, _checked(policy, graph, demand, route))
            for demand, route in zip(demands, routes, strict=True)
        }

    def path(self, id_: str) -> Path:
        """The path of the demand with this id."""
        demand, route = self._found[id_]
        cookie = len(self.paths) + 1
        path = Path(
            id=id_,
            cookie=cookie,
            slice=demand.slice.id,
            src=demand.src,
            dst=demand.dst,
            nodes=route.nodes,
            label=FIRST_LABEL + cookie - 1 if len(route.nodes) > 3 else None,
            queue=self._queue.get(demand.slice.id, 0),
            policy=self._policy.name,
            backup=route.backup,
        )
        self.paths.append(path)
        return path


def _checked(policy: Policy, graph: nx.DiGraph, demand: Demand, route: Route) -> Route:
    for nodes in (route.nodes, route.backup) if route.backup else (route.nodes,):
        if (
            nodes[:1] != (demand.src,)
            or nodes[-1:] != (demand.dst,)
            or len(set(nodes)) != len(nodes)
            or not nx.is_path(graph, nodes)
        ):
            raise PlanError(
                f"policy {policy.name} answered {' -> '.join(nodes) or 'nothing'}",
                where=f"{demand.id}, slice {demand.slice.id}",
                expected=f"a path from {demand.src} to {demand.dst} over links, no node twice",
            )
    return route


def queue_names(policy: Policy, slices: Iterable[Slice]) -> list[tuple[str, tuple[str, ...]]]:
    """Queue names and the slices in each, first served first; queue 0 is not among them."""
    members: dict[str, list[Slice]] = {}
    for slice_ in slices:
        name = None if slice_.id == BEST_EFFORT else policy.queue_of(slice_)
        if name is not None:
            members.setdefault(name, []).append(slice_)
    served = sorted(members, key=lambda name: (min(s.priority for s in members[name]), name))
    return [(name, tuple(s.id for s in members[name])) for name in served]
