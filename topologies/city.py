"""city: a metro mesh with 5G cells, a park, a metro and a cloud compute site, and homes."""

from __future__ import annotations

from testbed.topology import limits
from testbed.topology.drawing import outward
from testbed.topology.topo import MetroTopo
from testbed.units import length_km
from topologies.access_5g import DOWNLINK, UPLINK, Radio, lay_cells, lay_compute
from topologies.metro_mesh import lay_mesh

FIREWALL_ROUTE_FACTOR = 1.3
"""Fibre over straight line from a core site to the firewall in the middle of the city."""


class City(MetroTopo):
    """metro_mesh and access_5g in one: a city with its cells and compute sites.

        ue1 ue5                ue2 ue6                ue3 ue7
          )))                    )))                    )))
         gnb1                   gnb2                   gnb3
           | 2 km                |                      |
         park_sw--park           |                      |
           | 2 km                |                      |
      a11-a12-a13-a14       a21-a22-a23-a24        a31-a32-a33-a34     5 km spans
       |           |         |           |          |           |
    x8-x1----------x2--------x3----------x4----x5---x6----------x7-x8  12 km spans,
                                               |                       28 km chords
                                               |                       x1-x3-x5-x7-x1
      x1 x2 x3 x4 x6 x7 --20 km-- fw------metro_gw---1500 km x 1.5---cloud_gw
                                               |                        |
                                             metro                    cloud

    one-way, the same in both directions except for the radio:

      radio up (mean)   2.45 ms       aJK, metro_gw, cloud_gw, routers   15 us
      radio down        1.51 ms       xN, OXCs                          0.5 us
      2 km fibre       9.794 us       transponder end, at each OXC       15 us
      5 km fibre      24.485 us       park_sw, switch                     1 us
      12 km fibre     58.764 us       fw, firewall                      200 us
      to the cloud  11.0525 ms        gNB, in the radio's figures         0

      ue1 -> park 2.461 ms, back 1.521 ms; metro 2.812 and 1.872; cloud 13.88 and 12.94
      (least delay; by fewest hops ue1 reaches metro through the firewall, 2.892 ms)

    Hosts:    ue1 .. ue8, terminals, ueN on gnbM with M = 1 + (N - 1) mod 4;
              park, metro, cloud, compute; home1, home2, wired.
    Switches: x1 .. x8 OXCs; aJK, router K of horseshoe J; gnb1 .. gnb4; park_sw;
              metro_gw and cloud_gw, routers; fw, the firewall of the IP service edge.
    gnb1 serves the park; gnb2, gnb3, gnb4 stand at a22, a32 and a13, homes at a12 and a22.
    The firewall has a fibre to each core site that carries a horseshoe: by hops the near
    way to metro and cloud, by time a long one.
    Rates are what a lab on the wall clock can send, not what such fibre carries.
    """

    def build(
        self,
        core: int = 8,
        span: str = "12 km",
        horseshoes: int = 3,
        nodes: int = 4,
        access_span: str = "5 km",
        gnbs: int = 4,
        ues: int = 8,
        homes: int = 2,
        uplink: str = UPLINK,
        downlink: str = DOWNLINK,
        uplink_rate: str = "50 Mbit/s",
        downlink_rate: str = "100 Mbit/s",
        gnb_span: str = "2 km",
        cloud_distance: str = "1500 km",
        route_factor: float = 1.5,
        core_rate: str = "1 Gbit/s",
        access_rate: str = "100 Mbit/s",
        home_rate: str = "100 Mbit/s",
    ) -> None:
        """Build the city. Raises InputError.

        Args:
            core, span, horseshoes, nodes, access_span: as metro_mesh has them.
            gnbs: 1 to 9; gnb1 at the park, the others on the horseshoes in turn.
            ues, uplink, downlink, uplink_rate, downlink_rate, gnb_span: as access_5g has them.
            homes: wired hosts home1, home2, ... on the horseshoes in turn, 0 to 99.
            cloud_distance: straight line from metro to cloud, with unit.
            route_factor: fibre over straight line to the cloud, 1 to 3.
            core_rate: of the core, the firewall and the compute sites metro and cloud, each way.
            access_rate: of the horseshoes, the park and the gNBs, each way.
            home_rate: of each home, each way.
        """
        limits.whole(gnbs, "gnbs", 1, 9)
        limits.whole(homes, "homes", 0, 99)
        park_km = length_km(gnb_span, "parameter gnb_span")
        far_km = length_km(cloud_distance, "parameter cloud_distance") * limits.number(
            route_factor, "route_factor", "parameter route_factor", low=1, high=3
        )
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
        core_site, middle = core // 2, (nodes - 1) // 2

        def router(i: int) -> str:
            """On the horseshoes in turn, from the middle of each on."""
            return mesh.access[i % horseshoes][(middle + i // horseshoes) % nodes]

        self.switch("park_sw", site="park", **outward(self.place(router(0)), 1.2))
        self.fibre("park_sw", router(0), km=park_km, rate=access_rate)
        lay_compute(self, "park", "park_sw", rate=access_rate)

        metro = self.place(mesh.core[core_site])
        self.switch("metro_gw", "router", site="metro", **outward(metro, 0.6))
        self.lan("metro_gw", mesh.core[core_site], rate=core_rate)
        lay_compute(self, "metro", "metro_gw", rate=core_rate)

        self.switch("cloud_gw", "router", site="cloud", **outward(metro, 2.2))
        self.fibre("metro_gw", "cloud_gw", km=far_km, rate=core_rate, coherent=True)
        lay_compute(self, "cloud", "cloud_gw", rate=core_rate)

        self.switch("fw", "firewall", site="service edge")
        self.lan("fw", "metro_gw", rate=core_rate)
        for node in mesh.feeders:
            self.fibre(
                "fw", node, km=round(mesh.radius_km * FIREWALL_ROUTE_FACTOR, 3), rate=core_rate
            )

        lay_cells(
            self,
            ["park_sw", *(router(i) for i in range(1, gnbs))],
            ues=ues,
            span=gnb_span,
            rate=access_rate,
            radio=Radio(uplink, downlink, uplink_rate, downlink_rate),
        )
        for i in range(homes):
            home = self.host(
                f"home{i + 1}", site="home", **outward(self.place(router(i)), 1.1, turn=-0.015)
            )
            self.lan(home, router(i), rate=home_rate)


topos = {"city": City}
