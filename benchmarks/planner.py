"""The planner against brute force, and how long it takes.

    python -m benchmarks.planner [--nodes N] [--orders N]

Every connected graph of 2 to N nodes (networkx' atlas): paths in order of cost, paths within
a delay, disjoint pairs, each against every path there is. Then slice orders on a network of
50 switches, together and one by one, and whole plans of 1 to 1000 slice paths.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import networkx as nx

from controllers.policies.admitted import Admitted
from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.compile import compile_plan
from testbed.scenario.model import Slice
from testbed.slices.admission import FEW, Method, admit
from testbed.slices.order import Order
from testbed.slices.policy import Demand, Policy
from testbed.slices.sent import Traffic
from tests.plan.graphs import network
from tests.plan.networks import MBIT, MS, app, probe, scenario
from tests.slices.exact import check_pairs, check_ranked, check_within
from tests.slices.graphs import atlas

SWITCHES = 50
LARGE = nx.connected_watts_strogatz_graph(SWITCHES, 4, 0.3, seed=1)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=6)
    options.add_argument("--orders", type=int, default=10_000)
    given = options.parse_args()
    exact(given.nodes)
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
    within = sum(map(check_within, graphs))
    print(f"  {within:,} paths within a delay, {time.perf_counter() - began:.1f} s")
    for avoid in ("link", "node"):
        began = time.perf_counter()
        counts = [check_pairs(graph, avoid) for graph in graphs]
        pairs, refused = (sum(column) for column in zip(*counts, strict=True))
        print(
            f"  {pairs:,} pairs disjoint by {avoid}, {refused:,} refused, "
            f"{time.perf_counter() - began:.1f} s"
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
