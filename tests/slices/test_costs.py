"""No path has a message there sooner than the one that is found; against every path there is."""

from __future__ import annotations

import random

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.policies.delay_constrained import DelayConstrained
from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import PlanError
from testbed.scenario.model import Slice
from testbed.slices.costs import message_bytes, message_ns
from testbed.slices.policy import Demand
from testbed.slices.sent import Traffic
from testbed.topology.model import Network
from tests.plan.networks import networks


def demand(packets: int, last: int, largest: int = 1490, most_ns: int | None = None) -> Demand:
    """A message from h0 to h1."""
    size = largest if packets > 1 else last
    traffic = Traffic(
        rate_bps=1_000_000,
        burst_bytes=(packets - 1) * size + last,
        burst_packets=packets,
        largest_bytes=size,
        smallest_bytes=last,
        message_packets=packets,
    )
    slice_ = Slice(id="gold", sst=2)
    return Demand(id="d", slice=slice_, src="h0", dst="h1", delay_ns=most_ns, traffic=traffic)


def every(graph: nx.DiGraph, asked: Demand) -> list[tuple[int, int, tuple[str, ...]]]:
    """What the message takes on every path, hops and path; the best first."""
    paths = map(tuple, nx.all_simple_paths(graph, asked.src, asked.dst))
    return sorted(
        (message_ns(graph, path, message_bytes(asked)), len(path), path) for path in paths
    )


messages = st.sampled_from([(1, 86), (1, 1490), (2, 86), (5, 1490), (20, 700)])


@settings(deadline=None, max_examples=150)
@given(network=networks(), message=messages)
def test_no_path_is_faster(network: Network, message: tuple[int, int]) -> None:
    graph = nx.freeze(network.graph())
    asked = demand(*message)
    assert tuple(LowestDelay().path(graph, asked)) == every(graph, asked)[0][2]


@settings(deadline=None, max_examples=150)
@given(network=networks(), message=messages, more_ns=st.integers(0, 3_000_000))
def test_the_fewest_links_in_time(network: Network, message: tuple[int, int], more_ns: int) -> None:
    graph = nx.freeze(network.graph())
    ranked = every(graph, demand(*message))
    most_ns = ranked[0][0] + more_ns
    asked = demand(*message, most_ns=most_ns)
    found = tuple(DelayConstrained().path(graph, asked))
    in_time = [row for row in ranked if row[0] <= most_ns]
    assert found in [row[2] for row in in_time]
    if message[0] == 1:
        assert len(found) == min(row[1] for row in in_time)
    late = demand(*message, most_ns=ranked[0][0] - 1)
    with pytest.raises(PlanError, match="or less"):
        DelayConstrained().path(graph, late)


def tri(slow_bps: int) -> nx.DiGraph:
    """A short way at `slow_bps`, and a longer one at 1 Gbit/s."""
    graph = nx.DiGraph(name="tri")
    for name in ("h0", "h1", "s1", "s2", "s3"):
        graph.add_node(name, role="host" if name[0] == "h" else "switch")
    ends = [("h0", "s1", 0), ("s1", "s2", 50_000), ("s1", "s3", 30_000), ("s3", "s2", 30_000)]
    for a, b, delay_ns in [*ends, ("s2", "h1", 0)]:
        rate = slow_bps if (a, b) == ("s1", "s2") else 1_000_000_000
        for tail, head in ((a, b), (b, a)):
            graph.add_edge(tail, head, delay_ns=delay_ns, rate_bps=rate, overhead_bytes=24)
    return graph


SHORT, LONG = ("h0", "s1", "s2", "h1"), ("h0", "s1", "s3", "s2", "h1")


def test_large_packets_take_the_faster_link_and_small_ones_the_shorter() -> None:
    graph = tri(100_000_000)
    assert LowestDelay().path(graph, demand(1, 86)) == SHORT
    assert LowestDelay().path(graph, demand(1, 1490)) == LONG
    # packets that follow each other need the faster link though each by itself does not
    graph = tri(800_000_000)
    assert LowestDelay().path(graph, demand(1, 1490)) == SHORT
    assert LowestDelay().path(graph, demand(10, 1490)) == LONG


def test_unlike_rates_everywhere() -> None:
    """Every link a rate of its own: as many slowest links as there are links."""
    draw = random.Random(1)
    for _ in range(30):
        switches = nx.random_labeled_tree(6, seed=draw.randrange(10**6))
        switches.add_edges_from(draw.sample(range(6), 2) for _ in range(5))
        graph = nx.DiGraph(name="random")
        graph.add_nodes_from([f"s{n}" for n in switches], role="switch")
        graph.add_nodes_from(["h0", "h1"], role="host")
        for a, b in [*switches.edges, ("h0", 0), ("h1", 5)]:
            tail, head = (f"s{end}" if isinstance(end, int) else end for end in (a, b))
            for link in ((tail, head), (head, tail)):
                rate, delay_ns = draw.randint(10**7, 10**9), draw.randint(0, 10**6)
                graph.add_edge(*link, delay_ns=delay_ns, rate_bps=rate, overhead_bytes=24)
        for message in ((1, 1490), (7, 300)):
            asked = demand(*message)
            assert tuple(LowestDelay().path(graph, asked)) == every(graph, asked)[0][2]


def test_the_best_of_more_ways_than_could_be_tried_one_after_the_other() -> None:
    """Nine pairs of links in a row: those that are best for the small last packet, by which
    a way takes least, are worst for the large one before it, which it has to wait for."""
    graph = nx.DiGraph(name="pairs")
    graph.add_node("h0", role="host")
    graph.add_node("h1", role="host")
    links: list[tuple[str, str, int, int | None]] = [
        ("h0", "s0", 0, 10_000_000),
        ("s9", "h1", 0, 1_000_000_000),
    ]
    for n in range(9):
        here, there = f"s{n}", f"s{n + 1}"
        links += [(here, f"slow{n}", 0, 20_000_000), (f"slow{n}", there, 0, None)]
        links += [(here, f"fast{n}", 100_000, 1_000_000_000), (f"fast{n}", there, 0, None)]
    for tail, head, delay_ns, rate in links:
        for node in (tail, head):
            if node not in graph:
                graph.add_node(node, role="switch")
        graph.add_edge(tail, head, delay_ns=delay_ns, rate_bps=rate, overhead_bytes=24)
    way = LowestDelay().path(graph, demand(2, 86))
    assert [node for node in way if node[:4] in ("slow", "fast")] == [f"fast{n}" for n in range(9)]
