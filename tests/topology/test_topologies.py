"""Every file of topologies/: delays worked out by hand, symmetry, names, stock options."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mininet.topo import Topo

import topologies
from testbed.errors import InputError
from testbed.scenario.params import parameters
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo
from tests.searching import examples
from tests.topology.routes import fewest_hops_ns, least_ns, names
from topologies.access_5g import Access5G
from topologies.city import City
from topologies.metro_mesh import MetroMesh
from topologies.metro_ring import MetroRing

FOLDER = Path(topologies.__file__).parent
FILES = {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}
MN = Path(inspect.getfile(Topo)).parents[4] / "bin" / "mn"


def load_as_mn(name: str) -> dict[str, Any]:
    """What `mn --custom` does with a file."""
    customs: dict[str, Any] = {}
    exec(compile(FILES[name].read_text(), str(FILES[name]), "exec"), customs, customs)
    return customs


def check(topo: MetroTopo, name: str) -> None:
    """What holds for every topology whatever its parameters."""
    network = describe(topo, name)
    kinds = {node.name: node.kind for node in network.nodes}
    for link in network.links:
        if link.kind == "radio":
            assert (kinds[link.a], kinds[link.b]) == ("ue", "gnb")
        else:
            assert link.ab == link.ba
        assert link.ab.rate_bps is not None
        assert (link.km > 0) == (link.kind == "fibre")
    for a, b, delay_ns in network.graph().edges(data="delay_ns"):
        info = topo.linkInfo(a, b)
        way = info["params1" if info["node1"] == a else "params2"]
        assert way["delay"] == f"{delay_ns / 1000:.3f}us"
        assert 0 < way["bw"] <= 1000
        assert way["max_queue_size"] >= 1000
    for node, ports in topo.ports.items():
        assert all(len(f"{node}-eth{port}") <= 15 for port in ports)
    dpids = [int(topo.nodeInfo(s)["dpid"], 16) for s in topo.switches(sort=False)]
    assert dpids == list(range(1, len(dpids) + 1))


def test_there_are_the_five() -> None:
    assert {"metro_ring", "metro_mesh", "access_5g", "city", "zoo"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_defaults(name: str) -> None:
    kind = load_as_mn(name)["topos"][name]
    check(kind(), name)
    # every parameter has a type the command line can read, and each is documented
    for parameter in parameters(kind.build, name):
        assert parameter in kind.build.__doc__.partition("Args:")[2]
    assert "one-way" in kind.__doc__


@pytest.mark.parametrize("name", FILES)
def test_no_name_replaces_one_of_mn(name: str) -> None:
    # `mn --custom` copies every global of the file into mn itself
    used = {n.id for n in ast.walk(ast.parse(MN.read_text())) if isinstance(n, ast.Name)}
    assert {"TOPOS", "cleanup", "Mininet"} <= used
    assert not used & set(load_as_mn(name))


def test_ring_by_hand() -> None:
    network = describe(MetroRing(), "metro_ring")
    # r1 15 + transponder 15 + x1 0.5 + 18 km 88.146 + x2 0.5 + transponder 15 + r2 15 us
    assert least_ns(network, "dc1", "h2") == 149_146
    assert least_ns(network, "dc1", "h4") == 149_146 + 2 * 88_646
    assert least_ns(network, "h4", "dc1") == 149_146 + 2 * 88_646
    assert least_ns(network, "h6", "h2") == 149_146 + 88_646


@given(sites=st.integers(3, 12), metres=st.integers(0, 90_000), data=st.data())
@settings(max_examples=examples(30), deadline=None)
def test_ring(sites: int, metres: int, data: st.DataObject) -> None:
    centres = data.draw(st.integers(0, sites))
    ring = MetroRing(sites=sites, span=f"{metres} m", centres=centres)
    network = describe(ring, "ring")
    hosts = names(network, "host")
    assert sum(host.startswith("dc") for host in hosts) == centres
    a, b = data.draw(st.permutations(range(sites)))[:2]
    spans = min((a - b) % sites, (b - a) % sites)
    amplifier = 150 if metres > 80_000 else 0
    expected = 60_500 + spans * (round(metres * 4.897) + amplifier + 500)
    assert least_ns(network, hosts[a], hosts[b]) == expected


def test_mesh_by_hand() -> None:
    network = describe(MetroMesh(), "metro_mesh")
    # a12 15 + 5 km 24.485 + a11 15 + 5 km 24.485 + transponder 15 + x1 0.5
    # + transponder 15 + dc1_gw 15 us
    assert least_ns(network, "h1", "dc1") == 124_470
    # h2: a22, a21 and x3 likewise, then two spans of 12 km are quicker than the chord
    assert least_ns(network, "h2", "dc1") == 124_470 + 2 * (58_764 + 500)
    chord = next(link for link in network.links if (link.a, link.b) == ("x1", "x3"))
    assert fewest_hops_ns(network, "h2", "dc1") == [
        124_470 + chord.parts("x1").propagation_ns + 500
    ]
    assert 24 < chord.km < 30


@given(
    core=st.integers(6, 10),
    horseshoes=st.integers(1, 6),
    nodes=st.integers(2, 8),
    span=st.floats(1, 60),
    access_span=st.floats(0.1, 20),
)
@settings(max_examples=examples(30), deadline=None)
def test_mesh(core: int, horseshoes: int, nodes: int, span: float, access_span: float) -> None:
    mesh = MetroMesh(
        core=core,
        horseshoes=horseshoes,
        nodes=nodes,
        span=f"{span} km",
        access_span=f"{access_span} km",
    )
    check(mesh, "mesh")
    network = describe(mesh, "mesh")
    assert len(names(network, "switch")) == core + horseshoes * nodes + 2
    graph = network.graph()
    for host in names(network, "host"):
        assert least_ns(network, host, "dc1") == least_ns(network, "dc1", host)
    # dual-homed: any one access router may fail without cutting off another
    for router in (n for n in graph if n.startswith("a")):
        rest = graph.subgraph(n for n in graph if n != router and n[0] in "ax").to_undirected()
        assert nx.is_connected(rest)


def test_access_by_hand() -> None:
    network = describe(Access5G(), "access_5g")
    # up: radio 2450 + 2 km 9.794 + park_sw 1 us; down: park_sw 1 + 9.794 + radio 1510 us
    assert least_ns(network, "ue1", "park") == 2_460_794
    assert least_ns(network, "park", "ue1") == 1_520_794
    # + 20 km 97.94 + transponder pair 30 + metro_gw 15 us
    assert least_ns(network, "ue1", "metro") == 2_460_794 + 142_940
    assert least_ns(network, "metro", "ue1") == 1_520_794 + 142_940
    # + 2250 km 11018.25 + 28 amplifiers 4.2 + transponder pair 30 + cloud_gw 15 us
    assert least_ns(network, "ue4", "cloud") == 2_460_794 + 142_940 + 11_067_450
    assert least_ns(network, "cloud", "ue4") == 1_520_794 + 142_940 + 11_067_450


@given(
    gnbs=st.integers(1, 9),
    ues=st.integers(1, 30),
    up=st.integers(0, 50_000),
    down=st.integers(0, 50_000),
)
@settings(max_examples=examples(30), deadline=None)
def test_access(gnbs: int, ues: int, up: int, down: int) -> None:
    topo = Access5G(gnbs=gnbs, ues=ues, uplink=f"{up} us", downlink=f"{down} us")
    check(topo, "access")
    network = describe(topo, "access")
    for ue in (n for n in names(network, "host") if n.startswith("ue")):
        there, back = least_ns(network, ue, "park"), least_ns(network, "park", ue)
        assert there - back == (up - down) * 1000
    cells = {link.a: link.b for link in network.links if link.kind == "radio"}
    assert cells == {f"ue{i + 1}": f"gnb{i % gnbs + 1}" for i in range(ues)}


def test_city_names() -> None:
    network = describe(City(), "city")
    hosts = {*(f"ue{i}" for i in range(1, 9)), "park", "metro", "cloud", "home1", "home2"}
    assert set(names(network, "host")) == hosts
    switches = set(names(network, "switch"))
    assert switches == {
        *(f"x{i}" for i in range(1, 9)),
        *(f"a{j}{k}" for j in range(1, 4) for k in range(1, 5)),
        *(f"gnb{i}" for i in range(1, 5)),
        *("park_sw", "metro_gw", "cloud_gw", "fw"),
    }


def test_city_by_hand() -> None:
    network = describe(City(), "city")
    assert least_ns(network, "ue1", "park") == 2_460_794
    assert least_ns(network, "park", "ue1") == 1_520_794
    # home1: a12, a13, a14 (3 routers, 2 x 5 km), 5 km and a transponder to x2,
    # 3 x 12 km over x3, x4 to x5 (4 OXCs), transponder, metro_gw
    home1 = 3 * 15_000 + 3 * 24_485 + 15_000 + 3 * 58_764 + 4 * 500 + 15_000 + 15_000
    assert least_ns(network, "home1", "metro") == home1
    assert least_ns(network, "ue1", "metro") == 2_460_794 + 9_794 + home1
    assert least_ns(network, "cloud", "home1") == home1 + 11_052_450 + 15_000


def test_city_hop_count_goes_through_the_firewall() -> None:
    network = describe(City(), "city")
    assert least_ns(network, "ue1", "metro") == 2_812_335
    (hops,) = fewest_hops_ns(network, "ue1", "metro")
    assert 2_812_335 + 50_000 < hops < 2_812_335 + 200_000
    graph = network.graph()
    assert graph.edges["fw", "metro_gw"]["delay_ns"] == 200_000


@given(
    core=st.integers(6, 10),
    horseshoes=st.integers(1, 6),
    nodes=st.integers(2, 8),
    gnbs=st.integers(1, 9),
    ues=st.integers(1, 20),
    homes=st.integers(0, 20),
)
@settings(max_examples=examples(30), deadline=None)
def test_city(core: int, horseshoes: int, nodes: int, gnbs: int, ues: int, homes: int) -> None:
    city = City(core=core, horseshoes=horseshoes, nodes=nodes, gnbs=gnbs, ues=ues, homes=homes)
    check(city, "city")
    network = describe(city, "city")
    assert len(names(network, "host")) == 3 + ues + homes
    for ue in ("ue1", f"ue{ues}"):
        for server in ("park", "metro", "cloud"):
            there, back = least_ns(network, ue, server), least_ns(network, server, ue)
            assert there - back == 940_000


@pytest.mark.parametrize(
    ("kind", "params", "text"),
    [
        (MetroRing, {"sites": 2}, "a whole number from 3 to 40"),
        (MetroRing, {"sites": 6.0}, "sites = 6.0"),
        (MetroRing, {"span": "18"}, "has no unit"),
        (MetroRing, {"span": "-18 km"}, "is negative"),
        (MetroRing, {"kind": "roadmm"}, "did you mean 'roadm'"),
        (MetroRing, {"rate": "0 Mbit/s"}, "is zero"),
        (MetroRing, {"centres": 7}, "a whole number from 0 to 6"),
        (MetroMesh, {"core": 5}, "a whole number from 6 to 10"),
        (MetroMesh, {"horseshoes": 9}, "a whole number from 1 to 8"),
        (MetroMesh, {"core_rate": "1 Gb"}, "unknown unit 'Gb'"),
        (Access5G, {"uplink": "2.45"}, "has no unit"),
        (Access5G, {"route_factor": 0.5}, "a number from 1 to 3"),
        (Access5G, {"ues": 0}, "a whole number from 1 to 99"),
        (City, {"homes": -1}, "a whole number from 0 to 99"),
        (City, {"cloud_distance": "1e7 km"}, "km = 15000000.0"),
        (City, {"gnbs": True}, "gnbs = True"),
    ],
)
def test_refused(kind: type[MetroTopo], params: dict[str, object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**params)
    assert text in str(caught.value)
    assert caught.value.where
