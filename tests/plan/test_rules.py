"""The entries of the switches, word by word."""

from __future__ import annotations

import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.net.tables import Rule
from tests.plan.networks import compiled, flow, probe, rules_of, scenario

H1, H2, H3 = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def test_push_swap_nothing_pop() -> None:
    plan = compiled(LowestDelay())
    (session,) = plan.sessions
    assert session.paths[0].nodes == ("h1", "s1", "s3", "s2", "h2")
    (first,) = rules_of(plan, "s1", 1)
    assert first == Rule(
        switch="s1",
        priority=100,
        match={
            "in_port": plan.port("s1", "h1").number,
            "eth_type": 0x0800,
            "ipv4_src": H1,
            "ipv4_dst": H2,
            "ip_proto": 17,
            "udp_src": 50000,
            "udp_dst": 862,
        },
        actions=(
            {"push_mpls": 0x8847},
            {"set_mpls_label": 16},
            {"set_mpls_tc": 46 >> 3},
            {"set_queue": 1},
            {"output": plan.port("s1", "s3").number},
        ),
        cookie=1,
    )
    (between,) = rules_of(plan, "s3", 1)
    assert between.match == {
        "in_port": plan.port("s3", "s1").number,
        "eth_type": 0x8847,
        "mpls_label": 16,
    }
    assert between.actions == ({"set_queue": 1}, {"output": plan.port("s3", "s2").number})
    (last,) = rules_of(plan, "s2", 1)
    assert last.match == between.match | {"in_port": plan.port("s2", "s3").number}
    assert last.actions == ({"pop_mpls": 0x0800}, {"output": plan.port("s2", "h2").number})
    (back,) = rules_of(plan, "s2", 2)
    assert (back.match["udp_src"], back.match["udp_dst"]) == (862, 50000)
    assert back.actions[1] == {"set_mpls_label": 17}


def test_no_label_within_one_switch() -> None:
    plan = compiled(LowestDelay(), scenario(probes=(probe(server="h3"),)))
    (session,) = plan.sessions
    assert session.paths[0].label is None
    assert [rule.actions for rule in plan.rules if rule.cookie == 1] == [
        ({"output": plan.port("s1", "h3").number},)
    ]


def test_other_packets_of_a_message_take_the_same_path() -> None:
    plan = compiled(LowestDelay(), scenario(probes=(probe(size_bytes=5000),)))
    assert [rule.match["udp_dst"] for rule in rules_of(plan, "s1", 1)] == [862, 9]
    stamp, other = rules_of(plan, "s1", 1)
    assert stamp.actions == other.actions


@pytest.mark.parametrize(("kind", "protocols"), [("udp", [17]), ("tcp", [6]), ("flood", [17])])
def test_loads_are_classified_both_ways(kind: str, protocols: list[int]) -> None:
    plan = compiled(LowestDelay(), scenario(probes=(), flows=(flow(kind=kind, dscp=10),)))
    (load,) = plan.loads
    there, back = (rules_of(plan, "s1", 1), rules_of(plan, "s2", 2))
    assert [rule.match["ip_proto"] for rule in there] == protocols
    assert [rule.match["ip_proto"] for rule in back] == protocols
    for rule, answer in zip(there, back, strict=True):
        name = {17: "udp", 6: "tcp"}[int(rule.match["ip_proto"])]
        assert rule.match[f"{name}_dst"] == answer.match[f"{name}_src"] == load.port == 5201
        assert f"{name}_src" not in rule.match
        assert {"set_mpls_tc": 1} in rule.actions


def test_best_effort_reaches_every_host_by_fewest_hops() -> None:
    plan = compiled(ShortestPath())
    rules = [rule for rule in plan.rules if rule.cookie == 0]
    assert len(rules) == 3 * 3
    assert {rule.priority for rule in rules} == {10}
    outputs = {(rule.switch, rule.match["ipv4_dst"]): rule.actions[-1]["output"] for rule in rules}
    assert outputs["s1", H2] == plan.port("s1", "s2").number
    assert outputs["s3", H2] == plan.port("s3", "s2").number
    assert outputs["s2", H2] == plan.port("s2", "h2").number
    assert outputs["s2", H3] == plan.port("s2", "s1").number


def test_rules_are_grouped_by_switch() -> None:
    switches = [rule.switch for rule in compiled(LowestDelay()).rules]
    assert switches == sorted(switches)
