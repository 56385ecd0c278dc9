"""MetroTopo: delays per direction, the options stock Mininet gets, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed.errors import InputError
from testbed.links.kinds import AnyLink
from testbed.port.stage import Parts
from testbed.topology.describe import describe
from testbed.topology.model import Network
from testbed.topology.topo import MetroTopo


def empty() -> MetroTopo:
    """Two OXCs, two routers, a gNB, a terminal and a host; no links."""
    topo = MetroTopo()
    for name, kind in (("x1", "oxc"), ("x2", "oxc"), ("r1", "router"), ("r2", "router")):
        topo.switch(name, kind)
    topo.switch("gnb1", "gnb")
    topo.host("ue1", "ue")
    topo.host("h1")
    return topo


def link(topo: MetroTopo, a: str, b: str) -> AnyLink:
    found: AnyLink = topo.linkInfo(a, b)["metro"]
    return found


@pytest.mark.parametrize(
    ("a", "b", "coherent", "extra_ns"),
    [
        ("x1", "x2", False, 0),  # light passes through
        ("x1", "x2", True, 0),
        ("r1", "x1", False, 15_000),  # made light once
        ("x1", "r1", True, 15_000),
        ("h1", "x1", False, 15_000),
        ("r1", "r2", False, 0),  # short reach
        ("r1", "r2", True, 30_000),  # a coherent pair
    ],
)
def test_transponders(a: str, b: str, coherent: bool, extra_ns: int) -> None:
    topo = empty()
    topo.fibre(a, b, km=10, coherent=coherent)
    found = link(topo, a, b)
    assert found.parts(a) == found.parts(b) == Parts(48_970, extra_ns)
    assert found.ab == found.ba


def test_long_fibre_has_amplifiers() -> None:
    topo = empty()
    topo.fibre("x1", "x2", km=300)
    assert link(topo, "x1", "x2").parts("x1").device_ns == 3 * 150


def test_a_lan_to_an_optical_device_is_a_transponder() -> None:
    topo = empty()
    topo.lan("r1", "x1")
    topo.lan("r2", "r1")
    assert link(topo, "r1", "x1").parts("x1").device_ns == 15_000
    assert link(topo, "r1", "r2").parts("r1").device_ns == 0


def test_radio_differs_up_and_down() -> None:
    topo = empty()
    topo.radio(
        "ue1",
        "gnb1",
        uplink="2.45 ms",
        downlink="1.51 ms",
        uplink_rate="50 Mbit/s",
        downlink_rate="100 Mbit/s",
    )
    found = link(topo, "ue1", "gnb1")
    assert (found.a, found.b, found.kind) == ("ue1", "gnb1", "radio")
    assert found.parts("ue1") == Parts(radio_ns=2_450_000)
    assert found.parts("gnb1") == Parts(radio_ns=1_510_000)
    assert (found.ab.rate_bps, found.ba.rate_bps) == (50_000_000, 100_000_000)


def test_stock_options_hold_delay_rate_and_loss_per_direction() -> None:
    topo = empty()
    topo.fibre("r1", "x1", km=18, rate="100 Mbit/s", loss_percent=0.5, buffer_packets=200)
    info = topo.linkInfo("r1", "x1")
    # 15 us router + 15 us transponder + 88.146 us; back 0.5 us instead of the router's
    assert info["params1"]["delay"] == "118.146us"
    assert info["params2"]["delay"] == "103.646us"
    assert info["params1"]["bw"] == 100.0
    assert info["params1"]["loss"] == 0.5
    # 118.146 us hold 24 packets of 64 bytes at 100 Mbit/s
    assert info["params1"]["max_queue_size"] == 200 + 24


def test_stock_options_leave_out_a_rate_mininet_would_ignore() -> None:
    topo = empty()
    topo.fibre("r1", "r2", km=1, rate="10 Gbit/s")
    assert set(topo.linkInfo("r1", "r2")["params1"]) == {"delay"}
    assert link(topo, "r1", "r2").ab.rate_bps == 10_000_000_000


def test_dpids_count_the_switches() -> None:
    topo = empty()
    dpids = [topo.nodeInfo(s)["dpid"] for s in ("x1", "x2", "r1", "r2", "gnb1")]
    assert [int(dpid, 16) for dpid in dpids] == [1, 2, 3, 4, 5]


def test_forwarding_can_be_given() -> None:
    topo = MetroTopo()
    topo.switch("s1", "otn", forwarding="30 us", site="Delft", x=4.36, y=52.0)
    topo.host("h1")
    topo.lan("h1", "s1")
    network: Network = describe(topo, "one")
    node = network.nodes[0]
    assert (node.kind, node.site, node.x, node.y) == ("otn", "Delft", 4.36, 52.0)
    assert node.forwarding_ns == 30_000
    assert network.graph().edges["s1", "h1"]["delay_ns"] == 30_000


@pytest.mark.parametrize(
    ("act", "what", "where"),
    [
        (lambda t: t.switch("x1"), "two nodes are called 'x1'", ""),
        (lambda t: t.host("x1"), "two nodes are called 'x1'", ""),
        (lambda t: t.switch("s1", "oxd"), "unknown switch kind 'oxd'", "switch s1"),
        (lambda t: t.host("h2", "router"), "unknown host kind 'router'", "host h2"),
        (lambda t: t.switch("s 1"), "'s 1' is not a node name", "switch s 1"),
        (lambda t: t.switch("longswitch1"), "has 16 characters", "node longswitch1"),
        (lambda t: t.switch("s1", forwarding="-1 us"), "is negative", "switch s1"),
        (lambda t: t.switch("s1", forwarding="9"), "has no unit", "switch s1"),
        (lambda t: t.fibre("x1", "x9", km=1), "unknown node 'x9'", "fibre x1 - x9"),
        (lambda t: t.fibre("x1", "x1", km=1), "linked to itself", "fibre x1 - x1"),
        (lambda t: t.fibre("x1", "x2", km=-1), "km = -1", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km=float("nan")), "km = nan", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km="18 km"), "km = '18 km'", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km=1, rate="100"), "has no unit", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km=1, rate=100), "has no unit", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km=1, rate="1 bit/s"), "cannot be shaped", "fibre x1 - x2"),
        (lambda t: t.fibre("x1", "x2", km=1, rate="1 Tbit/s"), "cannot be shaped", "fibre"),
        (lambda t: t.fibre("x1", "x2", km=1, loss_percent=101), "loss in percent = 101", "fibre"),
        (lambda t: t.fibre("x1", "x2", km=1, buffer_packets=0), "a buffer of 0 packets", "fibre"),
        (lambda t: t.radio("ue1", "gnb1", uplink="5 min", downlink="1 ms"), "cannot be", "radio"),
        (lambda t: t.radio("ue1", "gnb1", uplink="-1 ms", downlink="1 ms"), "negative", "radio"),
    ],
)
def test_refused(act: Callable[[MetroTopo], None], what: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        act(empty())
    assert what in caught.value.what
    assert caught.value.where.startswith(where)
    assert caught.value.expected


def test_a_second_link_between_two_nodes_is_refused() -> None:
    topo = empty()
    topo.fibre("x1", "x2", km=1)
    with pytest.raises(InputError, match="linked twice"):
        topo.lan("x2", "x1")


def test_the_tenth_port_of_a_long_name_is_refused() -> None:
    topo = MetroTopo()
    topo.switch("tencharact")
    for i in range(9):
        topo.host(f"h{i}")
        topo.lan(f"h{i}", "tencharact")
    topo.host("h9")
    with pytest.raises(InputError, match="'tencharact-eth10' has 16 characters"):
        topo.lan("h9", "tencharact")


def test_a_stock_node_needs_a_stock_link() -> None:
    topo = empty()
    topo.addSwitch("s1")
    with pytest.raises(InputError, match="not added by switch"):
        topo.lan("s1", "x1")
