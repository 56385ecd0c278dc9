"""Addresses, names and numbers; delays and buffers of ports."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError
from testbed.links.fibre import Fibre
from testbed.links.link import Way
from testbed.plan.wiring import wire
from testbed.topology.model import Network, Node
from tests.plan.networks import link, triangle


def test_numbers_follow_the_order_of_links() -> None:
    wiring = wire(triangle())
    ends = [(p.name, p.peer_name, p.number, p.ifindex) for p in wiring.ports[:4]]
    assert ends == [
        ("s1-eth1", "s2-eth1", 1, 1000),
        ("s2-eth1", "s1-eth1", 1, 1001),
        ("s1-eth2", "s3-eth1", 2, 1002),
        ("s3-eth1", "s1-eth2", 1, 1003),
    ]
    access = wiring.port("h1", "s1")
    assert (access.name, access.peer_name, access.number) == ("h1-eth0", "s1-eth3", 0)
    assert access.mac == wiring.hosts[0].mac == "02:00:00:00:03:ee"
    assert [(h.name, h.ip, h.prefix) for h in wiring.hosts[:2]] == [
        ("h1", "10.0.0.1", 16),
        ("h2", "10.0.0.2", 16),
    ]
    assert [switch.dpid for switch in wiring.switches] == [1, 2, 3]


def test_each_direction_has_its_delay_and_the_sender_forwards() -> None:
    network = Network(
        name="pair",
        nodes=(
            Node(name="s1", role="switch", kind="router", forwarding_ns=15_000),
            Node(name="s2", role="switch", kind="roadm", forwarding_ns=500),
        ),
        links=(Fibre(a="s1", b="s2", length_km=10, ab=Way(loss=0.25), transponders=2),),
    )
    there, back = wire(network).ports
    assert (there.delay_ns, there.channel.propagation_ns, there.channel.device_ns) == (
        93_970,
        48_970,
        45_000,
    )
    assert (back.delay_ns, back.channel.propagation_ns, back.channel.device_ns) == (
        79_470,
        48_970,
        30_500,
    )
    assert (there.loss, back.loss, there.km, there.rate_bps) == (0.25, 0.0, 10.0, None)


def test_a_name_that_is_too_long() -> None:
    nodes = tuple(
        msgspec.structs.replace(n, name="amsterdam01") if n.name == "s3" else n
        for n in triangle().nodes
    )
    links = (link("s1", "amsterdam01", 0, None),)
    with pytest.raises(InputError, match="amsterdam01-eth1' has 16 characters") as caught:
        wire(Network(name="long", nodes=nodes, links=links))
    assert caught.value.remedy == "shorten the node's name by 1"


def test_a_bridge_called_like_a_port() -> None:
    nodes = tuple(Node(name=n, role="switch", kind="switch") for n in ("s1", "s1-eth1"))
    with pytest.raises(InputError, match="two interfaces are called 's1-eth1'"):
        wire(Network(name="clash", nodes=nodes, links=(link("s1", "s1-eth1", 0, None),)))


def test_hosts_beyond_255_stay_in_the_subnet() -> None:
    nodes = [Node(name="s1", role="switch", kind="switch")]
    nodes += [Node(name=f"h{n}", role="host", kind="host") for n in range(300)]
    links = tuple(link(f"h{n}", "s1", 0, None) for n in range(300))
    wiring = wire(Network(name="star", nodes=tuple(nodes), links=links))
    assert wiring.hosts[299].ip == "10.0.1.44"
    assert len({port.mac for port in wiring.ports}) == 600
