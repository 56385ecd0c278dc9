"""metro_mesh: an optical core mesh with dual-homed access horseshoes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from testbed.topology import limits
from testbed.topology.drawing import around, outward
from testbed.topology.topo import MetroTopo
from testbed.units import length_km

CHORD_ROUTE_FACTOR = 1.3
"""Fibre over straight line for the core's chords; ducts follow streets (1.3 to 1.5)."""


class Mesh(NamedTuple):
    """What lay_mesh() built."""

    core: list[str]
    """x1, x2, ... around the ring."""
    access: list[list[str]]
    """The routers of each horseshoe, in order: a11, a12, ..."""
    feeders: list[str]
    """The core sites at the ends of the horseshoes."""
    radius_km: float
    """Of the core ring as it is drawn."""


def lay_mesh(
    topo: MetroTopo,
    *,
    core: int,
    span: str,
    horseshoes: int,
    nodes: int,
    access_span: str,
    core_rate: str,
    access_rate: str,
) -> Mesh:
    """Lay the core and its horseshoes (see MetroMesh) into a topology. Raises InputError."""
    limits.whole(core, "core", 6, 10)
    limits.whole(horseshoes, "horseshoes", 1, min(core, 9))
    limits.whole(nodes, "nodes", 2, 8)
    km = length_km(span, "parameter span")
    access_km = length_km(access_span, "parameter access_span")
    radius = core * km / math.tau
    chord_km = round(2 * radius * math.sin(math.tau / core) * CHORD_ROUTE_FACTOR, 3)

    ring = [
        topo.switch(f"x{i + 1}", "oxc", site=f"core {i + 1}", **around(radius, i / core))
        for i in range(core)
    ]
    for i, node in enumerate(ring):
        topo.fibre(node, ring[(i + 1) % core], km=km, rate=core_rate)
    for i in range(0, core - 1, 2):
        topo.fibre(ring[i], ring[(i + 2) % core], km=chord_km, rate=core_rate)

    access, feeders = [], set()
    for j in range(horseshoes):
        first = j * core // horseshoes
        second = (first + 1) % core
        chain = []
        for k in range(nodes):
            turn = (first + (k + 0.5) / nodes) / core
            at = around(radius + 1.5 * access_km, turn)
            chain.append(topo.switch(f"a{j + 1}{k + 1}", "router", site=f"area {j + 1}", **at))
        ends = [ring[first], *chain, ring[second]]
        for a, b in pairwise(ends):
            topo.fibre(a, b, km=access_km, rate=access_rate)
        access.append(chain)
        feeders |= {first, second}
    return Mesh(ring, access, [ring[i] for i in sorted(feeders)], radius)


class MetroMesh(MetroTopo):
    """A core mesh of OXCs, and access routers on horseshoes between two core sites.

            h1                   h2                         h3
            |                    |                          |
       a11-a12-a13-a14      a21-a22-a23-a24            a31-a32-a33-a34
        |           |        |           |              |           |
    x8--x1----------x2-------x3----------x4-----x5------x6----------x7--x8
        |'-------28 km-------''-------28 km-----''-----28 km--------'|
      dc1_gw                                   dc2_gw         28 km to x1
        |                                       |
       dc1                                     dc2

    one-way, the same in both directions:

      a12  access router     15 us        x1      OXC              0.5 us
           5 km fibre    24.485 us                transponder end   15 us
      a11  access router     15 us        dc1_gw  router            15 us
           5 km fibre    24.485 us
           transponder end   15 us        12 km fibre           58.764 us
      x1   ...                            28 km chord          137.557 us

      h1 -> dc1: 124.47 us

    Neighbours on the core ring are `span` apart, and every second site has a chord to the
    next but one: fewer hops, longer fibre. Each horseshoe is a chain of routers between two
    neighbouring core sites, with a host (h1, h2, ...) in its middle. Compute stands at two
    opposite core sites: dc1 and dc2. Rates are what a lab on the wall clock can send, not
    what such fibre carries.
    """

    def build(
        self,
        core: int = 8,
        span: str = "12 km",
        horseshoes: int = 3,
        nodes: int = 4,
        access_span: str = "5 km",
        core_rate: str = "1 Gbit/s",
        access_rate: str = "100 Mbit/s",
    ) -> None:
        """Build the mesh. Raises InputError.

        Args:
            core: OXC sites, 6 to 10.
            span: fibre between neighbours on the core ring, with unit (usually 10 to 30 km).
            horseshoes: 1 to 9, not more than `core`.
            nodes: access routers on each, 2 to 8.
            access_span: fibre between them and to the core, with unit (usually 3 to 8 km).
            core_rate: of the core's fibres and of compute, each way.
            access_rate: of the horseshoes and of hosts, each way.
        """
        mesh = lay_mesh(
            self,
            core=core,
            span=span,
            horseshoes=horseshoes,
            nodes=nodes,
            access_span=access_span,
            core_rate=core_rate,
            access_rate=access_rate,
        )
        for j, chain in enumerate(mesh.access, 1):
            router = chain[(nodes - 1) // 2]
            self.host(f"h{j}", site=f"area {j}", **outward(self.place(router), 1.2))
            self.lan(f"h{j}", router, rate=access_rate)
        for j, node in enumerate((mesh.core[0], mesh.core[core // 2]), 1):
            at = self.place(node)
            self.switch(f"dc{j}_gw", "router", site=f"centre {j}", **outward(at, 0.8))
            self.host(f"dc{j}", "compute", site=f"centre {j}", **outward(at, 0.6))
            self.lan(f"dc{j}", f"dc{j}_gw", rate=core_rate)
            self.lan(f"dc{j}_gw", node, rate=core_rate)


topos = {"metro_mesh": MetroMesh}
