"""access_5g: terminals on 5G radio, and compute at the park, in the metro and far away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testbed.topology import limits
from testbed.topology.drawing import outward
from testbed.topology.topo import MetroTopo
from testbed.units import length_km

UPLINK, DOWNLINK = "2.45 ms", "1.51 ms"
"""Mean one-way radio delay of a URLLC profile: 30 kHz subcarriers (3GPP numerology 1), TDD
pattern DDDSU, UE processing capability 2 (TS 38.214), BLER 1e-3, gNB processing 0.3 ms and
local user plane 0.2 ms; uplink with a configured grant. Computed, not measured."""


class Radio(NamedTuple):
    """A terminal's radio link: one-way delays and rates, with units."""

    uplink: str
    downlink: str
    uplink_rate: str
    downlink_rate: str


def lay_cells(
    topo: MetroTopo,
    switches: Sequence[str],
    *,
    ues: int,
    span: str,
    rate: str,
    radio: Radio,
) -> None:
    """Put gnb1, gnb2, ... at these switches and attach ue1, ue2, ... to them in turn.

    Args:
        span: fibre from gNB to that switch, with unit.
    """
    limits.whole(ues, "ues", 1, 99)
    km = length_km(span, "parameter gnb_span")
    gnbs = []
    for i, switch in enumerate(switches, 1):
        at = outward(topo.place(switch), 1.15, turn=0.02 * switches[: i - 1].count(switch))
        gnbs.append(topo.switch(f"gnb{i}", "gnb", site=f"cell {i}", **at))
        topo.fibre(gnbs[-1], switch, km=km, rate=rate)
    for i in range(ues):
        gnb, seat = gnbs[i % len(gnbs)], i // len(gnbs)
        at = outward(topo.place(gnb), 1.15, turn=0.01 * seat)
        ue = topo.host(f"ue{i + 1}", "ue", site=f"cell {i % len(gnbs) + 1}", **at)
        topo.radio(ue, gnb, **radio._asdict())


def lay_compute(topo: MetroTopo, name: str, switch: str, *, rate: str) -> None:
    """Put the compute host `name` at a switch."""
    at = topo.place(switch)
    topo.host(name, "compute", site=name, x=at["x"], y=at["y"] - 3)
    topo.lan(name, switch, rate=rate)


class Access5G(MetroTopo):
    """Terminals, gNBs, and compute in three distances.

    ue1 )))                 park              metro                     cloud
    ue3 ))) gnb1--2 km--.    |                  |                         |
                        |-park_sw----20 km---metro_gw--1500 km x 1.5--cloud_gw
    ue2 ))) gnb2--2 km--'
    ue4 )))

    one-way                      up           down
    radio (means, see UPLINK)    2.45 ms      1.51 ms
    gnb, in the radio's figures  0            0
    2 km fibre                   9.794 us     9.794 us
    park_sw, switch              1 us         1 us
    20 km and transponder pair   127.94 us    127.94 us
    metro_gw, router             15 us        15 us
    2250 km, 28 amplifiers and
    transponder pair             11.0525 ms   11.0525 ms
    cloud_gw, router             15 us        15 us

    ue1 -> park 2.461 ms, back 1.521 ms; metro 2.604 and 1.664; cloud 13.671 and 12.731

    The terminals are ue1, ue2, ...; odd ones on gnb1 and even ones on gnb2 by default. The
    compute hosts are park, metro and cloud. Each terminal has its radio rates for itself.
    Rates are what a lab on the wall clock can send, not what such fibre carries.
    """

    def build(
        self,
        gnbs: int = 2,
        ues: int = 4,
        uplink: str = UPLINK,
        downlink: str = DOWNLINK,
        uplink_rate: str = "50 Mbit/s",
        downlink_rate: str = "100 Mbit/s",
        gnb_span: str = "2 km",
        metro_span: str = "20 km",
        cloud_distance: str = "1500 km",
        route_factor: float = 1.5,
        rate: str = "1 Gbit/s",
    ) -> None:
        """Build the access network. Raises InputError.

        Args:
            gnbs: 1 to 9.
            ues: terminals, 1 to 99, spread over the gNBs in turn.
            uplink, downlink: one-way radio delay, with unit.
            uplink_rate, downlink_rate: of each terminal's radio link.
            gnb_span, metro_span: fibre, with unit.
            cloud_distance: straight line from metro to cloud, with unit.
            route_factor: fibre over straight line, 1 to 3.
            rate: of every other link, each way.
        """
        limits.whole(gnbs, "gnbs", 1, 9)
        km = length_km(metro_span, "parameter metro_span")
        far_km = length_km(cloud_distance, "parameter cloud_distance") * limits.number(
            route_factor, "route_factor", "parameter route_factor", low=1, high=3
        )
        self.switch("park_sw", "switch", site="park", x=-km)
        self.switch("metro_gw", "router", site="metro")
        self.switch("cloud_gw", "router", site="cloud", x=km)
        for name, switch in (("park", "park_sw"), ("metro", "metro_gw"), ("cloud", "cloud_gw")):
            lay_compute(self, name, switch, rate=rate)
        self.fibre("park_sw", "metro_gw", km=km, rate=rate, coherent=True)
        self.fibre("metro_gw", "cloud_gw", km=far_km, rate=rate, coherent=True)
        lay_cells(
            self,
            ["park_sw"] * gnbs,
            ues=ues,
            span=gnb_span,
            rate=rate,
            radio=Radio(uplink, downlink, uplink_rate, downlink_rate),
        )


topos = {"access_5g": Access5G}
