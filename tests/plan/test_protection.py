"""Protected plans hold on every small graph, and the walker finds what is wrong in them."""

from __future__ import annotations

from itertools import count
from typing import get_args

import msgspec
import networkx as nx
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import PlanError
from testbed.net.openflow import IN_PORT
from testbed.net.tables import Group, Rule
from testbed.net.walk import walk_failures
from testbed.plan.model import Plan
from testbed.plan.protection import Protector
from testbed.scenario.model import Protection, Recovery
from testbed.slices.policy import Demand, Route
from tests.plan.graphs import connected, demands, protected, two_connected
from tests.plan.networks import GOLD, compiled, scenario

replace = msgspec.structs.replace

ORDERED: tuple[Protection, ...] = ("reactive", "fast_failover", "frer")
assert set(ORDERED) | {"none"} == set(get_args(Protection))


@pytest.mark.parametrize("protection", ORDERED)
def test_every_graph_without_bridges_is_protected(protection: Protection) -> None:
    graphs = list(two_connected(range(3, 6)))
    assert len(graphs) == 1 + 3 + 11
    for seed, graph in enumerate(graphs):
        walk_failures(protected(graph, protection, seed, demands(graph, seed, 4)))


def test_every_connected_graph_is_sound_without_protection() -> None:
    graphs = [graph for size in range(2, 6) for graph in connected(size)]
    assert len(graphs) == 1 + 2 + 6 + 21
    for seed, graph in enumerate(graphs):
        walk_failures(protected(graph, "none", seed, demands(graph, seed, 4)))


@pytest.mark.parametrize("protection", ORDERED)
def test_a_bridge_cannot_be_protected(protection: Protection) -> None:
    with pytest.raises(PlanError, match=r"nothing goes round|no two disjoint"):
        protected(nx.path_graph(3), protection, 1, [(0, 2)])


@pytest.mark.parametrize("protection", ORDERED)
def test_what_hangs_on_one_link_is_not_protected_and_the_rest_is(protection: Protection) -> None:
    """s3 - s0 = s1 = s2: a triangle with a tail. Copies need two ways all along."""
    tailed = nx.Graph([(0, 1), (1, 2), (2, 0), (0, 3)])
    if protection == "frer":
        with pytest.raises(PlanError, match="s0"):
            protected(tailed, protection, 1, [(3, 1)])
        return
    plan = protected(tailed, protection, 1, [(3, 1), (2, 3)])
    walk_failures(plan)
    for session in plan.sessions:
        assert len(session.paths[0].nodes) > 4
        assert session.paths[0].backups


def test_one_switch_needs_no_protection() -> None:
    plan = protected(nx.star_graph(0), "none", 1, [])
    assert plan.groups == ()


def triangle(protection: Protection) -> Plan:
    """h1's probe over s1, s3, s2, which s1 - s2 protects."""
    return compiled(LowestDelay(), scenario(slices=(replace(GOLD, protection=protection),)))


def test_detours_of_the_triangle() -> None:
    plan = triangle("fast_failover")
    path = plan.sessions[0].paths[0]
    assert path.nodes == ("h1", "s1", "s3", "s2", "h2")
    assert [(b.failed, b.nodes) for b in path.backups] == [
        (("s1", "s3"), ("s1", "s2", "h2")),
        (("s3", "s2"), ("s3", "s1", "s2", "h2")),
    ]
    labels = [path.label, *(backup.label for backup in path.backups)]
    assert labels == [16, 17, 18]
    first, back = (group for group in plan.groups if group.id == path.cookie)
    assert (first.switch, back.switch) == ("s1", "s3")
    port = plan.port("s3", "s2").number
    assert back.buckets[0].watch_port == port
    assert back.buckets[0].actions[-1] == {"output": port}
    assert back.buckets[1].watch_port == plan.port("s3", "s1").number
    assert back.buckets[1].actions == (
        {"set_mpls_label": 18},
        {"set_queue": 1},
        {"output": IN_PORT},
    )


def test_repairs_of_the_triangle() -> None:
    plan = triangle("reactive")
    path = plan.sessions[0].paths[0]
    assert {b.nodes for b in path.backups} == {("h1", "s1", "s2", "h2")}
    repairs = [repair for repair in plan.repairs if repair.cookie == path.cookie]
    assert [repair.failed for repair in repairs] == [("s1", "s3"), ("s3", "s2")]
    (old,) = (r for r in plan.rules if r.switch == "s1" and r.cookie == path.cookie)
    (new,) = repairs[0].switch_over
    assert (new.match, new.priority) == (old.match, old.priority)
    assert [rule.switch for rule in repairs[0].prepare] == ["s2"]


def test_backups_have_the_slices_queue() -> None:
    assert not compiled(LowestDelay()).port("s1", "s2").queues
    for protection in ORDERED:
        assert len(triangle(protection).port("s1", "s2").queues) == 2


def _swapped(group: Group) -> Group:
    return replace(group, buckets=group.buckets[::-1])


def _watches(number: int) -> object:
    return lambda g: replace(g, buckets=(replace(g.buckets[0], watch_port=number), *g.buckets[1:]))


def _relabels(label: int) -> object:
    return lambda g: replace(
        g,
        buckets=(
            g.buckets[0],
            replace(g.buckets[1], actions=({"set_mpls_label": label}, *g.buckets[1].actions[1:])),
        ),
    )


@pytest.mark.parametrize(
    ("protection", "change", "says"),
    [
        ("fast_failover", _swapped, "packet went to"),
        ("fast_failover", _watches(3), "left by a port that is down"),
        ("fast_failover", _watches(99), "packet went to"),
        ("fast_failover", _relabels(99), "no rule matches"),
        ("fast_failover", lambda g: replace(g, buckets=g.buckets[:1]), "has no live bucket"),
        ("fast_failover", lambda g: replace(g, kind="all"), "2 copies"),
        ("frer", lambda g: replace(g, kind="fast_failover"), "1 copies of a packet"),
        ("frer", lambda g: replace(g, buckets=g.buckets[:1]), "1 copies of a packet"),
        ("frer", _relabels(16), "no rule matches"),
    ],
)
def test_wrong_groups_are_found(protection: Protection, change: object, says: str) -> None:
    plan = triangle(protection)
    walk_failures(plan)
    assert callable(change)
    groups = tuple(change(g) if (g.switch, g.id) == ("s1", 1) else g for g in plan.groups)
    with pytest.raises(PlanError) as caught:
        walk_failures(replace(plan, groups=groups))
    assert says in str(caught.value)


@pytest.mark.parametrize("protection", ORDERED)
def test_no_rule_of_a_protected_plan_is_spare(protection: Protection) -> None:
    """The walker misses each slice rule, group bucket and repair that is taken away."""
    plan = triangle(protection)
    for broken in _one_less(plan):
        with pytest.raises(PlanError):
            walk_failures(broken)


def _one_less(plan: Plan) -> list[Plan]:
    found = [
        replace(plan, rules=tuple(r for r in plan.rules if r is not rule))
        for rule in plan.rules
        if rule.cookie
    ]
    found += [
        replace(plan, groups=tuple(g for g in plan.groups if g is not group))
        for group in plan.groups
    ]
    for at, repair in enumerate(plan.repairs):
        for rule in repair.prepare:
            less = replace(repair, prepare=tuple(r for r in repair.prepare if r is not rule))
            found.append(_with_repair(plan, at, less))
        found.append(_with_repair(plan, at, replace(repair, switch_over=())))
    return found


def _with_repair(plan: Plan, at: int, repair: object) -> Plan:
    repairs = list(plan.repairs)
    repairs[at] = repair  # type: ignore[call-overload]
    return replace(plan, repairs=tuple(repairs))


def test_another_slices_queue_or_rule_is_found() -> None:
    plan = triangle("fast_failover")

    def queued(rule: Rule) -> Rule:
        actions = tuple({"set_queue": 0} if "set_queue" in a else a for a in rule.actions)
        return replace(rule, actions=actions)

    for rule in plan.rules:
        if rule.cookie and any("set_queue" in action for action in rule.actions):
            wrong = tuple(queued(r) if r is rule else r for r in plan.rules)
            with pytest.raises(PlanError, match="by queue 0"):
                walk_failures(replace(plan, rules=wrong))


def test_bounds_know_of_bfd() -> None:
    """One of its packets may be in transmission at each port that watches."""
    gold = replace(GOLD, protection="fast_failover")

    def bound_ns(recovery: Recovery) -> int:
        plan = compiled(LowestDelay(), scenario(slices=(gold,), recovery=recovery))
        bound = plan.sessions[0].legs[0].bound
        assert bound is not None
        assert bound.latency_ns is not None
        return bound.latency_ns

    more_ns = bound_ns(Recovery(bfd_ns=10_000_000)) - bound_ns(Recovery())
    packet_ns = 66 * 8 * 10  # at 100 Mbit/s
    assert more_ns >= 2 * packet_ns


def test_a_detour_avoids_the_next_node_though_a_way_by_it_is_faster() -> None:
    """s0 - s1 - s2: round the first link a fast way leads back to s1, and a slow one does not."""
    graph = nx.DiGraph(name="detour")
    graph.add_nodes_from(["s0", "s1", "s2", "s3", "s4"], role="switch")
    graph.add_nodes_from(["h0", "h1"], role="host")
    ends = [("h0", "s0", 0), ("s0", "s1", 1), ("s1", "s2", 1), ("s2", "h1", 0)]
    ends += [("s0", "s3", 2), ("s3", "s1", 2), ("s0", "s4", 90), ("s4", "s2", 90)]
    for a, b, delay_ns in ends:
        graph.add_edge(a, b, delay_ns=delay_ns, rate_bps=None)
        graph.add_edge(b, a, delay_ns=delay_ns, rate_bps=None)
    demand = Demand(
        id="d", slice=replace(GOLD, protection="fast_failover"), src="h0", dst="h1", delay_ns=None
    )
    nodes = ("h0", "s0", "s1", "s2", "h1")
    detours = Protector(graph).backups(demand, Route(nodes=nodes), lambda _: (), count(16))
    assert [(one.failed, one.nodes) for one in detours] == [
        (("s0", "s1"), ("s0", "s4", "s2", "h1")),
        (("s1", "s2"), ("s1", "s0", "s4", "s2", "h1")),
    ]
