"""The planner against brute force, and how long it takes.

    python -m benchmarks.planner [--nodes N] [--orders N]

Every connected graph of 2 to N nodes (networkx' atlas): paths in order of cost, paths within
a delay, disjoint pairs, each against every path there is. LARAC's gap on larger graphs. Then
slice orders on a network of 50 switches, together and one by one, and whole plans of 1 to
1000 slice paths.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time

import networkx as nx

from controllers.policies.admitted import Admitted
from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.compile import compile_plan
from testbed.scenario.model import Slice
from testbed.slices.admission import FEW, Method, admit
from testbed.slices.order import Order
from testbed.slices.paths import constrained_path, larac, least_cost_path, path_sum
from testbed.slices.policy import Demand, Policy, Traffic
from tests.plan.graphs import network
from tests.plan.networks import MBIT, MS, app, probe, scenario
from tests.slices.exact import check_pairs, check_ranked, check_within
from tests.slices.graphs import atlas, weighted

SWITCHES = 50
LARGE = nx.connected_watts_strogatz_graph(SWITCHES, 4, 0.3, seed=1)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=6)
    options.add_argument("--orders", type=int, default=10_000)
    given = options.parse_args()
    exact(given.nodes)
    gaps()
    for count in (10, 100, 1000, given.orders):
        for delay_ns in (None, 5 * MS):
            admission(count, delay_ns)
    for paths in (2, 10, 100, 1000):
        plans(paths)
    return 0


def exact(nodes: int) -> None:
    graphs = list(atlas(nodes))
    print(f"{len(graphs)} connected graphs of 2 to {nodes} nodes, all pairs, no difference:")
    began = time.perf_counter()
    ranked = sum(map(check_ranked, graphs))
    print(f"  {ranked:,} paths in order of cost, {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    found = [pair for graph in graphs for pair in check_within(graph)]
    off = sum(cost > least for cost, least in found)
    print(
        f"  {len(found):,} paths within a delay, {time.perf_counter() - began:.1f} s; "
        f"LARAC's costs more for {off:,}"
    )
    for avoid in ("link", "node"):
        began = time.perf_counter()
        counts = [check_pairs(graph, avoid) for graph in graphs]
        pairs, refused = (sum(column) for column in zip(*counts, strict=True))
        print(
            f"  {pairs:,} pairs disjoint by {avoid}, {refused:,} refused, "
            f"{time.perf_counter() - began:.1f} s"
        )


def gaps() -> None:
    """LARAC and the exact search, between random pairs; costs and delays 1 to 1000."""
    chance = random.Random(1)
    graph = weighted(LARGE, seed=1)
    for edge in graph.edges.values():
        edge |= {"cost": chance.randint(1, 1000), "delay_ns": chance.randint(1, 1000)}
    excess, told, fast_s, exact_s = [], [], 0.0, 0.0
    for _ in range(1000):
        src, dst = chance.sample(sorted(graph), 2)
        ends = [least_cost_path(graph, src, dst, weight) for weight in ("delay_ns", "cost")]
        least, most = (path_sum(graph, path, "delay_ns") for path in ends)
        bound = chance.randint(least, max(least, most))
        began = time.perf_counter()
        near = larac(graph, src, dst, bound, cost="cost")
        between = time.perf_counter()
        best = constrained_path(graph, src, dst, bound, cost="cost")
        exact_s += time.perf_counter() - between
        fast_s += between - began
        cost = path_sum(graph, best, "cost")
        excess.append((near.cost - cost) / cost)
        told.append(near.gap)
    print(
        f"1000 paths within a delay over {SWITCHES} nodes: exact {exact_s:.2f} ms each; "
        f"LARAC {fast_s:.2f} ms each, {sum(map(bool, excess))} not the least, "
        f"excess mean {statistics.mean(excess):.2%}, max {max(excess):.1%}; "
        f"its own gap mean {statistics.mean(told):.2%}, max {max(told):.1%}"
    )


def admission(count: int, delay_ns: int | None) -> None:
    """Orders between random hosts."""
    chance = random.Random(count)
    traffic = Traffic(rate_bps=400_000, burst_bytes=500, largest_bytes=500, smallest_bytes=500)
    orders = []
    for number in range(count):
        a, b = chance.sample(range(SWITCHES), 2)
        demand = Demand(
            id=f"d{number}",
            slice=Slice(id=f"o{number}", sst=1),
            src=f"h{a}",
            dst=f"h{b}",
            delay_ns=delay_ns,
            traffic=traffic,
        )
        rate = chance.choice((1, 5, 20, 100)) * MBIT
        orders.append(Order(demand.slice.id, (demand,), (rate,)))
    graph = network(LARGE, 1).graph()
    methods: tuple[Method, ...] = ("together", "one by one")
    for method in methods if count <= FEW else methods[1:]:
        began = time.perf_counter()
        outcome = admit(graph, orders, method=method)
        print(
            f"{count:6,} orders {method:10} {'with' if delay_ns else 'without'} a delay: "
            f"{len(outcome.placed):5,} admitted, {len(outcome.refused):5,} refused, "
            f"{time.perf_counter() - began:.2f} s{', proved' if outcome.proved else ''}"
        )


def plans(paths: int) -> None:
    """Sessions between random hosts, two paths each, in ten slices; plan and bounds."""
    chance = random.Random(paths)
    slices = [Slice(id=f"slice{n}", sst=1, guaranteed_bps=MBIT) for n in range(10)]
    probes = []
    for number in range(paths // 2):
        a, b = chance.sample(range(SWITCHES), 2)
        probes.append(probe(f"p{number}", f"h{a}", f"h{b}", slice=slices[number % 10].id))
    asked = scenario(slices=tuple(slices), probes=tuple(probes))
    policies: tuple[Policy, ...] = (LowestDelay(), Admitted())
    for policy in policies:
        began = time.perf_counter()
        plan = compile_plan(asked, network(LARGE, 1), policy, {"app": app()})
        print(
            f"{paths:5,} slice paths by {policy.name}: {len(plan.rules):,} rules, "
            f"{time.perf_counter() - began:.2f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
