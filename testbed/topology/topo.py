"""MetroTopo: the base of every topology here, a Mininet Topo that knows metro networks.

    class Pair(MetroTopo):
        def build(self, span: str = "18 km") -> None:
            self.switch("x1", "roadm")
            self.switch("x2", "roadm")
            self.fibre("x1", "x2", km=length_km(span, "span"), rate="100 Mbit/s")
            for i in (1, 2):
                self.host(f"h{i}")
                self.lan(f"h{i}", f"x{i}", rate="100 Mbit/s")

Each node and link keeps the planner's Node or a link (testbed/links) as its option `metro`, which
testbed.topology.describe collects. Beside it stand the options stock Mininet knows
(`bw`, `delay`, `max_queue_size`, `loss`, per direction), so that
`mn --custom FILE --topo NAME --link tc` shapes the same network. There, a device's
forwarding delay is part of the `delay` of the links it sends on, and a rate above
Mininet's 1 Gbit/s is left unlimited.

Delays are one-way. A transponder end is added wherever an electrical device faces an
optical one (oxc, roadm), and at both ends of a `coherent` fibre between electrical ones.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from mininet.topo import Topo

from testbed.errors import InputError, unknown
from testbed.links.fibre import Fibre
from testbed.links.kinds import AnyLink
from testbed.links.lan import Lan
from testbed.links.link import Way
from testbed.links.radio import Radio
from testbed.topology import limits
from testbed.topology.drawing import Place
from testbed.topology.elements import ELEMENTS, element
from testbed.topology.model import Node
from testbed.units import rate_bps, time_ns

_SMALLEST_PACKET_BITS = 64 * 8


class MetroTopo(Topo):
    """Base of the topologies: override build() and call these methods in it.

    Every method raises InputError for bad input.
    """

    def switch(
        self,
        name: str,
        kind: str = "switch",
        *,
        site: str = "",
        x: float = 0.0,
        y: float = 0.0,
        forwarding: str | None = None,
    ) -> str:
        """Add a forwarding device; returns its name.

        Args:
            name: at most 10 characters, so that `name-eth1` fits in an interface name.
            kind: oxc, roadm, otn, switch, router, vswitch, firewall or gnb.
            site: the place it stands at, for people.
            x, y: position for drawing, km or degrees.
            forwarding: its one-way delay with unit, if not that of its kind.
        """
        where = f"switch {name}"
        forwarding_ns = element(kind, "switch", where).forwarding_ns
        if forwarding is not None:
            forwarding_ns = limits.delay(time_ns(forwarding, where), where)
        node = self._place(name, "switch", kind, site, x, y, forwarding_ns)
        self.addSwitch(name, metro=node, dpid=f"{len(self.switches(sort=False)) + 1:016x}")
        return name

    def host(
        self, name: str, kind: str = "host", *, site: str = "", x: float = 0.0, y: float = 0.0
    ) -> str:
        """Add an end system of kind host, ue or compute; returns its name."""
        forwarding_ns = element(kind, "host", f"host {name}").forwarding_ns
        self.addHost(name, metro=self._place(name, "host", kind, site, x, y, forwarding_ns))
        return name

    def place(self, name: str) -> Place:
        """Where a node was put."""
        node = self._metro(name, "place()")
        return Place(x=node.x, y=node.y)

    def fibre(
        self,
        a: str,
        b: str,
        *,
        km: float,
        rate: str | None = None,
        coherent: bool = False,
        loss_percent: float = 0.0,
        buffer_packets: int = 1000,
    ) -> None:
        """Lay a fibre pair: the same length and rate both ways.

        Args:
            km: route length; above 80 km an in-line amplifier for each further 80 km.
            rate: of each direction, with unit; None is not shaped.
            coherent: between electrical devices, light it with a transponder pair.
            loss_percent: random loss of packets in each direction.
            buffer_packets: room for packets waiting to be sent.
        """
        where = f"fibre {a} - {b}"
        length = limits.number(km, "km", where)
        way = _way(rate, loss_percent, buffer_packets, where)
        self.connect(Fibre(a=a, b=b, length_km=length, coherent=coherent, ab=way, ba=way))

    def lan(self, a: str, b: str, *, rate: str | None = None, buffer_packets: int = 1000) -> None:
        """Connect two devices of one site, or a host to its switch: no fibre delay.

        To an optical device it is a transponder: 15 us each way.
        """
        way = _way(rate, 0.0, buffer_packets, f"lan {a} - {b}")
        self.connect(Lan(a=a, b=b, ab=way, ba=way))

    def radio(
        self,
        ue: str,
        gnb: str,
        *,
        uplink: str,
        downlink: str,
        uplink_rate: str | None = None,
        downlink_rate: str | None = None,
        loss_percent: float = 0.0,
        buffer_packets: int = 1000,
    ) -> None:
        """Attach a terminal by radio: fixed one-way delays, different up and down.

        Args:
            uplink, downlink: one-way delay with unit, from the terminal to behind the
                gNB and back (scheduling, transmission, HARQ and processing).
            uplink_rate, downlink_rate: of this terminal; the cell is not shared.
        """
        where = f"radio {ue} - {gnb}"
        up, down = (
            _way(rate, loss_percent, buffer_packets, where) for rate in (uplink_rate, downlink_rate)
        )
        delays = {"uplink_ns": time_ns(uplink, where), "downlink_ns": time_ns(downlink, where)}
        self.connect(Radio(a=ue, b=gnb, ab=up, ba=down, **delays))

    def connect(self, link: AnyLink) -> None:
        """Add a link of any kind between two nodes, as it is between such devices."""
        where = f"{link.kind} {link.a} - {link.b}"
        a, b = self._metro(link.a, where), self._metro(link.b, where)
        if a is b:
            raise InputError(
                f"{a.name} is linked to itself", where=where, expected="two different nodes"
            )
        if b.name in self.g.edge.get(a.name, {}):
            raise InputError(
                f"{a.name} and {b.name} are linked twice",
                where=where,
                expected="one link between two nodes",
                remedy="lead the second one over a node of its own",
            )
        _measures(link, where)
        link = link.between(sum(ELEMENTS[node.kind].optical for node in (a, b)))
        for node in (a, b):
            limits.delay(link.delay(node.name).most_ns, where)
            ports = len(self.ports.get(node.name, {}))
            limits.interface(node.name, ports + (node.role == "switch"))
        self.addLink(
            a.name,
            b.name,
            metro=link,
            params1=_stock(link, a),
            params2=_stock(link, b),
        )

    def _place(
        self,
        name: str,
        role: Literal["host", "switch"],
        kind: str,
        site: str,
        x: float,
        y: float,
        forwarding_ns: int,
    ) -> Node:
        limits.name(name, f"{role} {name}")
        if name in self.g.node:
            raise InputError(f"two nodes are called {name!r}", expected="each name once")
        return Node(
            name=name, role=role, kind=kind, site=site, x=x, y=y, forwarding_ns=forwarding_ns
        )

    def _metro(self, name: str, where: str) -> Node:
        if name not in self.g.node:
            raise unknown("node", name, self.g.node, where=where)
        node = self.nodeInfo(name).get("metro")
        if not isinstance(node, Node):
            raise InputError(
                f"{name!r} was not added by switch() or host()",
                where=where,
                remedy="add it with them, or link it with addLink()",
            )
        return node


def _measures(link: AnyLink, where: str) -> None:
    """Raises InputError for a length, rate, buffer or loss that cannot be."""
    for name in link.__struct_fields__:
        value = getattr(link, name)
        if isinstance(value, float):
            limits.number(value, name, where)
    for way in (link.ab, link.ba):
        if way.rate_bps is not None:
            limits.rate(way.rate_bps, where)
        limits.buffer(way.buffer_packets, where)
        limits.number(way.loss, "loss", where, high=1.0)


def _way(rate: str | None, loss_percent: float, buffer_packets: int, where: str) -> Way:
    return Way(
        rate_bps=None if rate is None else limits.rate(rate_bps(rate, where), where),
        buffer_packets=limits.buffer(buffer_packets, where),
        loss=limits.loss(loss_percent, where),
    )


def _stock(link: AnyLink, sender: Node) -> dict[str, Any]:
    """The options of mininet.link.TCIntf for packets that this end sends."""
    way = link.way(sender.name)
    delay_ns = sum(link.parts(sender.name, sender.forwarding_ns))
    options: dict[str, Any] = {"delay": f"{delay_ns / 1000:.3f}us"}
    rate = way.rate_bps
    if rate is not None and rate <= limits.STOCK_MAX_RATE_BPS:
        in_flight = math.ceil(rate * delay_ns / 1e9 / _SMALLEST_PACKET_BITS)
        options |= {"bw": rate / 1e6, "max_queue_size": way.buffer_packets + in_flight}
    if way.loss:
        options["loss"] = way.loss * 100
    return options
