"""Which of many orders are admitted: all weighed together, or first come first served.

    outcome = admit(graph, orders)              or method="one by one"
    outcome.placed, outcome.refused, outcome.notes

Together, OR-Tools' CP-SAT chooses among the best routes of every demand, so that as many
orders as can be are admitted, rather those that came first, over as few links as can be:
rates and queues are its constraints. Delays with queueing are not linear, so they are
checked by network calculus afterwards, and a set of orders that breaks a promise is
forbidden until none does. What then still fits is added one by one. It is the same on every
machine: one worker, a fixed seed, and a limit in the solver's own units of work.

One by one takes time in proportion to the orders. Beyond FEW of them, a delay is held
against the worst case of its order alone as it comes, and against that beside all others
when all are in: then those whose delay does not hold leave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import networkx as nx

from testbed.errors import PlanError, unknown
from testbed.slices.joint import Picked, Take, solve
from testbed.slices.ledger import ALONE, Ledger, route
from testbed.slices.order import Order, Placed, Refused
from testbed.slices.paths import least_cost_paths
from testbed.slices.policy import Demand, Route
from testbed.slices.promises import Passing

FEW = 100
"""Orders that are weighed together, or checked against all others as they come."""
CHOICES = 4
"""Routes of a demand that are weighed."""
WORK = 10.0
"""Of the solver, in its own deterministic time: about seconds. Orders whose promises are
still broken by then leave as they do one by one."""
OFFERS = 20
"""Refusals for which the nearest offers are looked for."""

Method = Literal["together", "one by one"]


@dataclass(frozen=True)
class Outcome:
    """What became of the orders."""

    placed: dict[str, Placed]
    refused: tuple[Refused, ...]
    method: Method
    proved: bool
    """No more orders could have been admitted (of the routes weighed)."""
    notes: tuple[str, ...] = ()


def admit(
    graph: nx.DiGraph,
    orders: Sequence[Order],
    *,
    method: Method = "together",
    running: Iterable[Placed] = (),
    beside: Sequence[Passing] | None = None,
) -> Outcome:
    """Decide about orders beside those that are `running`, which keep their routes.

    `beside` is best effort and the paths it takes; None: any of it, without end.

    Raises PlanError or InputError for orders that cannot be: ids twice, no such node, rates
    below zero.
    """
    ledger = Ledger(graph, beside)
    for placed in running:
        ledger.add(placed)
    _check(graph, [*(placed.order for placed in ledger.placed.values()), *orders])
    notes: list[str] = []
    proved = False
    if method == "together" and len(orders) > FEW:
        method = "one by one"
        notes.append(f"{len(orders):,} orders are too many to weigh together: one by one")
    if method == "together":
        alone = ledger.copy()
        chosen, proved = _together(ledger, orders)
        for placed in chosen:
            ledger.add(placed)
        left = [order for order in orders if order.id not in ledger.placed]
        refused = _one_by_one(ledger, left, calculus=True)
        proved = proved and len(refused) == len(left)
        if not proved:  # the order in which they came may do better than what was weighed
            others = _one_by_one(alone, orders, calculus=True)
            if len(others) < len(refused):
                ledger, refused = alone, others
    else:
        refused = _one_by_one(ledger, orders, calculus=len(orders) <= FEW)
    asked = {order.id for order in orders}
    return Outcome(
        placed={id_: placed for id_, placed in ledger.placed.items() if id_ in asked},
        refused=tuple(_offered(ledger, orders, refused)),
        method=method,
        proved=proved or not refused,
        notes=tuple(notes),
    )


def orders_of(demands: Sequence[Demand]) -> list[Order]:
    """An order for each slice, first served first: what it guarantees is kept once on every
    link it passes."""
    by_slice: dict[str, list[Demand]] = defaultdict(list)
    for demand in demands:
        by_slice[demand.slice.id].append(demand)
    return [
        Order(
            id=id_,
            demands=tuple(mine),
            rates_bps=(mine[0].slice.guaranteed_bps,) * len(mine),
            together=True,
            maximum_bps=mine[0].slice.maximum_bps,
            priority=mine[0].slice.priority,
            diversity=mine[0].slice.diversity,
        )
        for id_, mine in sorted(by_slice.items(), key=lambda one: one[1][0].slice.priority)
    ]


def _check(graph: nx.DiGraph, orders: Iterable[Order]) -> None:
    known: set[str] = set()
    asked: set[str] = set()
    for order in orders:
        if order.id in known:
            raise PlanError(f"order {order.id!r} is there twice")
        known.add(order.id)
        for demand in order.demands:
            if demand.id in asked:
                raise PlanError(f"demand {demand.id!r} is there twice", where=f"order {order.id}")
            asked.add(demand.id)
            for node in (demand.src, demand.dst):
                if node not in graph:
                    raise unknown("node", node, graph, where=demand.id)
            if demand.src == demand.dst:
                raise PlanError(f"leads from {demand.src} to itself", where=demand.id)
        if len(order.rates_bps) != len(order.demands) or min(order.rates_bps, default=0) < 0:
            raise PlanError(
                f"rates of {order.rates_bps} bit/s",
                where=f"order {order.id}",
                expected=f"{len(order.demands)} rates of 0 or more, one for each demand",
            )


# First come first served


def _one_by_one(ledger: Ledger, orders: Sequence[Order], *, calculus: bool) -> list[Refused]:
    refused: dict[str, Refused] = {}
    for order in orders:
        result = ledger.place(order, calculus=calculus)
        if isinstance(result, Refused):
            refused[order.id] = result
    if not calculus:
        entered = [order for order in orders if order.id in ledger.placed]
        for order in _leaving(ledger, entered):
            ledger.remove(order.id)
            what = "its delay cannot be promised beside all others"
            refused[order.id] = Refused(order.id, "", what, "worst case by network calculus")
    return [refused[order.id] for order in orders if order.id in refused]


def _leaving(ledger: Ledger, orders: Sequence[Order]) -> list[Order]:
    """Those of the orders whose promises do not hold beside the others. Without them all
    others wait less, so that theirs hold."""
    if not ledger.promising():
        return []
    broken = {demand.id for demand in ledger.broken(ledger.promises())}
    return [order for order in orders if broken & {demand.id for demand in order.demands}]


def _offered(
    ledger: Ledger, orders: Sequence[Order], refused: Iterable[Refused]
) -> Iterator[Refused]:
    """Refusals with what would be admitted beside all that were."""
    known = {order.id: order for order in orders}
    for number, one in enumerate(refused):
        offers = ledger.offers(known[one.order]) if number < OFFERS else ()
        yield replace(one, offers=tuple(offers))


# All together


def _together(ledger: Ledger, orders: Sequence[Order]) -> tuple[list[Placed], bool]:
    """The most orders that fit, by the fewest links; whether that is proved."""
    choices = {
        order.id: [choices_of(ledger, demand, order) for demand in order.demands]
        for order in orders
    }
    some = [order for order in orders if all(choices[order.id])]
    if not some:
        return [], not orders
    forbidden: list[list[Take]] = []
    work = WORK
    while True:
        picked, proved, worked = solve(ledger, some, choices, forbidden, work)
        work -= worked
        trial = ledger.copy()
        for order, numbers in picked:
            trial.add(_placed(order, choices[order.id], numbers))
        broken: list[Demand] = []
        if trial.promising():
            broken = trial.broken(trial.promises())
        if broken and work > 0 and picked:
            forbidden += [_company(ledger, trial, picked, demand) for demand in broken]
            continue
        gone = {order.id for order in _leaving(trial, [order for order, _ in picked])}
        chosen = [trial.placed[order.id] for order, _ in picked if order.id not in gone]
        return chosen, proved and not gone


def choices_of(ledger: Ledger, demand: Demand, order: Order) -> list[Route]:
    """The routes that are weighed for a demand: alone, each is within its delay."""
    graph = ledger.sized(demand)
    if order.diversity != "none":
        found = []
        for weight in (None, ALONE):
            try:
                found.append(route(graph, demand, order.diversity, weight))
            except PlanError:
                break
        return list(dict.fromkeys(found))
    paths = islice(least_cost_paths(graph, demand.src, demand.dst, ALONE), CHOICES)
    some = [Route(nodes=nodes) for nodes in paths]
    if demand.delay_ns is None:
        return some
    rate = order.rates_bps[order.demands.index(demand)]
    only = replace(order, demands=(demand,), rates_bps=(rate,))
    return [one for one in some if not ledger.late(Placed(only, (one,)), demand)]


def _placed(order: Order, choices: Sequence[Sequence[Route]], numbers: Sequence[int]) -> Placed:
    routes = [some[number] for some, number in zip(choices, numbers, strict=True)]
    return Placed(order, tuple(routes))


def _company(ledger: Ledger, trial: Ledger, picked: Picked, demand: Demand) -> list[Take]:
    """Routes that together break a promise: the demand's order and whoever it meets, if they
    do without the rest, or else all."""
    owner = next(p for p in trial.placed.values() if demand in p.order.demands)
    links = set(owner.keeps())
    met = [pick for pick in picked if links & trial.placed[pick[0].id].keeps().keys()]
    few = ledger.copy()
    for order, _ in met:
        few.add(trial.placed[order.id])
    enough = demand in few.broken(few.promises())
    return [
        (order.id, place, number)
        for order, numbers in (met if enough else picked)
        for place, number in enumerate(numbers)
    ]
