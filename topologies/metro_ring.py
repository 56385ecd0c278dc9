"""metro_ring: optical sites on a ring, each with a router and a host."""

from __future__ import annotations

import math

from testbed.topology import limits
from testbed.topology.drawing import around, outward
from testbed.topology.topo import MetroTopo
from testbed.units import length_km


class MetroRing(MetroTopo):
    """A metro ring of ROADMs with a router and a host at each site.

              h2           h3
              |            |             one-way, the same in both directions:
              r2           r3
              |            |               h1   host or compute     0
        .-----x2---18 km---x3-----.        r1   router             15 us
        |                         |        |    transponder end    15 us
     h1-r1-x1                  x4-r4-h4    x1   ROADM             0.5 us
        |                         |        |    18 km fibre    88.146 us
        '-----x6-----------x5-----'        x2   ...
              |            |
              r6           r5              h1 -> h2: 149.146 us
              |            |               each further span: 88.646 us
              h6           h5

    Compute stands at `centres` of the sites, spread evenly from site 1 on: dc1, dc4, ...
    The other sites have a host: h2, h3, ... Rates are what a lab on the wall clock can
    send, not what such fibre carries.
    """

    def build(
        self,
        sites: int = 6,
        span: str = "18 km",
        centres: int = 1,
        kind: str = "roadm",
        rate: str = "100 Mbit/s",
        access_rate: str = "100 Mbit/s",
    ) -> None:
        """Build the ring. Raises InputError.

        Args:
            sites: 3 to 40.
            span: fibre between neighbours, with unit.
            centres: sites with compute (dcN) instead of a host (hN).
            kind: of the nodes on the ring: roadm, oxc, otn, switch or router.
            rate: of the ring and of what leads to it, each way.
            access_rate: between host and router, each way.
        """
        limits.whole(sites, "sites", 3, 40)
        limits.whole(centres, "centres", 0, sites)
        km = length_km(span, "parameter span")
        radius = sites * km / math.tau
        compute = {1 + i * sites // centres for i in range(centres)}
        for i in range(1, sites + 1):
            site, at = f"site {i}", around(radius, (i - 1) / sites)
            node = self.switch(f"x{i}", kind, site=site, **at)
            router = self.switch(f"r{i}", "router", site=site, **outward(at, 1.2))
            name, role = (f"dc{i}", "compute") if i in compute else (f"h{i}", "host")
            host = self.host(name, role, site=site, **outward(at, 1.4))
            self.lan(host, router, rate=access_rate)
            self.lan(router, node, rate=rate)
        for i in range(1, sites + 1):
            self.fibre(f"x{i}", f"x{i % sites + 1}", km=km, rate=rate, coherent=True)


topos = {"metro_ring": MetroRing}
