"""Rules to OpenFlow 1.3 bytes, purely: data in, one buffer out.

A switch is set up by one buffer: delete every flow, add every rule, one barrier.
Transaction ids tell what a reply or an error is about: 0 the deletion, i + 1 the
rule of index i, and one more than the number of rules the barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from controllers.compat import of13, ofp, parser
from testbed.errors import PlanError, unknown
from testbed.plan.model import Rule

MATCHES: dict[str, int | None] = {
    "in_port": 32,
    "eth_src": None,
    "eth_dst": None,
    "eth_type": 16,
    "vlan_vid": 13,
    "vlan_pcp": 3,
    "ip_dscp": 6,
    "ip_ecn": 2,
    "ip_proto": 8,
    "ipv4_src": None,
    "ipv4_dst": None,
    "tcp_src": 16,
    "tcp_dst": 16,
    "udp_src": 16,
    "udp_dst": 16,
    "icmpv4_type": 8,
    "icmpv4_code": 8,
    "arp_op": 16,
    "arp_spa": None,
    "arp_tpa": None,
    "mpls_label": 20,
    "mpls_tc": 3,
    "mpls_bos": 1,
}
"""OXM names (OpenFlow 1.3.5 table 12) -> bits of an integer; None is an address, as text."""

ACTIONS: dict[str, tuple[int, Callable[[int], Any]]] = {
    "push_mpls": (16, parser.OFPActionPushMpls),
    "set_mpls_label": (20, lambda label: parser.OFPActionSetField(mpls_label=label)),
    "set_mpls_tc": (3, lambda tc: parser.OFPActionSetField(mpls_tc=tc)),
    "pop_mpls": (16, parser.OFPActionPopMpls),
    "set_queue": (32, parser.OFPActionSetQueue),
    "output": (32, parser.OFPActionOutput),
}
"""Action of the plan -> bits of its value, and its encoder."""


def install(rules: Sequence[Rule], *, clear: bool = True) -> bytes:
    """One switch's whole buffer: delete all, add `rules`, barrier. Raises TestbedError.

    Without `clear` nothing is deleted: a rule that is there is replaced in one step, so
    packets are forwarded throughout (OpenFlow 1.3.5 clause 6.4).
    """
    deletion = parser.OFPFlowMod(
        of13(),
        table_id=ofp.OFPTT_ALL,
        command=ofp.OFPFC_DELETE,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
    )
    return b"".join(
        (
            _bytes(deletion, 0) if clear else b"",
            *(flow_mod(rule, xid) for xid, rule in enumerate(rules, start=1)),
            _bytes(parser.OFPBarrierRequest(of13()), len(rules) + 1),
        )
    )


def statistics() -> bytes:
    """Ask a switch for the counters of all flows (xid 0) and of all ports (xid 1)."""
    flows = parser.OFPFlowStatsRequest(of13(), 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY)
    ports = parser.OFPPortStatsRequest(of13(), 0, ofp.OFPP_ANY)
    return _bytes(flows, 0) + _bytes(ports, 1)


def flow_mod(rule: Rule, xid: int) -> bytes:
    """The message that adds `rule`.

    Raises InputError for an unknown match field or action, PlanError for a value
    that does not fit its field.
    """
    for field, value in rule.match.items():
        if field not in MATCHES:
            raise unknown("match field", field, MATCHES, where=show(rule))
        _check(field, value, MATCHES[field], rule)
    actions = []
    for action, value in ((k, v) for step in rule.actions for k, v in step.items()):
        if action not in ACTIONS:
            raise unknown("action", action, ACTIONS, where=show(rule))
        bits, encoder = ACTIONS[action]
        _check(action, value, bits, rule)
        actions.append(encoder(value))
    apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)] if actions else []
    try:
        message = parser.OFPFlowMod(
            of13(),
            table_id=rule.table,
            priority=rule.priority,
            cookie=rule.cookie,
            match=parser.OFPMatch(**rule.match),
            instructions=apply,
        )
        return _bytes(message, xid)
    except Exception as error:  # the framework raises what its struct, socket and netaddr do
        raise PlanError(
            f"a rule cannot be encoded: {error}",
            where=show(rule),
            expected="addresses as text, priority within 16 bits, cookie within 64",
        ) from error


def show(rule: Rule) -> str:
    """A rule for people.

    >>> show(Rule(switch="s1", priority=100, match={"in_port": 1}, actions=(), cookie=7))
    's1 priority 100 in_port=1 -> drop (cookie 7)'
    """
    match = ",".join(f"{field}={value}" for field, value in rule.match.items()) or "any"
    actions = ",".join(f"{k}:{v}" for action in rule.actions for k, v in action.items()) or "drop"
    return f"{rule.switch} priority {rule.priority} {match} -> {actions} (cookie {rule.cookie})"


def _check(name: str, value: int | str, bits: int | None, rule: Rule) -> None:
    if bits is None:
        if isinstance(value, str):
            return
        expected = "an address as text"
    else:
        if isinstance(value, int) and 0 <= value < 1 << bits:
            return
        expected = f"an integer from 0 to {(1 << bits) - 1}"
    raise PlanError(f"{name} cannot be {value!r}", where=show(rule), expected=expected)


def _bytes(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)
