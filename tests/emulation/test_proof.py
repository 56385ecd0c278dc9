"""Proof of paths, against an Open vSwitch that has rules other than the plan's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from controllers.policies.lowest_delay import LowestDelay
from testbed.emulation.proof import (
    FLOW_NAMES,
    check_counters,
    datapath_actions,
    datapath_ports,
    trace_paths,
)
from testbed.errors import EmulationError
from testbed.net.matches import IPV4, MPLS
from testbed.net.openflow import Packet, Switch, Tag
from testbed.net.paths import Backup
from testbed.net.tables import Rule
from testbed.plan.matches import carried
from testbed.plan.model import Plan
from testbed.scenario.model import Protection
from tests.controllers.chain import DOWN, UP, chain
from tests.legs import with_paths
from tests.plan.networks import GOLD, compiled, scenario

DPIF_SHOW = """system@ovs-system: hit:1210 missed:31
  s1:
    s1 65534/3: (internal)
    s1-eth1 1/2: (system)
    s1-eth2 2/1: (system)
  s2:
    s2 65534/9: (internal)
    s2-eth1 1/8: (system)
"""
"""As Open vSwitch 3.1 prints it."""


class FakeVswitchd:
    """Answers dpif/show and ofproto/trace for a plan's ports and the `rules` given."""

    def __init__(self, plan: Plan, rules: Sequence[Rule]) -> None:
        self.plan, self.rules, self.asked = plan, rules, 0
        ports = [port for port in plan.ports if port.number]
        self.numbers = {(p.node, p.number): n for n, p in enumerate(ports, start=10)}
        rows = [f"    {p.name} {p.number}/{10 + n}: (system)" for n, p in enumerate(ports)]
        self.shown = "\n".join(["system@ovs-system: hit:0 missed:0", "  s1:", *rows])

    def __call__(self, method: str, *params: str) -> str:
        if method == "dpif/show":
            return self.shown
        assert method == "ofproto/trace"
        self.asked += 1
        switch, flow = params
        packet = dict(part.split("=") for part in flow.split(","))
        actions = "drop"
        for rule in self.rules:
            fields = {FLOW_NAMES.get(k, k): str(v) for k, v in rule.match.items()}
            if rule.switch == switch and fields.items() <= packet.items():
                actions = self._translate(rule)
        return f"Flow: {flow}\n\nMegaflow: in_port=1\nDatapath actions: {actions}\n"

    def _translate(self, rule: Rule) -> str:
        found: list[str] = []
        wanted = {name: value for action in rule.actions for name, value in action.items()}
        if "push_mpls" in wanted:
            label = wanted.get("set_mpls_label", 0)
            found.append(f"push_mpls(label={label},tc=5,ttl=64,bos=1,eth_type=0x8847)")
        if "pop_mpls" in wanted:
            found.append("pop_mpls(eth_type=0x800)")
        if "set_queue" in wanted:
            found.append(f"set(skb_priority({0x10001 + wanted['set_queue']:#x}))")
        if "output" in wanted:
            found.append(str(self.numbers[rule.switch, wanted["output"]]))
        return ",".join(found) or "drop"


def test_planned_rules_are_proved_hop_by_hop() -> None:
    plan = chain(4)
    up, down = trace_paths(plan, FakeVswitchd(plan, plan.rules))
    assert (up.path, down.path) == ("up", "down")
    assert [hop.out_port for hop in up.hops] == ["s1-eth2", "s2-eth2", "s3-eth2", "s4-eth2"]
    assert [hop.label for hop in up.hops] == [UP, UP, UP, None]
    assert [hop.in_port for hop in down.hops] == [2, 2, 2, 2]
    assert {hop.queue for hop in up.hops + down.hops} == {2}
    assert "nw_src=10.0.0.1" in up.packet
    assert "udp_dst=862" in up.packet


def test_one_switch_needs_no_label() -> None:
    plan = chain(1)
    up, _ = trace_paths(plan, FakeVswitchd(plan, plan.rules))
    assert [hop.label for hop in up.hops] == [None]


class GroupedVswitchd(FakeVswitchd):
    """Answers as the switches in memory would act, groups included."""

    def __call__(self, method: str, *params: str) -> str:
        if method == "dpif/show":
            return self.shown
        name, flow = params
        given = dict(part.split("=") for part in flow.split(","))
        words = {traced: oxm for oxm, traced in FLOW_NAMES.items()}
        fields = {words.get(k, k): int(v) if v.isdecimal() else v for k, v in given.items()}
        label = fields.get("mpls_label")
        tags = () if label is None else (Tag(MPLS, int(label), 0),)
        switch = Switch(
            [rule for rule in self.plan.rules if rule.switch == name],
            [group for group in self.plan.groups if group.switch == name],
        )
        packet = Packet({"eth_type": IPV4} if tags else fields, tags)
        actions: list[str] = []
        now = packet.label
        for sent in switch.receive(packet, int(fields["in_port"])):
            if sent.packet.label != now:
                kind = "push_mpls(" if now is None else "set(mpls("
                end = ")" if now is None else "))"
                now = sent.packet.label
                actions.append(f"{kind}label={now},tc=5,ttl=64,bos=1{end}" if now else POP)
            if sent.queue is not None:
                actions.append(f"set(skb_priority({0x10001 + sent.queue:#x}))")
            actions.append(str(self.numbers[name, sent.port]))
        return f"Flow: {flow}\n\nDatapath actions: {','.join(actions) or 'drop'}\n"


POP = "pop_mpls(eth_type=0x800)"


def ordered(protection: Protection) -> Plan:
    gold = replace(GOLD, protection=protection)
    return compiled(LowestDelay(), scenario(slices=(gold,)))


@pytest.mark.parametrize("protection", get_args(Protection))
def test_protected_plans_are_proved_each_copy_by_its_way(protection: Protection) -> None:
    plan = ordered(protection)
    results = trace_paths(plan, GroupedVswitchd(plan, plan.rules))
    switches = [[hop.switch for hop in result.hops] for result in results]
    first = [["s1", "s3", "s2"]]
    copy = [["s1", "s2"]] if protection == "frer" else []
    assert switches == first + copy + [way[::-1] for way in first + copy]


def test_a_copy_too_many_or_by_another_port_is_named() -> None:
    plan = ordered("frer")
    (group,) = (group for group in plan.groups if group.switch == "s1")
    one = replace(group, buckets=group.buckets[:1])
    fewer = replace(plan, groups=tuple(one if g is group else g for g in plan.groups))
    with pytest.raises(EmulationError, match=r"s1 would not send p\.forward") as caught:
        trace_paths(plan, GroupedVswitchd(fewer, plan.rules))
    assert caught.value.expected.count("out by") == 2


def test_same_question_is_asked_once() -> None:
    plan = chain(3)
    twice = replace(plan, paths=plan.paths * 2)
    ovs = FakeVswitchd(plan, plan.rules)
    assert len(trace_paths(twice, ovs)) == 4
    assert ovs.asked == 6


@pytest.mark.parametrize(
    ("at", "actions", "found"),
    [
        ("s1", ({"push_mpls": 1}, {"set_mpls_label": 99}, {"set_queue": 2}, {"output": 2}), "99"),
        ("s1", ({"set_queue": 2}, {"output": 2}), "no label"),
        ("s2", ({"set_queue": 1}, {"output": 2}), "queue 1"),
        ("s2", ({"output": 2},), "no queue"),
        ("s2", ({"set_queue": 2}, {"output": 1}), "out by s2-eth1"),
        ("s2", (), "out by drop"),
        ("s3", ({"set_queue": 2}, {"output": 2}), f"label {UP}"),
    ],
)
def test_wrong_rule_is_named_with_expected_and_found(
    at: str, actions: tuple[dict[str, int], ...], found: str
) -> None:
    plan = chain(3)
    rules = [
        replace(rule, actions=actions) if (rule.switch, rule.cookie) == (at, UP) else rule
        for rule in plan.rules
    ]
    with pytest.raises(EmulationError) as caught:
        trace_paths(plan, FakeVswitchd(plan, rules))
    assert caught.value.what.startswith(f"{at} would not send up as planned: ")
    assert found in caught.value.what
    assert f"out by {at}-eth2" in caught.value.expected
    assert "queue 2" in caught.value.expected


def test_output_of_open_vswitch_is_read() -> None:
    assert datapath_ports(DPIF_SHOW) == {
        3: "s1",
        2: "s1-eth1",
        1: "s1-eth2",
        9: "s2",
        8: "s2-eth1",
    }
    push = "push_mpls(label=17,tc=5,ttl=64,bos=1,eth_type=0x8847)"
    set_ = "set(skb_priority(0x10003))"
    assert datapath_actions(f"x\nDatapath actions: {push},{set_},1\n") == [push, set_, "1"]
    with pytest.raises(EmulationError, match="did not say"):
        datapath_actions("Bad openflow flow syntax")


def counters(plan: Plan, packets: dict[int, int]) -> list[dict[str, Any]]:
    return [
        {"switch": rule.switch, "cookie": rule.cookie, "packets": packets.get(rule.cookie, 0)}
        for rule in plan.rules
    ]


def test_counters_that_agree_pass() -> None:
    plan = chain(3)
    check_counters(plan, counters(plan, {UP: 20, DOWN: 19}), {"up": 20, "down": 19})
    check_counters(plan, counters(plan, {UP: 20, DOWN: 19}), {"up": 18, "down": 0})
    check_counters(plan, counters(plan, {UP: 1}), {"up": 1})


def test_packets_that_a_switch_did_not_count_are_named() -> None:
    plan = chain(3)
    rows = counters(plan, {UP: 20, DOWN: 20})
    for row in rows:
        if (row["switch"], row["cookie"]) == ("s2", UP):
            row["packets"] = 19
    with pytest.raises(EmulationError, match="s2 counted 19 packets of up") as caught:
        check_counters(plan, rows, {"up": 20, "down": 20})
    assert caught.value.expected == "at least 20"


def test_copies_that_go_two_ways_are_counted_at_both_ends() -> None:
    plan = chain(3)
    (session,) = plan.sessions
    copies = Backup(failed=None, nodes=session.paths[0].nodes, label=99)
    forward = replace(session.paths[0], backups=(copies,))
    session = with_paths(session, forward)
    plan = replace(plan, sessions=(session,), paths=carried((session,), ()))
    for switch, fails in (("s1", True), ("s2", False), ("s3", True)):
        rows = counters(plan, {UP: 20, DOWN: 20})
        for row in rows:
            if (row["switch"], row["cookie"]) == (switch, UP):
                row["packets"] = 19
        with pytest.raises(EmulationError) if fails else nullcontext():
            check_counters(plan, rows, {"up": 20, "down": 20})


def test_path_that_carried_nothing_must_have_counted_nothing() -> None:
    plan = chain(3)
    with pytest.raises(EmulationError, match="s3 counted 1 packets of down"):
        check_counters(plan, counters(plan, {UP: 1, DOWN: 1}), {"up": 1})
    with pytest.raises(EmulationError, match="s1 counted 0 packets of up"):
        check_counters(plan, counters(plan, {}), {"up": 1})


@pytest.mark.parametrize("change", ["lost", "alien"])
def test_rules_that_came_or_went_are_named(change: str) -> None:
    plan = chain(3)
    rows = counters(plan, {UP: 1})
    if change == "lost":
        rows = [r for r in rows if (r["switch"], r["cookie"]) != ("s2", UP)]
        words = "s2 has 0 rules with cookie 17"
    else:
        rows.append({"switch": "s2", "cookie": 99, "packets": 0})
        words = "s2 has 1 rules with cookie 99"
    with pytest.raises(EmulationError, match=re.escape(words)):
        check_counters(plan, rows, {"up": 1})
