"""What a slice asks of the network, what it got, or why not and what it could have instead."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import msgspec

from testbed.errors import PlanError
from testbed.slices.policy import Demand, Route
from testbed.slices.promises import Entry, Link
from testbed.units import least_ns, most_bps

Diversity = Literal["none", "link", "node"]


@dataclass(frozen=True)
class Order:
    """What one slice asks of the network."""

    id: str
    demands: tuple[Demand, ...]
    rates_bps: tuple[int, ...]
    """Kept for each demand on every link of its paths."""
    together: bool = False
    """What is kept on a link is the largest of the rates, not their sum."""
    maximum_bps: int | None = None
    """Its queues are served no faster; None: as fast as their ports."""
    priority: int = 80
    """1 is served first, 127 last."""
    diversity: Diversity = "none"
    """What the backup of a demand may not share with its path."""


@dataclass(frozen=True)
class Placed:
    """An order and its routes, demand by demand."""

    order: Order
    routes: tuple[Route, ...]

    def keeps(self) -> dict[Link, int]:
        """What it keeps on each link."""
        kept: dict[Link, int] = defaultdict(int)
        for route, rate in zip(self.routes, self.order.rates_bps, strict=False):
            for link in {*pairwise(route.nodes), *pairwise(route.backup)}:
                kept[link] = max(kept[link], rate) if self.order.together else kept[link] + rate
        return kept

    def entry(self) -> Entry:
        """The order as promises count it."""
        paths = tuple(
            (demand, one.nodes) for demand, one in zip(self.order.demands, self.routes, strict=True)
        )
        order = self.order
        return Entry(order.id, order.priority, self.keeps(), order.maximum_bps, paths)


@dataclass(frozen=True)
class Offer:
    """What would be admitted instead: the order, but for this."""

    rate_bps: int | None = None
    """For every demand that asks for more."""
    delay_ns: int | None = None
    """For every demand that asks for less."""
    diversity: Diversity | None = None

    def of(self, order: Order) -> Order:
        """The order with the offer taken."""
        if self.rate_bps is not None:
            most = self.rate_bps
            order = replace(order, rates_bps=tuple(min(rate, most) for rate in order.rates_bps))
        if self.delay_ns is not None:
            order = with_delays(order, self.delay_ns)
        if self.diversity is not None:
            order = replace(order, diversity=self.diversity)
        return order

    def __str__(self) -> str:
        if self.rate_bps is not None:
            return f"{most_bps(self.rate_bps)} or less"
        if self.delay_ns is not None:
            return f"a delay of {least_ns(self.delay_ns)} or more"
        return f"diversity {self.diversity!r}"


@dataclass(frozen=True)
class Refused:
    """Why an order cannot be met."""

    order: str
    demand: str
    what: str
    """What binds, and by how much."""
    where: str
    offers: tuple[Offer, ...] = ()
    """Each would be admitted, and is the nearest of its kind."""
    instead: str = ""
    """With what another slice would have to be promised, it would fit."""

    def error(self) -> PlanError:
        """The refusal as users see it."""
        offered = "order " + ", or ".join(map(str, self.offers)) if self.offers else ""
        return PlanError(
            f"slice {self.order} cannot be met: {self.what}",
            where=", ".join(filter(None, (self.demand, self.where))),
            expected="an order that fits beside those before it",
            remedy=", or ".join(filter(None, (offered, self.instead))),
        )


def with_delays(order: Order, least_ns: int | None) -> Order:
    """The order with no demand's delay below this; None: with none promised."""

    def relaxed(demand: Demand) -> Demand:
        if demand.delay_ns is None:
            return demand
        delay = None if least_ns is None else max(demand.delay_ns, least_ns)
        return msgspec.structs.replace(demand, delay_ns=delay)

    return replace(order, demands=tuple(map(relaxed, order.demands)))
