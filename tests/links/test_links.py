"""Kinds of links: what each says of a direction, and what becomes of it."""

from __future__ import annotations

import math
import re
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.links.fibre import Fibre
from testbed.links.kinds import KINDS, AnyLink
from testbed.links.lan import Lan
from testbed.links.link import Link, Way
from testbed.links.radio import Radio
from testbed.links.stated import Stated
from testbed.plan.validate import validate_network
from testbed.plan.wiring import wire
from testbed.port.channel import Channel
from testbed.port.queues import Queues
from testbed.port.stage import Parts
from testbed.port.transmitter import Transmitter
from testbed.topology.describe import describe
from testbed.topology.model import Network, Node
from testbed.topology.topo import MetroTopo

UP = Way(rate_bps=50_000_000, buffer_packets=7, loss=0.25)
LINKS: list[AnyLink] = [
    Fibre(a="a", b="b", length_km=300, transponders=2, ab=UP),
    Lan(a="a", b="b", transponders=1, ab=UP),
    Radio(a="a", b="b", uplink_ns=2_450_000, downlink_ns=1_510_000, ab=UP),
    Stated(a="a", b="b", ab_ns=5, ba_ns=7, ab=UP),
]


def test_every_kind_is_looked_at_here() -> None:
    assert {link.kind for link in LINKS} == set(KINDS)
    assert [KINDS[link.kind] for link in LINKS] == [type(link) for link in LINKS]
    assert all(kind.WORDS for kind in KINDS.values())


@pytest.mark.parametrize(
    ("link", "there", "back"),
    list(
        zip(
            LINKS,
            (
                Parts(propagation_ns=1_469_100, device_ns=3 * 150 + 30_000),
                Parts(device_ns=15_000),
                Parts(radio_ns=2_450_000),
                Parts(propagation_ns=5),
            ),
            (
                Parts(propagation_ns=1_469_100, device_ns=3 * 150 + 30_000),
                Parts(device_ns=15_000),
                Parts(radio_ns=1_510_000),
                Parts(propagation_ns=7),
            ),
            strict=True,
        )
    ),
)
def test_delays_each_way(link: AnyLink, there: Parts, back: Parts) -> None:
    assert (link.parts("a"), link.parts("b")) == (there, back)
    for src, parts in (("a", there), ("b", back)):
        assert link.delay(src) == (sum(parts),) * 3
        forwarding = link.parts(src, 1000)
        assert forwarding == parts._replace(device_ns=parts.device_ns + 1000)


@pytest.mark.parametrize("link", LINKS)
def test_a_port_is_what_its_link_says(link: AnyLink) -> None:
    nodes = tuple(
        Node(name=name, role="switch", kind="router", forwarding_ns=1000) for name in "ab"
    )
    there, back = wire(Network(name="pair", nodes=nodes, links=(link,))).ports
    assert (there.link_kind, back.link_kind) == (link.kind, link.kind)
    assert there.stages == link.stages("a", 1000)
    assert there.parts == link.parts("a", 1000)
    assert back.delay_ns == sum(link.parts("b")) + 1000
    assert there.get(Queues) == Queues(buffer_packets=7)
    transmitter = there.get(Transmitter)
    assert transmitter is not None
    assert (transmitter.rate_bps, transmitter.overhead_bytes) == (50_000_000, link.OVERHEAD_BYTES)
    channel = there.get(Channel)
    assert channel is not None
    assert (channel.km, channel.loss) == (link.km, 0.25)
    assert back.rate_bps is None


@pytest.mark.parametrize("link", LINKS)
def test_links_are_json_in_and_out(link: AnyLink) -> None:
    raw = msgspec.json.encode(link)
    assert f'"kind":"{link.kind}"'.encode() in raw
    assert msgspec.json.decode(raw, type=AnyLink) == link


def test_any_kind_is_laid_by_a_topology() -> None:
    topo = MetroTopo()
    for name in ("r1", "r2"):
        topo.switch(name, "router")
    topo.switch("x1", "oxc")
    topo.host("h1")
    topo.lan("h1", "r1")
    topo.connect(Stated(a="r1", b="r2", ab_ns=10, ba_ns=20))
    topo.connect(Fibre(a="r2", b="x1", length_km=10))
    graph = describe(topo, "any").graph()
    assert graph.edges["r1", "r2"]["delay_ns"] == 10 + 15_000
    assert graph.edges["r2", "r1"]["delay_ns"] == 20 + 15_000
    assert graph.edges["x1", "r2"]["delay_ns"] == 48_970 + 15_000 + 500
    with pytest.raises(InputError, match="r2 and r1 are linked twice"):
        topo.connect(Lan(a="r2", b="r1"))
    with pytest.raises(InputError, match="a one-way delay of"):
        topo.connect(Stated(a="r1", b="x1", ab_ns=10**12))


@given(km=st.floats(0, 10_000))
def test_a_longer_fibre_is_never_faster(km: float) -> None:
    short, long = (Fibre(a="a", b="b", length_km=length) for length in (km, km * 1.5))
    assert short.delay("a").least_ns <= long.delay("a").least_ns
    assert short.delay("a") == short.delay("b")


class _Cell(Link, frozen=True, kw_only=True):
    """What several terminals would share."""

    WORDS: ClassVar[str] = "cell"

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        return Parts(device_ns=forwarding_ns)

    def medium(self, src: str) -> str:
        return "cell 7"


def test_a_medium_that_ports_share_is_refused_while_no_lab_can_share_it() -> None:
    nodes = (
        Node(name="ue1", role="host", kind="ue"),
        Node(name="gnb1", role="switch", kind="gnb"),
    )
    shared = Network(name="cell", nodes=nodes, links=(_Cell(a="ue1", b="gnb1"),))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="several ports share medium 'cell 7'"):
        validate_network(shared)


@pytest.mark.parametrize(
    ("link", "what"),
    [
        (Fibre(a="r1", b="x1", length_km=math.nan), "length_km = nan"),
        (Fibre(a="r1", b="x1", length_km=math.inf), "length_km = inf"),
        (Fibre(a="r1", b="x1", length_km=-1.0), "length_km = -1"),
        (Fibre(a="r1", b="x1", length_km=1.0, ba=Way(loss=math.nan)), "loss = nan"),
        (Fibre(a="r1", b="x1", length_km=1.0, ab=Way(rate_bps=0)), "a rate of 0"),
    ],
)
def test_what_no_link_can_be_is_refused_by_its_name(link: Fibre, what: str) -> None:
    topo = MetroTopo()
    topo.switch("r1", "router")
    topo.switch("x1", "oxc")
    with pytest.raises(InputError, match=re.escape(what)) as caught:
        topo.connect(link)
    assert caught.value.where == "fibre r1 - x1"
