"""The choice of routes by which the most orders fit, as an integer programme for CP-SAT.

take[order, demand, route]   the demand goes by this of its routes
enter[order]                 the order is admitted: each of its demands takes one
pass[order, link]            some demand of the order takes the link

rates kept on a link are at most what it has left; so are the queues of its port
sets of routes that break a promised delay are not taken together
the most orders, of as many rather those that came first, and then the fewest links
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import mul
from typing import TYPE_CHECKING

from testbed.port.queues import MAX_QUEUES
from testbed.slices.ledger import Ledger
from testbed.slices.order import Order
from testbed.slices.policy import Route
from testbed.slices.promises import Link

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

LEAST_WORK = 0.2
"""That a call counts for: it has to be built, and its outcome checked."""

Choices = Mapping[str, Sequence[Sequence[Route]]]
"""Order -> the routes that may be taken, demand by demand."""
Take = tuple[str, int, int]
"""Order, demand and route by number."""
Picked = list[tuple[Order, list[int]]]
"""Orders with the number of each demand's route."""


def solve(
    ledger: Ledger,
    orders: Sequence[Order],
    choices: Choices,
    forbidden: Sequence[Sequence[Take]],
    work: float,
) -> tuple[Picked, bool, float]:
    """The orders that enter, whether no more can, and the work it took.

    Args:
        forbidden: routes that must not all be taken.
        work: the limit, in the solver's deterministic time.
    """
    from ortools.sat.python import cp_model  # noqa: PLC0415 - half a second, for those who ask

    model = cp_model.CpModel()
    take = {
        (order.id, place, number): model.new_bool_var("")
        for order in orders
        for place, some in enumerate(choices[order.id])
        for number in range(len(some))
    }
    enter = {order.id: model.new_bool_var("") for order in orders}
    for order in orders:
        for place, some in enumerate(choices[order.id]):
            ways = [take[order.id, place, number] for number in range(len(some))]
            model.add(sum(ways) == enter[order.id])
    _room(model, ledger, orders, choices, take)
    for group in forbidden:
        model.add_bool_or([take[key].negated() for key in group])
    used = [
        len(one.nodes + one.backup) * take[order.id, place, number]
        for order in orders
        for place, some in enumerate(choices[order.id])
        for number, one in enumerate(some)
    ]
    most = sum(
        max(len(one.nodes + one.backup) for one in some) for o in orders for some in choices[o.id]
    )
    count = len(orders)
    worth = [count * count - number for number in range(count)]  # any n, more than n - 1 others
    entered = sum(map(mul, worth, enter.values()))
    model.maximize((most + 1) * entered - sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return [], False, work
    picked = [
        (
            order,
            [
                next(n for n in range(len(some)) if solver.value(take[order.id, place, n]))
                for place, some in enumerate(choices[order.id])
            ],
        )
        for order in orders
        if solver.value(enter[order.id])
    ]
    took = max(LEAST_WORK, solver.response_proto.deterministic_time)
    return picked, status == cp_model.OPTIMAL, took


def _room(
    model: cp_model.CpModel,
    ledger: Ledger,
    orders: Sequence[Order],
    choices: Choices,
    take: Mapping[Take, cp_model.IntVar],
) -> None:
    """Rates and queues of every link."""
    kept: dict[Link, list[cp_model.LinearExprT]] = defaultdict(list)
    queues: dict[Link, list[cp_model.IntVar]] = defaultdict(list)
    for order in orders:
        over: dict[Link, list[tuple[cp_model.IntVar, int]]] = defaultdict(list)
        for place, some in enumerate(choices[order.id]):
            for number, one in enumerate(some):
                for link in {*pairwise(one.nodes), *pairwise(one.backup)} & ledger.room.keys():
                    over[link].append((take[order.id, place, number], order.rates_bps[place]))
        for link, users in over.items():
            passes = model.new_bool_var("")
            for user, _ in users:
                model.add_implication(user, passes)
            queues[link].append(passes)
            if order.together:
                kept[link].append(max(rate for _, rate in users) * passes)
            else:
                kept[link] += [rate * user for user, rate in users]
    for link, rates in kept.items():
        model.add(sum(rates) <= ledger.room[link])
    for link, every in queues.items():
        model.add(sum(every) <= MAX_QUEUES - 1 - ledger.queues[link])
