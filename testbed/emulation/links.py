"""Links and addresses: what `ip link`, `ip address` and `ethtool` would do, batched.

A link is a veth pair whose ends have the interface indexes of the plan. The ends of
hosts are made in the host's namespace, those of switches in the caller's. Everything
is made down, given its queues, and then set up, because the kernel changes the queue
of a running port only after a grace period.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from testbed.emulation import netlink as nl
from testbed.emulation import qdisc
from testbed.emulation.netlink import Request
from testbed.emulation.netns import entered
from testbed.emulation.qdisc import Arrangement
from testbed.errors import EmulationError
from testbed.net.nodes import Host
from testbed.net.state import Pair
from testbed.plan.model import Plan
from testbed.port.pipeline import Port

GROUP = 0x7E57BED
"""Interface group (`ip link show group`) of all links made here."""
_TX_QUEUE_PACKETS = 1000
_SWITCH_MTU = 1600
"""A full packet and its labels; Open vSwitch drops what is longer without counting it."""

_IFINFO = struct.Struct("=BxHiII")
_UP = 1
_CARRIER = _UP | 1 << 16
"""Set up, and its other end too (IFF_LOWER_UP)."""
_LOOPBACK_INDEX = 1
_MAC, _NAME, _MTU, _TXQLEN, _LINKINFO, _GROUP, _NETNS_FD, _TX_QUEUES, _RX_QUEUES = (
    *(1, 3, 4, 13, 18, 27, 28, 31, 32),
)
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1

_NEIGHBOUR = struct.Struct("=IHHIIBxHiHBBHH4sHH6s2x")
_PERMANENT = 0x80

_SIOCETHTOOL = 0x8946
_OFF = {"tx checksum": 0x17, "scatter-gather": 0x19, "TSO": 0x1F, "GSO": 0x24, "GRO": 0x2C}


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def pairs(ports: Iterable[Port]) -> list[tuple[Port, Port]]:
    """The two ends of each link, in the order of the plan.

    Raises EmulationError if a port's peer is not in the plan.
    """
    by_name = {(port.node, port.name): port for port in ports}
    found = []
    while by_name:
        key = next(iter(by_name))
        one = by_name.pop(key)
        other = by_name.pop((one.peer_node, one.peer_name), None)
        if other is None:
            raise EmulationError(
                f"port {one.name} has no other end",
                where=f"node {one.node}",
                expected=f"port {one.peer_name} of {one.peer_node} in the plan",
            )
        found.append((one, other))
    return found


def between(ports: Sequence[Port], a: str, b: str) -> list[Port]:
    """Both ends of all links between two nodes. Raises EmulationError."""
    ends = [port for port in ports if {port.node, port.peer_node} == {a, b}]
    if not ends:
        neighbours = sorted({port.peer_node for port in ports if port.node == a})
        raise EmulationError(
            f"there is no link between {a} and {b}",
            expected=f"a neighbour of {a}: {', '.join(neighbours)}",
        )
    return ends


def make(
    link: nl.Netlink, ends: Iterable[tuple[Port, Port]], namespaces: Mapping[str, int]
) -> None:
    """Make veth pairs, down. Raises EmulationError with the kernel's words."""
    requests = []
    for one, other in ends:
        # the first end is made where the socket is, so that GROUP can remove it
        a, b = (other, one) if one.node in namespaces else (one, other)
        peer = nl.attr(_VETH_PEER, _end(b, namespaces))
        info = nl.text(_INFO_KIND, "veth") + nl.nest(_INFO_DATA, peer)
        body = _end(a, namespaces) + nl.attr(_LINKINFO, info)
        about = f"link {a.name} - {b.name}"
        requests.append(Request(nl.RTM_NEWLINK, nl.CREATE | nl.EXCL, body, about))
    link.do(requests)


def _end(port: Port, namespaces: Mapping[str, int]) -> bytes:
    body = (
        _IFINFO.pack(0, 0, port.ifindex, 0, 0)
        + nl.text(_NAME, port.name)
        + nl.attr(_MAC, mac_bytes(port.mac))
        + nl.u32(_TXQLEN, _TX_QUEUE_PACKETS)
        + nl.u32(_GROUP, GROUP)
        + nl.u32(_TX_QUEUES, 1)
        + nl.u32(_RX_QUEUES, 1)
    )
    if port.node in namespaces:
        body += nl.u32(_NETNS_FD, namespaces[port.node])
    else:
        body += nl.u32(_MTU, _SWITCH_MTU)
    return body


def state(index: int, up: bool, about: str) -> Request:
    """Sets an interface up or down."""
    return Request(nl.RTM_NEWLINK, 0, _IFINFO.pack(0, 0, index, up * _UP, _UP), about)


def without_carrier(link: nl.Netlink, ports: Iterable[Port]) -> frozenset[Pair]:
    """The links, by their two nodes, of those ports of the socket's namespace that have none."""
    by_index = {port.ifindex: frozenset((port.node, port.peer_node)) for port in ports}
    found = (
        _IFINFO.unpack_from(data) for data in link.dump(nl.RTM_GETLINK, _IFINFO.pack(*[0] * 5))
    )
    return frozenset(
        by_index[index]
        for _, _, index, flags, _ in found
        if index in by_index and flags & _CARRIER != _CARRIER
    )


def remove_all(link: nl.Netlink) -> None:
    """Remove every link made in the socket's namespace, in one request."""
    body = _IFINFO.pack(0, 0, 0, 0, 0) + nl.u32(_GROUP, GROUP)
    for refused in link.refusals([Request(nl.RTM_DELLINK, 0, body, "removing links")]):
        if refused.code != 19:  # ENODEV: there were none
            raise EmulationError(f"links could not be removed: {refused}")


def bring_up(link: nl.Netlink, ports: Iterable[Port], arrangement: Arrangement) -> None:
    """Give ports of the socket's namespace their queues, and set them up."""
    requests: list[Request] = []
    for port in ports:
        requests += qdisc.requests(port, arrangement)
        requests.append(state(port.ifindex, True, f"setting {port.name} up"))
    link.do(requests)


def ipv6_off() -> None:
    """No IPv6 on interfaces made from here on in the thread's namespace: a packet the
    plan does not know (router solicitation, MLD) would be on every link."""
    with suppress(OSError):  # asked for here, the module cannot turn up later, switched on
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    for which in ("default", "all"):
        switch = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if switch.exists():
            switch.write_text("1")


class Neighbours:
    """The permanent ARP entries of every host for every other (RFC 826 not needed).

    The kernel's messages differ from host to host only in the interface, so they are
    encoded once.
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._place = {host.name: place for place, host in enumerate(hosts)}
        self._messages = bytearray(
            b"".join(
                _NEIGHBOUR.pack(
                    *(_NEIGHBOUR.size, nl.RTM_NEWNEIGH, nl.CREATE | nl.REPLACE | 1, 0, 0),
                    *(socket.AF_INET, 0, 0, _PERMANENT, 0, 0),
                    *(8, 1, socket.inet_aton(host.ip)),
                    *(10, 2, mac_bytes(host.mac)),
                )
                for host in hosts
            )
        )

    def set(self, link: nl.Netlink, host: str, index: int) -> None:
        """Make the entries on interface `index` of `host`. Raises EmulationError."""
        step = _NEIGHBOUR.size
        for byte, value in enumerate(struct.pack("=i", index)):
            column = slice(16 + 4 + byte, None, step)
            self._messages[column] = bytes([value]) * len(self._place)
        own = self._place[host] * step
        others = bytes(self._messages[:own] + self._messages[own + step :])
        if others:
            link.blob(others, step, f"the neighbours of {host}")


def address_of(index: int, ip: str, prefix: int, about: str) -> Request:
    """Gives interface `index` an address."""
    packed = socket.inet_aton(ip)
    return Request(
        nl.RTM_NEWADDR,
        nl.CREATE | nl.REPLACE,
        struct.pack("=BBBBi", socket.AF_INET, prefix, 0, 0, index)
        + nl.attr(1, packed)
        + nl.attr(2, packed),
        f"address {ip}/{prefix} of {about}",
    )


def address(host: Host, port: Port, plan: Plan) -> Iterator[Request]:
    """Address of a host, and a route to hosts of other prefixes, on one port."""
    own = ipaddress.ip_interface(f"{host.ip}/{host.prefix}").network
    yield address_of(port.ifindex, host.ip, host.prefix, host.name)
    if any(ipaddress.ip_address(other.ip) not in own for other in plan.hosts):
        yield Request(
            nl.RTM_NEWROUTE,
            nl.CREATE | nl.REPLACE,
            struct.pack("=8BI", socket.AF_INET, 0, 0, 0, 254, 4, 253, 1, 0)
            + nl.u32(4, port.ifindex),
            f"the default route of {host.name}",
        )


def configure_host(
    host: Host,
    ports: Sequence[Port],
    plan: Plan,
    namespace: int,
    neighbours: Neighbours,
    arrangement: Arrangement,
) -> None:
    """Everything inside a host's namespace: queues, offloads, addresses, neighbours.

    The address is on the first port. Raises EmulationError.
    """
    with entered(namespace), nl.Netlink() as link:
        ipv6_off()
        offloads_off(ports)
        link.do([state(_LOOPBACK_INDEX, True, f"setting lo of {host.name} up")])
        bring_up(link, ports, arrangement)
        if ports:
            reach(link, host, ports[0], plan, neighbours)


def reach(link: nl.Netlink, host: Host, port: Port, plan: Plan, neighbours: Neighbours) -> None:
    """Address, routes and neighbours of a host whose port is up (down loses them)."""
    link.do(address(host, port, plan))
    neighbours.set(link, host.name, port.ifindex)


def offloads_off(ports: Iterable[Port]) -> None:
    """No segmentation or checksum offload: each packet on the wire is one packet, whole.

    Raises EmulationError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for port in ports:
            for what, command in _OFF.items():
                value = array.array("I", (command, 0))
                request = struct.pack("=16sQ", port.name.encode(), value.buffer_info()[0])
                try:
                    fcntl.ioctl(any_socket, _SIOCETHTOOL, request.ljust(40, b"\0"))
                except OSError as error:
                    raise EmulationError(
                        f"{what} of {port.name} cannot be switched off: {error.strerror}",
                        remedy="`testbed doctor` names what the lab kernel lacks",
                    ) from None
