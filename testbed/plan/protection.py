"""The backups of a path, as the protection of its slice asks.

fast_failover  From the switch before each link, a detour to the path's end: one-to-one
               backup (RFC 4090 clause 3.1). Groups act on the state of their own ports,
               so the switch that sees the failure must know the way round it; a backup
               from end to end would need failures to be seen from the first switch. A
               detour avoids the next switch too where it can, so that most failures of a
               node are gone round as well, and may begin by the way back.
reactive       For each link, the policy's other path if that avoids it, else its path
               in the network without the link.
frer           The policy's other path, else the pair of least delay together, disjoint by
               node or else by link.

A link that nothing goes round, such as that to a host, has no backup. An order for
protection that no link of the path can have is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import networkx as nx

from testbed.errors import PlanError
from testbed.net.paths import Backup
from testbed.slices.costs import largest_bytes, sending
from testbed.slices.disjoint import Pair, disjoint_pair
from testbed.slices.paths import least_cost_path
from testbed.slices.policy import Demand, Route

Find = Callable[[nx.DiGraph], Sequence[str]]
"""The policy's path for a demand in another network."""


class Protector:
    """Finds the backups of many paths in one network."""

    def __init__(self, graph: nx.DiGraph) -> None:
        self._graph = graph
        self._bridges = {frozenset(link) for link in nx.bridges(graph.to_undirected())}
        self._without: dict[tuple[str, ...], nx.DiGraph] = {}

    def paired(self, demand: Demand, route: Route) -> Route:
        """The route with the two ways that frer sends copies by. Raises PlanError."""
        if demand.slice.protection != "frer" or route.backup or len(route.nodes) < 4:
            return route
        pair = self._pair(demand)
        return Route(nodes=pair.primary, backup=pair.backup)

    def _pair(self, demand: Demand) -> Pair:
        ends = (self._graph, demand.src, demand.dst)
        weight = sending(self._graph, largest_bytes(demand))
        if demand.slice.diversity != "link":
            try:
                return disjoint_pair(*ends, avoid="node", weight=weight)
            except PlanError:
                if demand.slice.diversity == "node":
                    raise
        return disjoint_pair(*ends, avoid="link", weight=weight)

    def backups(
        self, demand: Demand, route: Route, find: Find, labels: Iterator[int]
    ) -> tuple[Backup, ...]:
        """What stands in for the route's path; labels are taken as needed.

        Raises PlanError where there is no other way.
        """
        protection = demand.slice.protection
        inner = list(pairwise(route.nodes[1:-1]))
        if protection == "none" or not inner:
            return ()
        if protection == "frer":
            return (Backup(failed=None, nodes=route.backup, label=next(labels)),)
        found = []
        for link in inner:
            if frozenset(link) in self._bridges:
                continue
            if protection == "fast_failover":
                way = self._detour(demand, link, route.nodes)
            elif route.backup and not {link, link[::-1]} & set(pairwise(route.backup)):
                way = route.backup
            else:
                way = tuple(find(self._less(*link)))
            found.append(Backup(failed=link, nodes=way, label=next(labels)))
        if not found:
            raise PlanError(
                f"nothing goes round {' -> '.join(route.nodes)}",
                where=f"{demand.id}, slice {demand.slice.id}",
                expected=f"a second way, which protection {protection!r} asks for",
                remedy="add links beside it, or order protection 'none'",
            )
        return tuple(found)

    def _detour(
        self, demand: Demand, link: tuple[str, str], nodes: Sequence[str]
    ) -> tuple[str, ...]:
        """From the link's first switch to the last host, round its second if possible."""
        here, peer = link
        weight = sending(self._graph, largest_bytes(demand))
        if peer != nodes[-2]:
            try:
                return least_cost_path(self._less(peer), here, nodes[-1], weight)
            except PlanError:
                pass
        return least_cost_path(self._less(*link), here, nodes[-1], weight)

    def _less(self, *gone: str) -> nx.DiGraph:
        """The network without a node, or without the link between two."""
        key = tuple(sorted(gone))
        if key not in self._without:
            graph = self._graph.copy()
            if len(gone) == 1:
                graph.remove_node(*gone)
            else:
                graph.remove_edges_from([gone, gone[::-1]])
            self._without[key] = nx.freeze(graph)
        return self._without[key]
