"""Real network graphs by name: topohub's collections, checked and put into km.

topohub ships sndlib, the Internet Topology Zoo (topozoo), submarine and land backbones,
CAIDA graphs and random Gabriel graphs. Its `dist` is the great circle between the nodes'
longitude and latitude; where the source has abstract coordinates that distance means
nothing, and the graph is refused unless its mean link is given.
"""

from __future__ import annotations

import difflib
import importlib.resources
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import networkx as nx
import topohub

from testbed.errors import InputError

NOT_TO_SCALE = {
    "sndlib/brain": "Berlin's city network, with links of 79 km on average",
    "sndlib/india35": "places on a plane from 0 to 49, which is not where India is",
}
"""Degrees that look real and are not."""


class Spot(NamedTuple):
    """A node of a graph."""

    place: str
    x: float
    y: float
    """Longitude and latitude, or abstract."""


class Graph(NamedTuple):
    """A graph: its nodes, and its links as two node numbers and straight km."""

    spots: list[Spot]
    links: list[tuple[int, int, float]]


def load(name: str, mean_km: float | None = None) -> Graph:
    """A graph of topohub, GROUP/NAME.

    Args:
        name: such as topozoo/Surfnet.
        mean_km: scale the graph so that its mean link has this length (straight line).

    Raises InputError: unknown name (with the nearest), distances without meaning.
    """
    where = f"topohub {name}"
    try:
        data = topohub.get(name)
    except KeyError:
        raise _unknown(str(name)) from None
    number = {node["id"]: i for i, node in enumerate(data["nodes"])}
    spots = [
        Spot(str(node.get("name") or f"node {i + 1}"), *map(float, node["pos"]))
        for i, node in enumerate(data["nodes"])
    ]
    ends = [(number[e["source"]], number[e["target"]]) for e in data["edges"]]
    reason = NOT_TO_SCALE.get(name) or _abstract(name, spots)
    if reason and mean_km is None:
        raise InputError(
            f"the distances of {name} mean nothing: {reason}",
            where=where,
            expected="a graph with real places, such as topozoo/Surfnet or sndlib/polska",
            remedy="choose another one, or give the mean length of its links (mean_link='12 km')",
        )
    km = [float(e["dist"]) for e in data["edges"]]
    if reason:
        km = [math.dist(spots[a][1:], spots[b][1:]) for a, b in ends]
    scale = 1.0 if mean_km is None else mean_km * len(km) / sum(km)
    return Graph(spots, [(a, b, round(d * scale, 3)) for (a, b), d in zip(ends, km, strict=True)])


def nearest_sites(nodes: int, links: Iterable[tuple[int, int, float]], count: int) -> list[int]:
    """Which `count` nodes to serve all nodes from: the least sum of distances (k-median).

    Greedy, then exchanges of one chosen node for another while that helps (Teitz and
    Bart 1968): near the optimum, and always the same answer for the same graph.
    """
    graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_weighted_edges_from(links)
    reach: Mapping[int, Mapping[int, float]] = dict(nx.all_pairs_dijkstra_path_length(graph))

    def cost(chosen: list[int]) -> float:
        return sum(min(reach[c].get(n, math.inf) for c in chosen) for n in range(nodes))

    chosen: list[int] = []
    for _ in range(count):
        rest = [n for n in range(nodes) if n not in chosen]
        chosen.append(min(rest, key=lambda n: cost([*chosen, n])))
    best, better = cost(chosen) if chosen else 0.0, bool(chosen)
    while better:
        better = False
        for i in range(count):
            for n in range(nodes):
                tried = [*chosen[:i], n, *chosen[i + 1 :]]
                if cost(tried) < best:
                    chosen, best, better = tried, cost(tried), True
    return sorted(chosen)


def _abstract(name: str, spots: Iterable[Spot]) -> str:
    if name.startswith("gabriel/"):  # its dist is that of the plane it was drawn on
        return ""
    if all(abs(s.x) <= 180 and abs(s.y) <= 90 for s in spots):
        return ""
    return "its coordinates are abstract, not degrees"


def _unknown(name: str) -> InputError:
    root: Any = importlib.resources.files("topohub") / "data"
    known = sorted(
        path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.json")
    )
    by_tail = {path.partition("/")[2].lower(): path for path in reversed(known)}
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    tail = difflib.get_close_matches(name.rpartition("/")[2].lower(), by_tail, n=1, cutoff=0.7)
    near = list(dict.fromkeys([by_tail[t] for t in tail] + near))
    return InputError(
        f"unknown graph {name!r}",
        where="topohub",
        expected="GROUP/NAME, such as topozoo/Surfnet, sndlib/polska or gabriel/25/0",
        remedy=f"did you mean {' or '.join(map(repr, near))}?" if near else "",
    )
