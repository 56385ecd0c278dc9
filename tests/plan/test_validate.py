"""What is refused, and how it is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controllers.policies.shortest_path import ShortestPath
from testbed.errors import InputError, PlanError
from testbed.links.kinds import AnyLink
from testbed.links.link import Way
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.model import Capture
from testbed.topology.model import Network, Node
from tests.plan.networks import GOLD, MBIT, S, compiled, flow, link, probe, scenario, triangle


def _gold(**given: Any) -> dict[str, Any]:
    return {"slices": (msgspec.structs.replace(GOLD, **given),)}


def _event(a: str, b: str, at_ns: int = 0) -> dict[str, Any]:
    return {"events": (LinkEvent(at_ns=at_ns, action="cut", a=a, b=b),)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (_gold(delay_ns=10**400), "more than 64 bits|slices, 0, delay_ns"),
        ({"probes": (probe(app="ap"),)}, "unknown application class 'ap'|did you mean 'app'?"),
        ({"probes": (probe(slice="glod"),)}, "unknown slice 'glod'|did you mean 'gold'?"),
        ({"probes": (probe(server="h22"),)}, "unknown host 'h22'|did you mean 'h2'"),
        ({"probes": (probe(server="s1"),)}, "unknown host 's1'|one of h1, h2, h3"),
        ({"probes": (probe(server="h1"),)}, "both ends are h1|probe p"),
        ({"probes": (probe(), probe())}, "probe or flow 'p' is there twice"),
        ({"flows": (flow("p"),)}, "probe or flow 'p' is there twice"),
        ({"probes": (probe(duration_ns=0),)}, "lasts 0 ns|probe p"),
        ({"probes": (probe(start_ns=-1),)}, "starts at -1 ns|probe p"),
        ({"probes": (probe(interval_ns=0),)}, "interval_ns is 0|probe p"),
        ({"probes": (probe(interval_ns=1),)}, "interval is 1 ns|probe p|1.00 us or more|flow()"),
        ({"probes": (probe("a/b"),)}, "probe name 'a/b'|letters, digits"),
        ({"probes": (probe(duration_ns=S),)}, "within the warm-up of 1.00 s|a longer duration="),
        ({"flows": (flow(dst="h9"),)}, "unknown host 'h9'|flow f"),
        ({"flows": (flow(slice="best-efort"),)}, "did you mean 'best-effort'?"),
        ({"flows": (flow(packet_bytes=1449),)}, "packets carry 1449 bytes|1 to 1448"),
        ({"flows": (flow(dscp=64),)}, "dscp is 64|RFC 2474"),
        ({"flows": (flow(rate_bps=0),)}, "rate is 0 bit/s|flow f"),
        (_gold(sst=0), "sst is 0|slice gold|1 to 255"),
        (_gold(sst=256), "sst is 256"),
        (_gold(sd="12"), "sd is '12'|6 hex digits"),
        (_gold(priority=128), "priority is 128"),
        (_gold(maximum_bps=MBIT), "maximum rate 1 Mbit/s is below|10 Mbit/s or more"),
        ({"slices": (GOLD, GOLD)}, "slice 'gold' is there twice"),
        (_event("s1", "s9"), "unknown neighbour of s1 's9'|cut s1-s9|h1, h3, s2, s3"),
        (_event("s2", "h1"), "unknown neighbour of s2 'h1'"),
        (_event("x", "s1"), "unknown node 'x'"),
        (_event("s1", "s2", at_ns=-1), "while traffic flows"),
        (_event("s1", "s2", at_ns=10**13), "while traffic flows"),
        ({"captures": (Capture(node="h1", peer="s2"),)}, "unknown neighbour of h1 's2'|h1:s2"),
    ],
)
def test_scenario(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        compiled(ShortestPath(), scenario(**given))
    for part in says.split("|"):
        assert part in str(caught.value)


def test_best_effort_and_events_that_exist_are_fine() -> None:
    asked = scenario(
        probes=(probe(slice="best-effort"),),
        captures=(Capture(node="s1", peer="s3"),),
        **_event("s2", "s1"),
    )
    plan = compiled(ShortestPath(), asked)
    assert plan.sessions[0].slice == "best-effort"
    assert plan.events == asked.events
    assert plan.captures == asked.captures


def _with(
    *more: AnyLink, hosts: tuple[str, ...] = (), delay_ns: int | None = None, **direction: Any
) -> Network:
    """The triangle with more hosts and links, or another direction on its first link."""
    network = triangle()
    nodes = (*network.nodes, *(Node(name=h, role="host", kind="host") for h in hosts))
    first = network.links[0]
    if delay_ns is not None:
        first = msgspec.structs.replace(first, ba_ns=delay_ns)
    if direction:
        first = msgspec.structs.replace(first, ba=Way(**direction))
    return Network(name="odd", nodes=nodes, links=(first, *network.links[1:], *more))


@pytest.mark.parametrize(
    ("network", "kind", "says"),
    [
        (_with(link("s2", "s1", 0, None)), InputError, "link 's1-s2' is there twice"),
        (_with(link("s2", "s2", 0, None)), InputError, "node s2 is linked to itself"),
        (_with(link("s2", "s7", 0, None)), InputError, "unknown node 's7'"),
        (_with(hosts=("h1",)), InputError, "node 'h1' is there twice"),
        (_with(hosts=("a b",)), InputError, "node name 'a b'"),
        (_with(delay_ns=-1), InputError, "delay is negative|link s2 -> s1"),
        (_with(rate_bps=7999), InputError, "rate is 7999 bit/s|8000 bit/s or more"),
        (_with(loss=1.5), InputError, "loss is 1.5"),
        (_with(buffer_packets=0), InputError, "buffer is 0 packets"),
        (_with(hosts=("h4",)), PlanError, "host h4 is linked to nothing"),
        (_with(link("h1", "s2", 0, None)), PlanError, "host h1 is linked to s1, s2"),
        (_with(link("h4", "h5", 0, None), hosts=("h4", "h5")), PlanError, "linked to h5"),
    ],
)
def test_network(network: Network, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        compiled(ShortestPath(), network=network)
    for part in says.split("|"):
        assert part in str(caught.value)


def test_a_network_in_parts() -> None:
    island = tuple(Node(name=n, role="switch", kind="router") for n in ("s8", "s9"))
    network = triangle()
    network = msgspec.structs.replace(
        network,
        nodes=(*network.nodes, *island),
        links=(*network.links, link("s8", "s9", 0, None)),
    )
    with pytest.raises(PlanError, match="in 2 parts") as caught:
        compiled(ShortestPath(), network=network)
    assert "s8" in caught.value.remedy
