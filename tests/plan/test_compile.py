"""Whatever the network and the scenario: the plan holds, and is the same every time."""

from __future__ import annotations

import time
from itertools import islice, pairwise

import msgspec
import networkx as nx
import pytest
from hypothesis import given, settings

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.frames import UDP_HEADERS_BYTES
from testbed.net.walk import walk_failures
from testbed.plan.compile import compile_plan
from testbed.plan.model import Load, Plan, Session
from testbed.scenario.scenario import Scenario
from testbed.slices.costs import message_ns
from testbed.slices.policy import Demand, Policy
from testbed.topology.model import Network, Node
from testbed.traffic.classes import AppClass
from tests.plan.networks import (
    MBIT,
    app,
    cases,
    compiled,
    flow,
    link,
    probe,
    scenario,
    triangle,
)

Case = tuple[Scenario, Network, dict[str, AppClass]]


@pytest.mark.parametrize("policy", [ShortestPath(), LowestDelay()], ids=lambda p: p.name)
@settings(deadline=None)
@given(case=cases())
def test_every_packet_goes_its_way(case: Case, policy: Policy) -> None:
    asked, network, apps = case
    plan = compile_plan(asked, network, policy, apps)
    hosts = len(plan.hosts)
    assert walk_failures(plan) >= hosts * (hosts - 1) + 2 * len(plan.sessions) + len(plan.loads)

    carried: list[Session | Load] = [*plan.sessions, *plan.loads]
    paths = [path for item in carried for path in item.paths]
    labels = [path.label for path in paths if path.label is not None]
    assert len(set(labels)) == len(labels)
    assert len({path.cookie for path in paths}) == len(paths)
    assert min(labels, default=16) >= 16
    roles = {node.name: node.role for node in network.nodes}
    for path in paths:
        assert {roles[name] for name in path.nodes[1:-1]} == {"switch"}

    for attribute in ("name", "ifindex", "mac"):
        assert len({getattr(port, attribute) for port in plan.ports}) == len(plan.ports)
    assert len({host.ip for host in plan.hosts}) == hosts


@settings(deadline=None)
@given(case=cases())
def test_plan_survives_json_and_is_deterministic(case: Case) -> None:
    asked, network, apps = case
    data = msgspec.json.encode(compile_plan(asked, network, LowestDelay(), apps))
    again = msgspec.json.encode(compile_plan(asked, network, LowestDelay(), apps))
    assert data == again
    there = msgspec.json.decode(data, type=Plan)
    assert msgspec.json.encode(there) == data
    assert there.links == network.links  # not only their names: what they do


@settings(deadline=None)
@given(case=cases())
def test_no_way_has_a_smaller_budget(case: Case) -> None:
    asked, network, apps = case
    plan = compile_plan(asked, network, LowestDelay(), apps)
    graph = network.graph()
    switches = {switch.name for switch in plan.switches}
    for session in plan.sessions:
        for leg in session.legs:
            path, budget = leg.path, leg.budget
            sizes = tuple(size + UDP_HEADERS_BYTES for size in session.payloads(leg))
            usable = graph.subgraph({path.src, path.dst} | switches)
            ways = nx.all_simple_paths(usable, path.src, path.dst)
            least_ns = min(message_ns(graph, tuple(way), sizes) for way in islice(ways, 500))
            delay_ns = sum(graph.edges[hop]["delay_ns"] for hop in pairwise(path.nodes))
            assert budget.propagation_ns + budget.device_ns == delay_ns
            assert budget.total_ns == delay_ns + budget.serialisation_ns
            assert message_ns(graph, path.nodes, sizes) == budget.total_ns <= least_ns


def test_policies_disagree_where_they_should() -> None:
    fewest, fastest = compiled(ShortestPath()), compiled(LowestDelay())
    assert fewest.sessions[0].paths[0].nodes == ("h1", "s1", "s2", "h2")
    assert fastest.sessions[0].paths[0].nodes == ("h1", "s1", "s3", "s2", "h2")
    assert fastest.sessions[0].paths[1].nodes == ("h2", "s2", "s3", "s1", "h1")
    assert (fewest.policy, fastest.policy) == ("shortest_path", "lowest_delay")


def test_each_direction_has_its_own_path() -> None:
    network = triangle()
    slow_back = link("s1", "s3", 200_000, 100 * MBIT, back_ns=5_000_000)
    network = msgspec.structs.replace(
        network, links=(network.links[0], slow_back, *network.links[2:])
    )
    (session,) = compiled(LowestDelay(), network=network).sessions
    assert session.paths[0].nodes == ("h1", "s1", "s3", "s2", "h2")
    assert session.paths[1].nodes == ("h2", "s2", "s1", "h1")
    assert session.legs[1].budget.propagation_ns == 1_000_000


def test_what_is_carried_over() -> None:
    nodes = tuple(
        msgspec.structs.replace(node, x=float(n)) for n, node in enumerate(triangle().nodes)
    )
    network = msgspec.structs.replace(triangle(), nodes=nodes)
    asked = scenario(
        flows=(flow(start_ns=5_000_000_000, phase_ns=1000),),
        probes=(probe(),),
        seed=7,
    )
    plan = compiled(LowestDelay(), asked, network)
    assert plan.duration_ns == 15_000_001_000
    assert plan.seed == 7
    assert plan.positions["s2"] == (1.0, 0.0)
    assert compiled(LowestDelay()).positions == {}


@pytest.mark.parametrize(
    "answer",
    [
        (),
        ("h1", "s1"),
        ("s1", "s2", "h2"),
        ("h1", "s2", "h2"),
        ("h1", "s1", "s3", "s1", "s2", "h2"),
        ("h1", "s1", "h3", "s1", "s2", "h2"),
    ],
)
def test_an_answer_that_is_no_path_is_refused(answer: tuple[str, ...]) -> None:
    class Wrong(Policy):
        """Always the same answer."""

        def path(self, graph: nx.DiGraph, demand: Demand) -> tuple[str, ...]:
            return answer

    with pytest.raises(PlanError) as caught:
        compiled(Wrong())
    assert "policy wrong answered" in caught.value.what
    assert "from h1 to h2" in caught.value.expected


def test_fifty_nodes_and_fifty_probes_in_seconds() -> None:
    graph = nx.connected_watts_strogatz_graph(50, 4, 0.3, seed=1)
    nodes = [Node(name=f"s{n}", role="switch", kind="router") for n in graph]
    nodes += [Node(name=f"h{n}", role="host", kind="host") for n in graph]
    links = [link(f"s{a}", f"s{b}", 1000 * (a + b), 1000 * MBIT) for a, b in graph.edges]
    links += [link(f"h{n}", f"s{n}", 0, 100 * MBIT) for n in graph]
    probes = tuple(probe(f"p{n}", f"h{n}", f"h{(n + 7) % 50}") for n in range(50))
    network = Network(name="zoo", nodes=tuple(nodes), links=tuple(links))
    begin = time.process_time()
    plan = compile_plan(scenario(probes=probes), network, LowestDelay(), {"app": app()})
    assert time.process_time() - begin < 2
    assert walk_failures(plan) == 50 * 49 + 2 * 50 + 4 * 50
