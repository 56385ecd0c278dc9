"""describe(): stock Mininet topologies, and what cannot be planned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mininet.topo import LinearTopo, SingleSwitchReversedTopo, SingleSwitchTopo, Topo
from mininet.topolib import TorusTopo, TreeTopo

from testbed.errors import InputError
from testbed.links.kinds import AnyLink
from testbed.links.link import Way
from testbed.topology.describe import describe
from tests.topology.routes import least_ns, names
from topologies.metro_ring import MetroRing


def pair(**options: Any) -> Topo:
    topo = Topo()
    topo.addSwitch("s1")
    for host in ("h1", "h2"):
        topo.addHost(host)
        topo.addLink(host, "s1", **options)
    return topo


def first(topo: Topo) -> AnyLink:
    return describe(topo, "pair").links[0]


@given(k=st.integers(1, 6), n=st.integers(1, 3), delay=st.integers(1, 99))
def test_linear(k: int, n: int, delay: int) -> None:
    network = describe(LinearTopo(k=k, n=n, lopts={"delay": f"{delay}ms", "bw": 10}), "linear")
    assert (len(names(network, "switch")), len(names(network, "host"))) == (k, k * n)
    assert len(network.links) == k * n + k - 1
    assert all(link.ab.rate_bps == 10_000_000 for link in network.links)
    hosts = names(network, "host")
    assert least_ns(network, hosts[0], hosts[-1]) in (0, (k + 1) * delay * 1_000_000)
    assert all(node.forwarding_ns == 0 for node in network.nodes)
    assert {(node.role, node.kind) for node in network.nodes} == {
        ("host", "host"),
        ("switch", "switch"),
    }


@pytest.mark.parametrize(
    "topo",
    [
        SingleSwitchTopo(k=3),
        SingleSwitchReversedTopo(k=3),
        TreeTopo(depth=2, fanout=2),
        TorusTopo(3, 3),
    ],
)
def test_stock_topologies(topo: Topo) -> None:
    network = describe(topo, "stock")
    assert len(network.nodes) == len(topo.nodes())
    assert len(network.links) == len(topo.links())
    assert all(link.ab == Way() and not link.delay(link.a).most_ns for link in network.links)


@pytest.mark.parametrize(
    ("delay", "ns"),
    [
        ("5ms", 5_000_000),
        ("5 ms", 5_000_000),
        ("7us", 7_000),
        ("3", 3_000),
        (3, 3_000),
        ("1.5s", 1_500_000_000),
        ("2msec", 2_000_000),
        ("88.146us", 88_146),
        ("9ns", 9),
        (None, 0),
    ],
)
def test_delay_as_tc_reads_it(delay: object, ns: int) -> None:
    assert first(pair(delay=delay)).delay("h1") == (ns, ns, ns)


def test_rate_loss_and_buffer() -> None:
    way = first(pair(bw=2.5, loss=1, max_queue_size=50)).ab
    assert (way.rate_bps, way.loss, way.buffer_packets) == (2_500_000, 0.01, 50)


def test_options_of_one_direction() -> None:
    topo = pair(params1={"delay": "1ms"}, params2={"delay": "2ms", "bw": 5}, bw=10)
    link = describe(topo, "pair").links[0]
    assert (link.delay("h1").least_ns, link.delay("s1").least_ns) == (1_000_000, 2_000_000)
    assert link.ba.rate_bps == 10_000_000  # common options win, as in Mininet


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"loss": 101}, "loss in percent = 101"),
        ({"loss": -1}, "loss in percent = -1"),
        ({"loss": "1%"}, "loss in percent = '1%'"),
        ({"bw": 1001}, "bw in Mbit/s = 1001"),
        ({"bw": -1}, "bw in Mbit/s = -1"),
        ({"bw": 0}, "cannot be shaped"),
        ({"bw": "10"}, "bw in Mbit/s = '10'"),
        ({"delay": "-5ms"}, "delay = '-5ms'"),
        ({"delay": "5 parsec"}, "delay = '5 parsec'"),
        ({"delay": "1.2.3ms"}, "delay = '1.2.3ms'"),
        ({"delay": "300s"}, "cannot be shaped"),
        ({"max_queue_size": 0}, "a buffer of 0 packets"),
        ({"jitter": "1ms"}, "jitter = '1ms' is not supported"),
        ({"enable_red": True}, "enable_red = True is not supported"),
    ],
)
def test_options_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as caught:
        describe(pair(**options), "pair")
    assert what in caught.value.what
    assert caught.value.where == "link h1 - s1"
    assert caught.value.expected


def disconnected(topo: Topo) -> None:
    topo.addSwitch("s2")
    topo.addHost("h3")
    topo.addLink("s2", "h3")


def two_homed(topo: Topo) -> None:
    topo.addSwitch("s2")
    topo.addLink("s1", "s2")
    topo.addLink("h1", "s2")


def host_to_host(topo: Topo) -> None:
    topo.addHost("h3")
    topo.addLink("h1", "h3")


def long_name(topo: Topo) -> None:
    topo.addSwitch("tencharact")
    topo.addLink("s1", "tencharact")
    for i in range(3, 12):
        topo.addHost(f"h{i}")
        topo.addLink(f"h{i}", "tencharact")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (disconnected, "2 parts that are not connected"),
        (disconnected, "link h3, s2 to the rest"),
        (two_homed, "host h1 has 2 links"),
        (host_to_host, "two hosts are linked"),
        (long_name, "'tencharact-eth10' has 16 characters"),
        (lambda t: t.addSwitch("elevenchars"), "has 16 characters"),
        (lambda t: t.addSwitch("s 2"), "'s 2' is not a node name"),
        (lambda t: t.addLink("s1", "h2"), "the nodes are linked twice"),
        (lambda t: t.addLink("s1", "s1"), "a node is linked to itself"),
    ],
)
def test_networks_refused(spoil: Callable[[Topo], None], text: str) -> None:
    topo = pair()
    spoil(topo)
    with pytest.raises(InputError) as caught:
        describe(topo, "pair")
    assert text in str(caught.value)


def test_no_hosts() -> None:
    topo = Topo()
    topo.addSwitch("s1")
    with pytest.raises(InputError, match="no hosts"):
        describe(topo, "bare")


def test_metro_and_stock_nodes_mix() -> None:
    ring = MetroRing(sites=3)
    ring.addHost("extra")
    ring.addLink("extra", "r2", delay="1ms")
    network = describe(ring, "mixed")
    # h2 - r2 - extra: 15 us in r2, 1 ms on the stock link
    assert least_ns(network, "h2", "extra") == 1_015_000
