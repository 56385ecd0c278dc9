"""zoo: a real network by its topohub name, a host at each site and compute at some."""

from __future__ import annotations

from testbed.errors import InputError, unknown
from testbed.links.fibre import fibre_ns
from testbed.topology import limits
from testbed.topology.elements import element
from testbed.topology.topo import MetroTopo
from testbed.topology.zoo import Graph, load, nearest_sites
from testbed.units import length_km


class Zoo(MetroTopo):
    """A real graph: sites s1, s2, ..., a host h1, h2, ... at each, compute c1, c2, ...

     h12             c1  h7
       \\               \\ |          one-way, the same in both directions:
        s12----km-------s7
        | \\          /             h12  host                 0
        |  '---s3---'                    transponder end     15 us (optical kinds)
        |      |                    s12  ROADM               0.5 us
      ...     h3                         fibre, dist x route_factor at 4.897 us/km

    The place's name is the site of its nodes. `dist` is the straight line in topohub; fibre
    is `route_factor` longer (1.3 to 1.5 is usual, 2 pessimistic). Between electrical kinds
    (router, otn, switch) each fibre has a transponder pair, 30 us. The default is SURFnet
    in the Netherlands: 50 sites, 68 fibres, 2.9 ms one-way across.

    Compute stands where the sum of the sites' delays to the nearest one is least, or at the
    places named by `at`. Rates are what a lab on the wall clock can send, not what such
    fibre carries.
    """

    def build(
        self,
        name: str = "topozoo/Surfnet",
        route_factor: float = 1.5,
        centres: int = 2,
        at: str = "",
        kind: str = "roadm",
        mean_link: str = "",
        rate: str = "100 Mbit/s",
        access_rate: str = "100 Mbit/s",
    ) -> None:
        """Build the network. Raises InputError.

        Args:
            name: topohub's GROUP/NAME.
            route_factor: fibre over straight line, 1 to 3.
            centres: how many compute sites; ignored if `at` is given.
            at: compute sites by place or node name, joined by '+': "Utrecht+s12".
            kind: of the sites: roadm, oxc, otn, switch or router.
            mean_link: scale to this mean straight length of a link, with unit; for graphs
                whose own distances mean nothing.
            rate: of each fibre, each way.
            access_rate: of each host, each way.
        """
        limits.number(route_factor, "route_factor", "parameter route_factor", low=1, high=3)
        graph = load(name, length_km(mean_link, "parameter mean_link") if mean_link else None)
        limits.whole(centres, "centres", 0, len(graph.spots))
        fibres = [(a, b, round(km * route_factor, 3)) for a, b, km in graph.links]
        for i, spot in enumerate(graph.spots, 1):
            switch = self.switch(f"s{i}", kind, site=spot.place, x=spot.x, y=spot.y)
            host = self.host(f"h{i}", site=spot.place, x=spot.x, y=spot.y)
            self.lan(host, switch, rate=access_rate)
        for a, b, km in fibres:
            self.fibre(f"s{a + 1}", f"s{b + 1}", km=km, rate=rate, coherent=True)
        if at:
            chosen = [_site(graph, text.strip(), name) for text in at.split("+")]
        else:
            hop_ns = element(kind, "switch").forwarding_ns
            delays = [(a, b, fibre_ns(km) + hop_ns) for a, b, km in fibres]
            chosen = nearest_sites(len(graph.spots), delays, centres)
        for i, site in enumerate(chosen, 1):
            spot = graph.spots[site]
            self.host(f"c{i}", "compute", site=spot.place, x=spot.x, y=spot.y)
            self.lan(f"c{i}", f"s{site + 1}", rate=access_rate)


def _site(graph: Graph, text: str, name: str) -> int:
    """The number of the site called `text`: its node name or its place."""
    names = {f"s{i}": i - 1 for i in range(1, len(graph.spots) + 1)}
    if text in names:
        return names[text]
    found = [i for i, spot in enumerate(graph.spots) if spot.place == text]
    if not found:
        raise unknown("place", text, {s.place for s in graph.spots}, where=f"at, in {name}")
    if len(found) > 1:
        raise InputError(
            f"{len(found)} sites are called {text!r}",
            where=f"at, in {name}",
            expected="one of " + ", ".join(f"s{i + 1}" for i in found),
        )
    return found[0]


topos = {"zoo": Zoo}
