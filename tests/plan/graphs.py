"""Plans over graphs given by their edges: protected paths on everything networkx has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import networkx as nx

from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.scenario.model import Protection, Slice
from testbed.topology.model import Network, Node
from tests.plan.networks import MBIT, app, link, probe, scenario


@cache
def connected(nodes: int) -> tuple[nx.Graph, ...]:
    """All connected graphs of so many nodes, up to isomorphism (Read and Wilson's atlas)."""
    atlas = nx.graph_atlas_g() if nodes <= 7 else []
    return tuple(g for g in atlas if len(g) == nodes and nx.is_connected(g))


def network(graph: nx.Graph, seed: int) -> Network:
    """A switch with a host for each node; delays differ."""
    chance = random.Random(seed)
    switches = [Node(name=f"s{n}", role="switch", kind="router") for n in graph]
    hosts = [Node(name=f"h{n}", role="host", kind="host") for n in graph]
    links = [
        link(f"s{a}", f"s{b}", chance.randrange(1, 9) * 1000, 1000 * MBIT) for a, b in graph.edges
    ]
    links += [link(f"h{n}", f"s{n}", 0, None) for n in graph]
    return Network(name="graph", nodes=(*switches, *hosts), links=tuple(links))


def demands(graph: nx.Graph, seed: int, count: int) -> list[tuple[int, int]]:
    """Random pairs of nodes."""
    chance = random.Random(seed)
    pairs = [chance.sample(sorted(graph), 2) for _ in range(count)]
    return [(a, b) for a, b in pairs]


def protected(
    graph: nx.Graph, protection: Protection, seed: int, pairs: list[tuple[int, int]]
) -> Plan:
    """Probes between the hosts of `pairs`, each on a slice that orders `protection`.

    Raises PlanError where the graph has no second way.
    """
    return compile_plan(
        scenario(
            slices=(Slice(id="gold", sst=2, guaranteed_bps=MBIT, protection=protection),),
            probes=tuple(probe(f"p{n}", f"h{a}", f"h{b}") for n, (a, b) in enumerate(pairs)),
        ),
        network(graph, seed),
        LowestDelay(),
        {"app": app()},
    )


def two_connected(sizes: range) -> Iterator[nx.Graph]:
    """Those where no single link cuts the graph in two."""
    for size in sizes:
        yield from (graph for graph in connected(size) if not nx.has_bridges(graph))
