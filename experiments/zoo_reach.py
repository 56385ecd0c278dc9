"""Every site of a real network to its nearest compute centre, planned against measured."""

import networkx as nx

from testbed.errors import InputError
from testbed.scenario.experiment import Experiment


class ZooReach(Experiment):
    """How many sites of a real network lie inside the 1 ms circle of a compute centre?

    One probe from each site to the centre of least one-way delay. The default is SURFnet
    with two centres: 50 sites over 395 km, so the circles do not hold them all. Names are
    topohub's GROUP/NAME.
    """

    headline = "reach"

    def build(
        self,
        name: str = "topozoo/Surfnet",
        route_factor: float = 1.5,
        centres: int = 2,
        kind: str = "roadm",
        interval_ms: int = 50,
        duration: str = "22 s",
    ) -> None:
        zoo = self.topology("zoo", name=name, route_factor=route_factor, centres=centres, kind=kind)
        self.slice("reach", sst=1)
        graph = zoo.graph()
        if centres < 1:
            raise InputError("no compute centre", where="parameter centres", expected="1 or more")
        compute = [node.name for node in zoo.nodes if node.kind == "compute"]
        sites = [n.name for n in zoo.nodes if n.role == "host" and n.name not in compute]
        for i, site in enumerate(sites):
            _, path = nx.multi_source_dijkstra(
                graph.reverse(copy=False), set(compute), site, weight="delay_ns"
            )
            self.probe(
                "site_reach",
                site,
                path[0],
                slice="reach",
                duration=duration,
                interval=f"{interval_ms * 1000 + 97 * i} us",  # alike, they would keep a phase
                id=f"{site}-{path[0]}",
            )
