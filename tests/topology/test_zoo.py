"""Real graphs: what topohub has, in km and one-way delay; what is refused and why."""

from __future__ import annotations

import itertools

import pytest
import topohub
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.topology.describe import describe
from testbed.topology.zoo import load, nearest_sites
from tests.topology.routes import least_ns, names
from topologies.zoo import Zoo

ABSTRACT = [
    "newyork",
    "atlanta",
    "ta1",
    "ta2",
    "di-yuan",
    "zib54",
    "giul39",
    "pioro40",
    "brain",
    "india35",
]
LIKE_THEM = ["france", "norway", "sun"]


def test_surfnet() -> None:
    network = describe(Zoo(), "zoo")
    fibres = [link for link in network.links if link.kind == "fibre"]
    assert (len(names(network, "switch")), len(fibres)) == (50, 68)
    assert [node.name for node in network.nodes if node.kind == "compute"] == ["c1", "c2"]
    assert {(link.a, link.b): link.km for link in fibres} == {
        (f"s{int(edge['source']) + 1}", f"s{int(edge['target']) + 1}"): round(edge["dist"] * 1.5, 3)
        for edge in topohub.get("topozoo/Surfnet")["edges"]
    }
    assert all(link.ab == link.ba for link in network.links)


def test_delay_of_a_fibre_by_hand() -> None:
    network = describe(Zoo(at="Dwingeloo"), "zoo")
    # Westerbork - Dwingeloo, 16.15 km straight, 24.225 km of fibre:
    # two transponder ends, two ROADMs
    assert least_ns(network, "h1", "c1") == 30_000 + 2 * 500 + round(24.225 * 4897)
    assert least_ns(network, "h2", "c1") == 30_000 + 500


@pytest.mark.parametrize(("factor", "covered"), [(1.5, 34), (2.0, 25)])
def test_sites_within_a_millisecond_of_one_centre(factor: float, covered: int) -> None:
    # 68 % and 50 % of SURFnet's 50 sites
    network = describe(Zoo(centres=1, route_factor=factor), "zoo")
    hosts = [host for host in names(network, "host") if host != "c1"]
    assert sum(least_ns(network, host, "c1") < 1_000_000 for host in hosts) == covered


def test_electrical_sites_have_transponders_on_each_fibre() -> None:
    network = describe(Zoo(kind="router", at="s2"), "zoo")
    assert least_ns(network, "h1", "c1") == 30_000 + 2 * 15_000 + round(24.225 * 4897)


@pytest.mark.parametrize("name", ABSTRACT + LIKE_THEM)
def test_distances_without_meaning_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"distances of sndlib/{name} mean nothing") as caught:
        Zoo(name=f"sndlib/{name}")
    assert "mean_link" in caught.value.remedy


def test_a_refused_graph_can_be_given_its_scale() -> None:
    links = load("sndlib/newyork", mean_km=5).links
    assert sum(km for _, _, km in links) / len(links) == pytest.approx(5, abs=1e-3)
    assert max(km for _, _, km in links) < 20  # the drawing's proportions, not degrees'


def test_the_other_graphs_of_sndlib_are_taken() -> None:
    for name in ("polska", "nobel-germany", "germany50", "abilene", "cost266"):
        assert load(f"sndlib/{name}").links


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"name": "Surfnet"}, "did you mean 'topozoo/Surfnet'"),
        ({"name": "topozoo/surfnet"}, "did you mean 'topozoo/Surfnet'"),
        ({"name": "nothing/like-it"}, "unknown graph 'nothing/like-it'"),
        ({"at": "Utrect"}, "did you mean 'Utrecht'"),
        ({"at": "Utrecht+"}, "unknown place ''"),
        ({"name": "topozoo/Cernet", "at": "Shijiazhuang"}, "sites are called"),
        ({"centres": 51}, "a whole number from 0 to 50"),
        ({"route_factor": 0.9}, "a number from 1 to 3"),
        ({"mean_link": "12"}, "has no unit"),
        ({"kind": "oxe"}, "did you mean 'oxc'"),
    ],
)
def test_refused(params: dict[str, object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        Zoo(**params)
    assert text in str(caught.value)


@given(
    nodes=st.integers(2, 9),
    count=st.integers(1, 3),
    data=st.data(),
)
def test_nearest_sites_of_small_trees_and_meshes(
    nodes: int, count: int, data: st.DataObject
) -> None:
    count = min(count, nodes)
    km = st.integers(1, 50).map(float)
    links = [(data.draw(st.integers(0, i - 1)), i, data.draw(km)) for i in range(1, nodes)]
    found = nearest_sites(nodes, links, count)
    assert len(set(found)) == count
    assert found == nearest_sites(nodes, links, count)

    def cost(chosen: tuple[int, ...]) -> float:
        reach = _all_pairs(nodes, links)
        return sum(min(reach[c][n] for c in chosen) for n in range(nodes))

    best = min(map(cost, itertools.combinations(range(nodes), count)))
    assert cost(tuple(found)) <= 5 * best  # bound of exchange search (Arya et al. 2004)
    if count == 1:
        assert cost(tuple(found)) == best


def _all_pairs(nodes: int, links: list[tuple[int, int, float]]) -> list[list[float]]:
    reach = [[0.0 if a == b else float("inf") for b in range(nodes)] for a in range(nodes)]
    for a, b, km in links:
        reach[a][b] = reach[b][a] = min(km, reach[a][b])
    for k, a, b in itertools.product(range(nodes), repeat=3):
        reach[a][b] = min(reach[a][b], reach[a][k] + reach[k][b])
    return reach
