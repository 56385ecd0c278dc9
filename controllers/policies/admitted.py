"""All slices admitted together, or the run refused with what binds and what would fit."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from testbed.errors import PlanError
from testbed.scenario.model import Slice
from testbed.slices.admission import admit, orders_of
from testbed.slices.ledger import Ledger, route
from testbed.slices.paths import least_cost_path
from testbed.slices.policy import BEST_EFFORT, Demand, Policy, Route


class Admitted(Policy):
    """Fewest links on which every slice's rate and worst-case delay can be kept.

    The plan's own delay bounds, which know of all else that is on the way, are held against
    the promises too.
    """

    keeps_delays = True

    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        """Of one demand alone."""
        return route(Ledger(graph).sized(demand), demand, "none", None).nodes

    def routes(self, graph: nx.DiGraph, demands: Sequence[Demand]) -> list[Route]:
        """Raises PlanError for a slice that cannot be met; it names the nearest that can."""
        rest = {
            d.id: least_cost_path(graph, d.src, d.dst) for d in demands if d.slice.id == BEST_EFFORT
        }
        outcome = admit(
            graph,
            orders_of([d for d in demands if d.id not in rest]),
            beside=[(d, rest[d.id]) for d in demands if d.id in rest],
        )
        if outcome.refused:
            raise self._refusal([refused.error() for refused in outcome.refused])
        found = {
            demand.id: way
            for placed in outcome.placed.values()
            for demand, way in zip(placed.order.demands, placed.routes, strict=True)
        }
        return [found[d.id] if d.id in found else Route(nodes=rest[d.id]) for d in demands]

    def _refusal(self, errors: Sequence[PlanError]) -> PlanError:
        if len(errors) > 1:
            errors[0].where += f"; {len(errors) - 1} more cannot be met beside the others"
        return errors[0]

    def queue_of(self, slice_: Slice) -> str:
        return slice_.id
