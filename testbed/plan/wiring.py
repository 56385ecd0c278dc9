"""Addresses, names and numbers of hosts, switches and ports, all in the network's order.

hosts      10.0.0.1, 10.0.0.2 ... in one /16, one port each: <host>-eth0
switches   dpid 1, 2 ...
ports      <switch>-eth<N>, N the OpenFlow port number, counted in link order
ifindex    1000, 1001 ... over the whole network, both ends of a link together
MAC        02:00 and the ifindex (locally administered, IEEE 802 clause 8)
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from testbed.errors import InputError, PlanError
from testbed.net.nodes import Host, Switch
from testbed.port.pipeline import Port
from testbed.topology.model import Network

SUBNET = ipaddress.ip_network("10.0.0.0/16")
FIRST_IFINDEX = 1000
MAX_NAME = 15
"""Longest interface name: IFNAMSIZ of linux/if.h, less the final zero."""


@dataclass(frozen=True)
class Wiring:
    """Who is there, and through which port one reaches the other."""

    hosts: tuple[Host, ...]
    switches: tuple[Switch, ...]
    ports: tuple[Port, ...]
    _port: dict[tuple[str, str], Port] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        towards = {(port.node, port.peer_node): port for port in self.ports}
        object.__setattr__(self, "_port", towards)

    def port(self, node: str, peer: str) -> Port:
        """The port of `node` towards `peer`."""
        return self._port[node, peer]

    def along(self, nodes: Sequence[str]) -> list[Port]:
        """The ports a packet leaves by on its way along `nodes`."""
        return [self.port(a, b) for a, b in pairwise(nodes)]


def wire(network: Network) -> Wiring:
    """Raises InputError if a name is too long or taken, PlanError if addresses run out."""
    ports = _ports(network)
    _check_names([*(n.name for n in network.nodes if n.role == "switch"), *(p.name for p in ports)])
    mac = {port.node: port.mac for port in ports}
    hosts = [node for node in network.nodes if node.role == "host"]
    if len(hosts) > SUBNET.num_addresses - 2:
        raise PlanError(f"{len(hosts)} hosts do not fit in {SUBNET}", where=network.name)
    return Wiring(
        hosts=tuple(
            Host(
                name=node.name,
                kind=node.kind,
                site=node.site,
                ip=str(SUBNET[number]),
                prefix=SUBNET.prefixlen,
                mac=mac[node.name],
            )
            for number, node in enumerate(hosts, start=1)
        ),
        switches=tuple(
            Switch(name=node.name, kind=node.kind, site=node.site, dpid=dpid)
            for dpid, node in enumerate((n for n in network.nodes if n.role == "switch"), start=1)
        ),
        ports=ports,
    )


def _ports(network: Network) -> tuple[Port, ...]:
    nodes = {node.name: node for node in network.nodes}
    used: Counter[str] = Counter()
    ports: list[Port] = []
    for link in network.links:
        for end in (link.a, link.b):
            used[end] += nodes[end].role == "switch"
        for node, peer in ((link.a, link.b), (link.b, link.a)):
            ifindex = FIRST_IFINDEX + len(ports)
            ports.append(
                Port(
                    node=node,
                    name=f"{node}-eth{used[node]}",
                    number=used[node],
                    ifindex=ifindex,
                    mac="02:00:" + ifindex.to_bytes(4, "big").hex(":"),
                    peer_node=peer,
                    peer_name=f"{peer}-eth{used[peer]}",
                    link_kind=link.kind,
                    stages=link.stages(node, nodes[node].forwarding_ns),
                )
            )
    return tuple(ports)


def _check_names(names: Sequence[str]) -> None:
    """Bridges and ports share one namespace of at most 15 characters."""
    seen: set[str] = set()
    for name in names:
        if len(name) > MAX_NAME:
            raise InputError(
                f"interface name {name!r} has {len(name)} characters",
                where="topology",
                expected=f"at most {MAX_NAME} (IFNAMSIZ)",
                remedy=f"shorten the node's name by {len(name) - MAX_NAME}",
            )
        if name in seen:
            raise InputError(
                f"two interfaces are called {name!r}",
                where="topology",
                expected="each name once",
                remedy="rename one of the nodes",
            )
        seen.add(name)
