"""What encode writes is read again, by the library's parser, and must say the same."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import encode
from controllers.compat import of13, ofp, parser
from testbed.errors import InputError, PlanError
from testbed.net.tables import Bucket, Group, Rule

MATCHES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "labelled": {
        "mpls_label": st.integers(0, 2**20 - 1),
        "mpls_tc": st.integers(0, 7),
    },
    "udp": {
        "ipv4_src": st.ip_addresses(v=4).map(str),
        "ipv4_dst": st.ip_addresses(v=4).map(str),
        "udp_src": st.integers(0, 65535),
        "udp_dst": st.integers(0, 65535),
        "ip_dscp": st.integers(0, 63),
    },
    "tcp": {
        "ipv4_src": st.ip_addresses(v=4).map(str),
        "tcp_src": st.integers(0, 65535),
        "tcp_dst": st.integers(0, 65535),
    },
}
ALWAYS: dict[str, dict[str, int | str]] = {
    "labelled": {"eth_type": 0x8847},
    "udp": {"eth_type": 0x0800, "ip_proto": 17},
    "tcp": {"eth_type": 0x0800, "ip_proto": 6},
}
ACTION = st.one_of(
    st.just({"push_mpls": 0x8847}),
    st.just({"pop_mpls": 0x0800}),
    st.integers(0, 2**20 - 1).map(lambda value: {"set_mpls_label": value}),
    st.integers(0, 7).map(lambda value: {"set_mpls_tc": value}),
    st.just({"push_vlan": 0x8100}),
    st.just({"pop_vlan": 0}),
    st.integers(0x1000, 0x1FFF).map(lambda value: {"set_vlan_vid": value}),
    st.integers(0, 7).map(lambda value: {"set_vlan_pcp": value}),
    st.integers(0, 2**32 - 1).map(lambda value: {"group": value}),
    st.integers(0, 100).map(lambda value: {"set_queue": value}),
    st.integers(1, ofp.OFPP_MAX).map(lambda value: {"output": value}),
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(sorted(MATCHES)))
    match = ALWAYS[kind] | draw(st.fixed_dictionaries({}, optional=MATCHES[kind]))
    if draw(st.booleans()):
        match["in_port"] = draw(st.integers(1, ofp.OFPP_MAX))
    return Rule(
        switch="s1",
        priority=draw(st.integers(0, 65535)),
        match=match,
        actions=tuple(draw(st.lists(ACTION, max_size=6))),
        goto=draw(st.none() | st.integers(1, 254)),
        cookie=draw(st.integers(0, 2**64 - 2)),
        table=draw(st.integers(0, 254)),
    )


def messages(buffer: bytes) -> list[Any]:
    """The buffer's messages, parsed."""
    found = []
    while buffer:
        version, kind, length, xid = struct.unpack_from("!BBHI", buffer)
        assert version == 4
        if kind == ofp.OFPT_BARRIER_REQUEST:  # the library cannot parse a controller's messages
            assert length == 8
            found.append(parser.OFPBarrierRequest(of13()))
            found[-1].set_xid(xid)
        elif kind == ofp.OFPT_GROUP_MOD:
            found.append(group_mod(buffer[:length]))
            found[-1].set_xid(xid)
        else:
            found.append(parser.msg_parser(of13(), version, kind, length, xid, buffer[:length]))
        buffer = buffer[length:]
    return found


def group_mod(data: bytes) -> Any:
    """struct ofp_group_mod (clause 7.3.4.3), which the library cannot parse either."""
    command, kind, id_ = struct.unpack_from("!HBxI", data, 8)
    buckets, at = [], 16
    while at < len(data):
        buckets.append(parser.OFPBucket.parser(data, at))
        at += buckets[-1].len
    return parser.OFPGroupMod(of13(), command, kind, id_, buckets)


NAMES: dict[type, Callable[[Any], dict[str, int]]] = {
    parser.OFPActionPushMpls: lambda action: {"push_mpls": action.ethertype},
    parser.OFPActionPopMpls: lambda action: {"pop_mpls": action.ethertype},
    parser.OFPActionSetQueue: lambda action: {"set_queue": action.queue_id},
    parser.OFPActionOutput: lambda action: {"output": action.port},
    parser.OFPActionPushVlan: lambda action: {"push_vlan": action.ethertype},
    parser.OFPActionPopVlan: lambda _: {"pop_vlan": 0},
    parser.OFPActionGroup: lambda action: {"group": action.group_id},
    parser.OFPActionSetField: lambda action: {f"set_{action.key}": action.value},
}


def decoded(message: Any) -> Rule:
    """The rule a flow mod adds."""
    by_type = {part.type: part for part in message.instructions}
    assert by_type.keys() <= {ofp.OFPIT_APPLY_ACTIONS, ofp.OFPIT_GOTO_TABLE}
    apply, goto = (by_type.get(t) for t in (ofp.OFPIT_APPLY_ACTIONS, ofp.OFPIT_GOTO_TABLE))
    return Rule(
        switch="s1",
        priority=message.priority,
        match=dict(message.match.items()),
        actions=decoded_actions(apply.actions if apply else ()),
        cookie=message.cookie,
        table=message.table_id,
        goto=goto.table_id if goto else None,
    )


def decoded_group(message: Any) -> Group:
    """The group a group mod adds."""
    kinds = {ofp.OFPGT_ALL: "all", ofp.OFPGT_INDIRECT: "indirect", ofp.OFPGT_FF: "fast_failover"}
    assert all(bucket.watch_group == ofp.OFPG_ANY for bucket in message.buckets)
    return Group(
        switch="s1",
        id=message.group_id,
        kind=kinds[message.type],  # type: ignore[arg-type]
        buckets=tuple(
            Bucket(
                actions=decoded_actions(bucket.actions),
                watch_port=None if bucket.watch_port == ofp.OFPP_ANY else bucket.watch_port,
            )
            for bucket in message.buckets
        ),
    )


def decoded_actions(actions: Sequence[Any]) -> tuple[dict[str, int], ...]:
    return tuple(NAMES[type(action)](action) for action in actions)


GROUPS = st.lists(
    st.builds(
        Group,
        switch=st.just("s1"),
        id=st.integers(0, ofp.OFPG_MAX),
        kind=st.sampled_from(["all", "indirect", "fast_failover"]),
        buckets=st.lists(
            st.builds(
                Bucket,
                actions=st.lists(ACTION, max_size=3).map(tuple),
                watch_port=st.none() | st.integers(1, ofp.OFPP_MAX),
            ),
            max_size=3,
        ).map(tuple),
    ),
    max_size=3,
)


@given(st.lists(rules(), max_size=8), GROUPS)
def test_buffer_deletes_adds_groups_then_rules_with_barriers_between(
    batch: list[Rule], groups: list[Group]
) -> None:
    sent = encode.Batch(batch, groups)
    assert sent.encode() == sent.encode()
    found = messages(sent.encode())
    flows, all_groups, *rest = found
    assert (flows.command, flows.table_id) == (ofp.OFPFC_DELETE, ofp.OFPTT_ALL)
    assert (flows.out_port, flows.out_group) == (ofp.OFPP_ANY, ofp.OFPG_ANY)
    assert not list(flows.match.items())
    assert flows.cookie_mask == 0
    assert (all_groups.command, all_groups.group_id) == (ofp.OFPGC_DELETE, ofp.OFPG_ALL)
    added = [m for m in rest if isinstance(m, parser.OFPFlowMod)]
    assert [decoded(message) for message in added] == batch
    assert all(message.command == ofp.OFPFC_ADD for message in added)
    assert all(message.idle_timeout == message.hard_timeout == 0 for message in added)
    made = [m for m in rest if isinstance(m, parser.OFPGroupMod)]
    assert [decoded_group(message) for message in made] == groups
    barrier = parser.OFPBarrierRequest
    steps = [(kind, len(list(same))) for kind, same in groupby(map(type, rest))]
    step_of_groups = [(parser.OFPGroupMod, len(groups)), (barrier, 1)] if groups else []
    step_of_rules = [(parser.OFPFlowMod, len(batch))] if batch else []
    assert steps == [(barrier, 1), *step_of_groups, *step_of_rules, (barrier, 1)] or not batch
    assert rest[-1].xid == sent.done == len(batch) + 1
    assert all(m.xid == 0 for m in rest[:-1] if isinstance(m, barrier))
    for message, shown in zip(added, map(encode.show, batch), strict=True):
        assert sent.subject(message.xid) == shown
    for message, shown in zip(made, map(encode.show_group, groups), strict=True):
        assert sent.subject(message.xid) == shown


def test_without_clearing_nothing_is_deleted() -> None:
    (only,) = messages(encode.Batch(()).encode(clear=False))
    assert isinstance(only, parser.OFPBarrierRequest)


def rule(match: dict[str, int | str], *actions: dict[str, int]) -> Rule:
    return Rule(switch="s1", priority=1, match=match, actions=actions, cookie=0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (rule({"mpls_label": 1 << 20}), "mpls_label cannot be 1048576"),
        (rule({"ip_dscp": 64}), "ip_dscp cannot be 64"),
        (rule({"udp_dst": "80"}), "udp_dst cannot be '80'"),
        (rule({"ipv4_dst": 1}), "ipv4_dst cannot be 1"),
        (rule({"ipv4_dst": "10.0.0.256"}), "cannot be encoded"),
        (rule({}, {"set_mpls_tc": 8}), "set_mpls_tc cannot be 8"),
        (rule({}, {"output": -1}), "output cannot be -1"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_rule(wrong: Rule, words: str) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        encode.flow_mod(wrong, 1)
    assert caught.value.where == encode.show(wrong)


def test_misspelt_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'mpls_label'"):
        encode.flow_mod(rule({"mpls_labl": 1}), 1)
    with pytest.raises(InputError, match="did you mean 'output'"):
        encode.flow_mod(rule({}, {"outptu": 1}), 1)
