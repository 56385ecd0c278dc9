"""What encode writes is read again, by the library's parser, and must say the same."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import encode
from controllers.compat import of13, ofp, parser
from testbed.errors import InputError, PlanError
from testbed.plan.model import Rule

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
        else:
            found.append(parser.msg_parser(of13(), version, kind, length, xid, buffer[:length]))
        buffer = buffer[length:]
    return found


def decoded(message: Any) -> Rule:
    """The rule a flow mod adds."""
    names = {
        parser.OFPActionPushMpls: lambda action: {"push_mpls": action.ethertype},
        parser.OFPActionPopMpls: lambda action: {"pop_mpls": action.ethertype},
        parser.OFPActionSetQueue: lambda action: {"set_queue": action.queue_id},
        parser.OFPActionOutput: lambda action: {"output": action.port},
        parser.OFPActionSetField: lambda action: {f"set_{action.key}": action.value},
    }
    assert all(i.type == ofp.OFPIT_APPLY_ACTIONS for i in message.instructions)
    actions = [action for part in message.instructions for action in part.actions]
    return Rule(
        switch="s1",
        priority=message.priority,
        match=dict(message.match.items()),
        actions=tuple(names[type(action)](action) for action in actions),
        cookie=message.cookie,
        table=message.table_id,
    )


@given(st.lists(rules(), max_size=8))
def test_buffer_deletes_all_adds_each_rule_in_order_and_ends_with_a_barrier(
    batch: list[Rule],
) -> None:
    deletion, *added, barrier = messages(encode.install(batch))
    assert (deletion.command, deletion.table_id) == (ofp.OFPFC_DELETE, ofp.OFPTT_ALL)
    assert (deletion.out_port, deletion.out_group) == (ofp.OFPP_ANY, ofp.OFPG_ANY)
    assert not list(deletion.match.items())
    assert deletion.cookie_mask == 0
    assert [decoded(message) for message in added] == batch
    assert all(message.command == ofp.OFPFC_ADD for message in added)
    assert all(message.idle_timeout == message.hard_timeout == 0 for message in added)
    assert isinstance(barrier, parser.OFPBarrierRequest)
    assert [m.xid for m in (deletion, *added, barrier)] == list(range(len(batch) + 2))


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
