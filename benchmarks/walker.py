"""Protected plans over every connected graph, held against their promises in memory.

    python -m benchmarks.walker [--nodes N] [--demands N]

For each graph of 2 to N nodes (networkx' atlas, up to isomorphism) and each protection, a
plan with random demands; one that the graph cannot protect is refused. Every failure of a
link is walked. Then 1000 paths over one network, planned and walked.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import get_args

import networkx as nx

from testbed.errors import PlanError
from testbed.net.walk import walk_failures
from testbed.scenario.model import Protection
from tests.plan.graphs import connected, demands, protected

LARGE = 50
PATHS = 500
"""Sessions, of two paths each."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=6)
    options.add_argument("--demands", type=int, default=6)
    given = options.parse_args()
    graphs = [graph for size in range(2, given.nodes + 1) for graph in connected(size)]
    print(
        f"{len(graphs)} connected graphs of 2 to {given.nodes} nodes, {given.demands} demands each"
    )
    for protection in get_args(Protection):
        counted: Counter[str] = Counter()
        began = time.perf_counter()
        for seed, graph in enumerate(graphs):
            try:
                plan = protected(graph, protection, seed, demands(graph, seed, given.demands))
            except PlanError:
                counted["refused"] += 1
                continue
            counted["planned"] += 1
            counted["packets"] += walk_failures(plan)
        print(
            f"{protection:14} {counted['planned']:4} planned, {counted['refused']:4} refused, "
            f"{counted['packets']:7,} packets walked, no violation, "
            f"{time.perf_counter() - began:.1f} s"
        )
    graph = nx.connected_watts_strogatz_graph(LARGE, 4, 0.3, seed=1)
    for protection in get_args(Protection):
        began = time.perf_counter()
        plan = protected(graph, protection, 1, demands(graph, 1, PATHS))
        planned = time.perf_counter()
        walked = walk_failures(plan)
        print(
            f"{2 * PATHS} paths, {LARGE} switches, {protection:14} planned in "
            f"{planned - began:.1f} s: {len(plan.rules):,} rules, {len(plan.groups):,} groups, "
            f"{len(plan.repairs):,} repairs; {walked:,} packets walked in "
            f"{time.perf_counter() - planned:.1f} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
