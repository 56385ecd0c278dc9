"""Admission against every choice there is, offers tried, and ten thousand orders."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product

import msgspec
import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.policies.admitted import Admitted
from testbed.errors import InputError, PlanError
from testbed.plan.traffic import demands
from testbed.scenario.model import Scheduler, Slice
from testbed.slices.admission import OFFERS, Outcome, admit, choices_of, orders_of
from testbed.slices.ledger import Ledger
from testbed.slices.order import Diversity, Offer, Order, Placed
from testbed.slices.policy import MAX_QUEUES, Demand
from testbed.slices.sent import Traffic
from testbed.topology.model import Network, Node
from tests.plan.graphs import connected
from tests.plan.networks import MBIT, MS, app, compiled, flow, link, probe, scenario, triangle
from tests.searching import examples

US = 1000


def network(graph: nx.Graph, rate_bps: int = 10 * MBIT, seed: int = 0) -> nx.DiGraph:
    """A switch with a host for each node; 10 to 90 us between switches."""
    chance = random.Random(seed)
    switches = [Node(name=f"s{n}", role="switch", kind="router") for n in graph]
    hosts = [Node(name=f"h{n}", role="host", kind="host") for n in graph]
    links = [
        link(f"s{a}", f"s{b}", chance.randrange(1, 10) * 10 * US, rate_bps) for a, b in graph.edges
    ]
    links += [link(f"h{n}", f"s{n}", 0, None) for n in graph]
    return Network(name="mesh", nodes=(*switches, *hosts), links=tuple(links)).graph()


def order(
    id_: str,
    *ends: tuple[int, int],
    rate: int = MBIT,
    delay: int | None = None,
    together: bool = False,
    diversity: Diversity = "none",
) -> Order:
    """From each first end's host to the second's, 500 bytes every 10 ms."""
    traffic = Traffic(rate_bps=400_000, burst_bytes=500, largest_bytes=500, smallest_bytes=500)
    asked = tuple(
        Demand(
            id=f"{id_}.{n}",
            slice=Slice(id=id_, sst=1),
            src=f"h{a}",
            dst=f"h{b}",
            delay_ns=delay,
            traffic=traffic,
        )
        for n, (a, b) in enumerate(ends)
    )
    return Order(id_, asked, (rate,) * len(ends), together=together, diversity=diversity)


def sound(graph: nx.DiGraph, placed: Sequence[Placed]) -> bool:
    """Whether rates fit and delays hold, worked out afresh."""
    ledger = Ledger(graph)
    for one in placed:
        ledger.add(one)
    return min(ledger.room.values()) >= 0 and not ledger.broken(ledger.promises())


def most(graph: nx.DiGraph, orders: Sequence[Order]) -> int:
    """How many orders fit together on any of the weighed routes, by trying all."""
    ledger = Ledger(graph)
    ways = {
        one.id: [
            Placed(one, routes)
            for routes in product(*(choices_of(ledger, demand, one) for demand in one.demands))
        ]
        for one in orders
    }
    for count in range(len(orders), 0, -1):
        for some in combinations(orders, count):
            if any(sound(graph, placed) for placed in product(*(ways[one.id] for one in some))):
                return count
    return 0


def check(graph: nx.DiGraph, orders: Sequence[Order], outcome: Outcome) -> None:
    """Nothing is lost, what is placed holds, and offers are true and the nearest."""
    placed = list(outcome.placed.values())
    assert sorted([*outcome.placed, *(one.order for one in outcome.refused)]) == sorted(
        one.id for one in orders
    )
    assert sound(graph, placed)
    for one in placed:
        for demand, route in zip(one.order.demands, one.routes, strict=True):
            for nodes in filter(None, (route.nodes, route.backup)):
                assert nx.is_simple_path(graph, nodes)
                assert (nodes[0], nodes[-1]) == (demand.src, demand.dst)
            first, second = (
                {frozenset(hop) for hop in pairwise(nodes[1:-1])}
                for nodes in (route.nodes, route.backup)
            )
            assert not first & second
    known = {one.id: one for one in orders}
    for refused in outcome.refused:
        assert refused.what
        for offer in refused.offers:
            taken = admit(graph, [offer.of(known[refused.order])], running=placed)
            assert not taken.refused
            assert sound(graph, [*placed, *taken.placed.values()])
            for better in nearer(offer):
                again = admit(
                    graph,
                    [better.of(known[refused.order])],
                    method="one by one",
                    running=placed,
                )
                assert again.refused


def nearer(offer: Offer) -> Iterator[Offer]:
    if offer.rate_bps is not None:
        yield replace(offer, rate_bps=offer.rate_bps + 1)
    if offer.delay_ns is not None:
        yield replace(offer, delay_ns=offer.delay_ns - 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[nx.DiGraph, list[Order]]:
    size = draw(st.integers(2, 5))
    graph = draw(st.sampled_from(connected(size)))
    pair = st.permutations(range(size)).map(lambda nodes: (nodes[0], nodes[1]))
    orders = [
        order(
            f"o{number}",
            *draw(st.lists(pair, min_size=1, max_size=2)),
            rate=draw(st.sampled_from([0, 1, 3, 5, 9, 12])) * MBIT,
            delay=draw(st.sampled_from([None, None, US, 3 * MS, 6 * MS, 12 * MS, 24 * MS])),
            together=draw(st.booleans()),
            diversity=draw(st.sampled_from(["none", "none", "none", "link", "node"])),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    return network(graph, seed=draw(st.integers(0, 9))), orders


@settings(deadline=None, max_examples=examples(60))
@given(case=cases())
def test_together_is_as_many_as_can_be(case: tuple[nx.DiGraph, list[Order]]) -> None:
    graph, orders = case
    together = admit(graph, orders)
    check(graph, orders, together)
    single = admit(graph, orders, method="one by one")
    check(graph, orders, single)
    assert len(together.placed) >= len(single.placed)
    best = most(graph, orders)
    if together.proved:
        assert len(together.placed) == best
    else:
        assert len(together.placed) >= best  # a route that was not weighed may do better


def test_one_that_came_first_makes_room() -> None:
    """By itself the first takes the short way, which the second cannot do without."""
    graph = network(nx.cycle_graph(5))
    graph.remove_edge("s1", "s0")
    orders = [order("a", (0, 2), rate=6 * MBIT), order("b", (1, 2), rate=6 * MBIT)]
    single = admit(graph, orders, method="one by one")
    assert [one.order for one in single.refused] == ["b"]
    assert single.refused[0].where == "link s1 -> s2"
    assert single.refused[0].what == (
        "3.5 Mbit/s are left of 6 Mbit/s asked, 2.5 Mbit/s too little"
    )
    assert single.refused[0].offers == (Offer(rate_bps=3_500_000),)
    together = admit(graph, orders)
    assert not together.refused
    assert together.proved
    assert together.placed["a"].routes[0].nodes == ("h0", "s0", "s4", "s3", "s2", "h2")


def test_what_runs_stays_as_it_is() -> None:
    graph = network(nx.cycle_graph(4))
    first = admit(graph, [order("a", (0, 2), rate=6 * MBIT, delay=20 * MS)])
    running = list(first.placed.values())
    later = [order("b", (0, 2), rate=6 * MBIT), order("c", (0, 2), rate=6 * MBIT)]
    second = admit(graph, later, running=running)
    assert list(second.placed) == ["b"]  # of two that would fit, the first
    other = second.placed["b"]
    assert other.routes[0].nodes != running[0].routes[0].nodes
    assert sound(graph, [*running, *second.placed.values()])


def test_anothers_promise_is_not_broken() -> None:
    """A packet more ahead of it would be more than the first order's delay allows."""
    graph = network(nx.path_graph(2))
    alone = Ledger(graph).alone(admit(graph, [order("a", (0, 1))]).placed["a"]).worst["a.0"]
    assert alone is not None
    first = order("a", (0, 1), delay=alone)
    outcome = admit(graph, [first, order("b", (0, 1))], method="one by one")
    assert "which slice a was promised" in outcome.refused[0].what
    assert outcome.refused[0].instead.startswith("promise slice a a delay of ")
    assert outcome.refused[0].offers == ()
    assert len(admit(graph, [replace(first, priority=1), order("b", (0, 1))]).placed) == 1


def test_delay_that_cannot_be_is_offered() -> None:
    graph = network(nx.path_graph(3))
    outcome = admit(graph, [order("a", (0, 2), delay=1)])
    (offer,) = outcome.refused[0].offers
    check(graph, [order("a", (0, 2), delay=1)], outcome)
    error = outcome.refused[0].error()
    assert error.what.startswith("slice a cannot be met: no path from h0 to h2 takes 1 ns or less")
    assert error.remedy == f"order {offer}"


def test_diversity_that_cannot_be_is_offered_without() -> None:
    outcome = admit(network(nx.path_graph(3)), [order("a", (0, 2), diversity="link")])
    assert outcome.refused[0].offers == (Offer(diversity="none"),)


def test_ports_have_so_many_queues() -> None:
    graph = network(nx.path_graph(2))
    orders = [order(f"o{n}", (0, 1), rate=1000) for n in range(MAX_QUEUES + 5)]
    for outcome in (admit(graph, orders), admit(graph, orders, method="one by one")):
        assert len(outcome.placed) == MAX_QUEUES - 1
        assert outcome.refused[0].what == f"the port has {MAX_QUEUES} queues already"


@pytest.mark.parametrize(
    ("orders", "why"),
    [
        ([order("a", (0, 1)), order("a", (1, 2))], "'a' is there twice"),
        ([order("a", (0, 1)), replace(order("a", (1, 2)), id="b")], "'a.0' is there twice"),
        ([order("a", (0, 7))], "'h7'"),
        ([order("a", (1, 1))], "leads from h1 to itself"),
        ([order("a", (0, 1), rate=-1)], "rates of"),
        ([replace(order("a", (0, 1)), rates_bps=())], "rates of"),
    ],
)
def test_orders_that_cannot_be(orders: list[Order], why: str) -> None:
    with pytest.raises((PlanError, InputError), match=re.escape(why)):
        admit(network(nx.path_graph(3)), orders)


@pytest.mark.thorough
@pytest.mark.parametrize("delay", [None, 5 * MS])
def test_ten_thousand_orders(delay: int | None) -> None:
    graph = network(nx.cycle_graph(6), rate_bps=1000 * MBIT)
    chance = random.Random(1)
    ends = [chance.sample(range(6), 2) for _ in range(10_000)]
    orders = [order(f"o{n}", (a, b), delay=delay) for n, (a, b) in enumerate(ends)]
    outcome = admit(graph, orders)
    assert outcome.notes == ("10,000 orders are too many to weigh together: one by one",)
    assert 100 < len(outcome.placed) < 12 * MAX_QUEUES
    assert len(outcome.placed) + len(outcome.refused) == 10_000
    assert sound(graph, list(outcome.placed.values()))
    assert not any(refused.offers for refused in outcome.refused[OFFERS:])


def test_the_same_every_time() -> None:
    graph = network(connected(6)[40])
    orders = [order(f"o{n}", (n % 6, (n + 2) % 6), rate=3 * MBIT) for n in range(12)]
    assert admit(graph, orders) == admit(graph, orders)


# The policy


GOLD = Slice(id="gold", sst=2, guaranteed_bps=10 * MBIT, delay_ns=970 * US)


def test_a_plan_of_admitted_slices_holds_their_delays() -> None:
    asked = scenario(slices=(GOLD,), flows=(flow(kind="flood", rate_bps=300 * MBIT),))
    plan = compiled(Admitted(), asked, triangle())
    (session,) = plan.sessions
    assert session.paths[0].nodes == ("h1", "s1", "s3", "s2", "h2")  # the short way takes 1 ms
    for bound in (session.legs[0].bound, session.legs[1].bound):
        assert bound is not None
        assert bound.latency_ns is not None
        assert bound.latency_ns <= 970 * US


def test_a_plan_bounds_no_more_than_was_promised() -> None:
    late = Slice(id="late", sst=1, guaranteed_bps=5 * MBIT, maximum_bps=8 * MBIT, delay_ns=5 * MS)
    asked = scenario(
        slices=(GOLD, late), probes=(probe(), probe("q", slice="late", interval_ns=2 * MS))
    )
    plan = compiled(Admitted(), asked)
    wanted = demands(asked, {"gold": GOLD, "late": late}, {"app": app()})
    ledger = Ledger(triangle().graph())
    for placed in admit(ledger.graph, orders_of(wanted)).placed.values():
        ledger.add(placed)
    for session in plan.sessions:
        for path, bound in (
            (session.paths[0], session.legs[0].bound),
            (session.paths[1], session.legs[1].bound),
        ):
            assert bound is not None
            assert bound.latency_ns is not None
            assert bound.latency_ns <= (ledger.promises().worst[path.id] or 0)


def test_a_slice_that_cannot_be_met_names_what_can() -> None:
    tight = msgspec.structs.replace(GOLD, delay_ns=400 * US)
    with pytest.raises(PlanError) as caught:
        compiled(Admitted(), scenario(slices=(tight,)))
    assert caught.value.what.startswith("slice gold cannot be met: no path from h1 to h2 takes")
    assert caught.value.remedy.startswith("order a delay of 431 us")


@pytest.mark.parametrize("scheduler", ["fifo", "htb", "strict_priority", "time_aware"])
def test_what_the_plan_bounds_is_admitted_and_no_less(scheduler: Scheduler) -> None:
    """By the scheduler that ports have: its bound is promised, and a ns less is not."""
    gold = Slice(id="gold", sst=1, guaranteed_bps=20 * MBIT, priority=1)
    bulk = Slice(id="bulk", sst=1, guaranteed_bps=40 * MBIT, priority=80)
    asked = scenario(
        slices=(gold, bulk),
        probes=(probe(slice="gold"),),
        flows=(flow(slice="bulk", rate_bps=30 * MBIT),),
        scheduler=scheduler,
        cycle_ns=2 * MS,
    )
    narrow = msgspec.structs.replace(triangle(), links=triangle().links[:1] + triangle().links[3:])
    narrow = msgspec.structs.replace(narrow, nodes=[n for n in narrow.nodes if n.name != "s3"])

    def bound(delay_ns: int | None) -> int:
        promised = msgspec.structs.replace(gold, delay_ns=delay_ns)
        slices = msgspec.structs.replace(asked, slices=(promised, bulk))
        (session,) = compiled(Admitted(), slices, narrow).sessions
        assert session.legs[0].bound is not None
        assert session.legs[1].bound is not None
        return max(session.legs[0].bound.latency_ns or 0, session.legs[1].bound.latency_ns or 0)

    known = bound(None)
    assert bound(known) == known
    with pytest.raises(PlanError):
        bound(known - 1)


def test_gold_goes_round_a_full_fifo() -> None:
    """The flood fills the one buffer of the short way, before which no delay is promised."""
    gold = msgspec.structs.replace(GOLD, delay_ns=3 * MS)
    flood = flow(kind="flood", rate_bps=300 * MBIT)
    asked = scenario(slices=(gold,), flows=(flood,), scheduler="fifo")
    (session,) = compiled(Admitted(), asked).sessions
    assert session.paths[0].nodes == ("h1", "s1", "s3", "s2", "h2")
    assert compiled(Admitted(), asked).loads[0].path.nodes == ("h1", "s1", "s2", "h2")
