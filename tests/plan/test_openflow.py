"""The switch in memory does what OpenFlow 1.3.5 says."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.net.matches import IPV4, MPLS
from testbed.net.openflow import IN_PORT, VLAN, VLAN_PRESENT, Packet, PacketError, Switch, Tag
from testbed.net.tables import Bucket, Group, Rule, key

IP = Packet({"eth_type": IPV4, "ipv4_dst": "10.0.0.2"})
LABELLED = IP._replace(tags=(Tag(MPLS, 17, 5),))


def rule(*actions: dict[str, int], **given: Any) -> Rule:
    fields: dict[str, Any] = {"match": {}, "priority": 1, "cookie": 1} | given
    return Rule(switch="s1", actions=actions, **fields)


def group(kind: Any, *buckets: Bucket, id_: int = 7) -> Group:
    return Group(switch="s1", id=id_, kind=kind, buckets=buckets)


def out(port: int, *more: dict[str, int], watch: int | None = None) -> Bucket:
    return Bucket(actions=(*more, {"output": port}), watch_port=watch)


def sent(switch: Switch, packet: Packet = IP, down: set[int] | None = None) -> list[Any]:
    """(port, tags, queue) of what leaves."""
    found = switch.receive(packet, 1, lambda port: port not in (down or set()))
    return [(one.port, one.packet.tags, one.queue) for one in found]


def test_highest_priority_wins_whatever_the_order() -> None:
    low, high = rule({"output": 2}), rule({"output": 3}, match={"eth_type": IPV4}, priority=9)
    for rules in ([low, high], [high, low]):
        assert sent(Switch(rules)) == [(3, (), None)]


def test_no_rule_no_actions_and_two_rules() -> None:
    with pytest.raises(PacketError, match="no rule matches"):
        sent(Switch([rule(match={"in_port": 2})]))
    assert sent(Switch([rule()])) == []
    with pytest.raises(PacketError, match="2 rules of one priority"):
        sent(Switch([rule(match={"in_port": 1}), rule(match={"eth_type": IPV4})]))


def test_behind_a_label_the_rest_is_hidden() -> None:
    with pytest.raises(PacketError, match="no rule"):
        sent(Switch([rule(match={"ipv4_dst": "10.0.0.2"})]), LABELLED)
    match = {"eth_type": MPLS, "mpls_label": 17, "mpls_tc": 5, "mpls_bos": 1}
    assert sent(Switch([rule({"output": 2}, match=match)]), LABELLED)
    two = LABELLED._replace(tags=(*LABELLED.tags, Tag(MPLS, 18, 0)))
    assert two.seen(1)["mpls_bos"] == 0


def test_vlan_is_seen_with_what_is_in_it() -> None:
    tagged = IP._replace(tags=(Tag(VLAN, 5, 3),))
    seen = tagged.seen(1)
    assert (seen["vlan_vid"], seen["vlan_pcp"]) == (VLAN_PRESENT | 5, 3)
    assert (seen["eth_type"], IP.seen(1)["vlan_vid"]) == (IPV4, 0)


def test_tags_are_pushed_set_and_popped() -> None:
    push = ({"push_mpls": MPLS}, {"set_mpls_label": 20}, {"set_mpls_tc": 3})
    assert sent(Switch([rule(*push, {"output": 2})])) == [(2, (Tag(MPLS, 20, 3),), None)]
    again = Switch([rule({"push_mpls": MPLS}, {"output": 2})])
    assert sent(again, LABELLED) == [(2, (Tag(MPLS, 17, 5),) * 2, None)], "copied (table 7)"
    assert sent(Switch([rule({"pop_mpls": IPV4}, {"output": 2})]), LABELLED) == [(2, (), None)]
    vlan = ({"push_vlan": VLAN}, {"set_vlan_vid": VLAN_PRESENT | 9}, {"set_vlan_pcp": 6})
    assert sent(Switch([rule(*vlan, {"output": 2})])) == [(2, (Tag(VLAN, 9, 6),), None)]
    tagged = IP._replace(tags=(Tag(VLAN, 9, 6),))
    assert sent(Switch([rule({"pop_vlan": 0}, {"output": 2})]), tagged) == [(2, (), None)]


@pytest.mark.parametrize(
    ("packet", "action"),
    [
        (IP, {"set_mpls_label": 1}),
        (IP, {"pop_mpls": IPV4}),
        (LABELLED, {"pop_mpls": MPLS}),
        (IP, {"push_mpls": VLAN}),
        (IP, {"pop_vlan": 0}),
        (IP._replace(tags=(Tag(VLAN, 9, 6),)), {"set_vlan_vid": 9}),
        (IP, {"set_vlan_pcp": 9}),
        (IP, {"fly": 1}),
    ],
)
def test_what_does_not_apply(packet: Packet, action: dict[str, int]) -> None:
    with pytest.raises(PacketError, match="does not apply"):
        sent(Switch([rule(action, {"output": 2})]), packet)


def test_each_output_sends_the_packet_as_it_is_then() -> None:
    actions = ({"output": 2}, {"push_mpls": MPLS}, {"set_queue": 4}, {"output": 3})
    assert sent(Switch([rule(*actions)])) == [(2, (), None), (3, (Tag(MPLS, 0, 0),), 4)]


def test_tables_go_on_with_the_changed_packet() -> None:
    first = rule({"push_mpls": MPLS}, {"set_mpls_label": 3}, goto=2)
    second = rule({"output": 2}, match={"eth_type": MPLS, "mpls_label": 3}, table=2)
    assert sent(Switch([first, second])) == [(2, (Tag(MPLS, 3, 0),), None)]
    with pytest.raises(PacketError, match="from table 2 back to table 1"):
        sent(Switch([rule(goto=2), rule(table=2, goto=1)]))


def test_group_of_all_gives_each_bucket_a_copy() -> None:
    push = ({"push_mpls": MPLS}, {"set_mpls_label": 3})
    both = group("all", out(2, *push), out(3))
    switch = Switch([rule({"set_queue": 4}, {"group": 7}, {"output": 5})], [both])
    assert sent(switch) == [(2, (Tag(MPLS, 3, 0),), 4), (3, (), 4), (5, (), 4)]


def test_fast_failover_takes_the_first_live_bucket() -> None:
    ways = group("fast_failover", out(2, watch=2), out(3, watch=3))
    switch = Switch([rule({"group": 7})], [ways])
    assert [sent(switch, down=down)[0][0] for down in (set(), {3}, {2})] == [2, 2, 3]
    with pytest.raises(PacketError, match="group 7 has no live bucket"):
        sent(switch, down={2, 3})


def test_a_bucket_is_an_action_set() -> None:
    """Whatever their order in the bucket: push, set, queue, output (clause 5.10)."""
    turned = Bucket(actions=({"output": 2}, {"set_mpls_label": 3}, {"push_mpls": MPLS}))
    switch = Switch([rule({"group": 7})], [group("indirect", turned)])
    assert sent(switch) == [(2, (Tag(MPLS, 3, 0),), None)]


def test_groups_of_groups_end() -> None:
    inner = group("indirect", out(2), id_=8)
    outer = group("indirect", Bucket(actions=({"group": 8},)))
    assert sent(Switch([rule({"group": 7})], [outer, inner])) == [(2, (), None)]
    loop = group("indirect", Bucket(actions=({"group": 7},)))
    with pytest.raises(PacketError, match="reached through 8 groups"):
        sent(Switch([rule({"group": 7})], [loop]))
    with pytest.raises(PacketError, match="indirect group 7 has 2 buckets"):
        sent(Switch([rule({"group": 7})], [group("indirect", out(2), out(3))]))


def test_rule_in_anothers_place() -> None:
    old, new = rule({"output": 2}), rule({"output": IN_PORT})
    assert key(old) == key(new)
    found = Switch([old]).receive(IP, 1, instead={key(old): new})
    assert [one.port for one in found] == [IN_PORT]
