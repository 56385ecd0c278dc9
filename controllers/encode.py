"""Rules and groups to OpenFlow 1.3 bytes, purely: data in, one buffer out.

A switch is set up by one buffer, with a barrier after each step, since a switch may
reorder what no barrier parts (OpenFlow 1.3.5 clause 6.1.1) and a rule needs its group:

    delete all flows and groups | add every group | add every rule | done

Transaction ids tell what a reply or an error is about: i + 1 the rule of index i, `done`
the last barrier, the ids after it the groups, 0 the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from controllers.compat import of13, ofp, parser
from testbed.errors import PlanError, unknown
from testbed.net.tables import Group, Rule

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
    "push_vlan": (16, parser.OFPActionPushVlan),
    "set_vlan_vid": (13, lambda vid: parser.OFPActionSetField(vlan_vid=vid)),
    "set_vlan_pcp": (3, lambda pcp: parser.OFPActionSetField(vlan_pcp=pcp)),
    "pop_vlan": (16, lambda _: parser.OFPActionPopVlan()),
    "group": (32, parser.OFPActionGroup),
    "set_queue": (32, parser.OFPActionSetQueue),
    "output": (32, parser.OFPActionOutput),
}
"""Action of the plan -> bits of its value, and its encoder."""


GROUP_KINDS = {
    "all": ofp.OFPGT_ALL,
    "indirect": ofp.OFPGT_INDIRECT,
    "fast_failover": ofp.OFPGT_FF,
}


_ALL_BITS = (1 << 64) - 1


class Batch:
    """What one switch is told at once."""

    def __init__(
        self,
        rules: Sequence[Rule],
        groups: Sequence[Group] = (),
        *,
        delete: Sequence[Rule] = (),
        after: int = 0,
    ) -> None:
        """`delete` are taken away after `rules` are added. All transaction ids are larger
        than `after`, but for those of 0."""
        self.rules, self.groups, self._after = tuple(rules), tuple(groups), after
        self._delete = tuple(delete)
        self.done = after + len(self.rules) + len(self._delete) + 1
        """Transaction id of the last barrier."""

    def encode(self, *, clear: bool = True) -> bytes:
        """The whole buffer. Raises TestbedError.

        Without `clear` nothing is deleted: a rule that is there is replaced in one step,
        so packets are forwarded throughout (OpenFlow 1.3.5 clause 6.4), and a group that
        is there stays, which the switch answers with an error (see `is_kept`).
        """
        groups = enumerate(self.groups, start=self.done + 1)
        parts = [_deletions(), barrier(0)] if clear else []
        parts += [group_mod(group, xid) for xid, group in groups]
        parts += [barrier(0)] if self.groups else []
        rules = enumerate(self.rules, start=self._after + 1)
        parts += [flow_mod(rule, xid) for xid, rule in rules]
        first = self._after + len(self.rules) + 1
        gone = enumerate(self._delete, start=first)
        parts += [flow_mod(rule, xid, delete=True) for xid, rule in gone]
        return b"".join((*parts, barrier(self.done)))

    def has(self, xid: int) -> bool:
        """Whether a transaction id is of a rule or of the last barrier."""
        return self._after < xid <= self.done

    def subject(self, xid: int) -> str:
        """What a reply or error is about."""
        if self._after < xid < self.done:
            return show((*self.rules, *self._delete)[xid - self._after - 1])
        if self.done < xid <= self.done + len(self.groups):
            return show_group(self.groups[xid - self.done - 1])
        return f"message {xid}"


def is_kept(kind: int, code: int) -> bool:
    """Whether an error says that a group is there already."""
    return bool(kind == ofp.OFPET_GROUP_MOD_FAILED and code == ofp.OFPGMFC_GROUP_EXISTS)


def _deletions() -> bytes:
    flows = parser.OFPFlowMod(
        of13(),
        table_id=ofp.OFPTT_ALL,
        command=ofp.OFPFC_DELETE,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
    )
    groups = parser.OFPGroupMod(of13(), command=ofp.OFPGC_DELETE, group_id=ofp.OFPG_ALL)
    return _bytes(flows, 0) + _bytes(groups, 0)


def barrier(xid: int) -> bytes:
    """Ask a switch to say when it has done all that came before."""
    return _bytes(parser.OFPBarrierRequest(of13()), xid)


def statistics() -> bytes:
    """Ask a switch for the counters of all flows (xid 0) and of all ports (xid 1)."""
    flows = parser.OFPFlowStatsRequest(of13(), 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY)
    ports = parser.OFPPortStatsRequest(of13(), 0, ofp.OFPP_ANY)
    return _bytes(flows, 0) + _bytes(ports, 1)


def flow_mod(rule: Rule, xid: int, *, delete: bool = False) -> bytes:
    """The message that adds `rule`, or takes away what has its match, priority and cookie.

    Raises InputError for an unknown match field or action, PlanError for a value
    that does not fit its field.
    """
    where = show(rule)
    for field, value in rule.match.items():
        if field not in MATCHES:
            raise unknown("match field", field, MATCHES, where=where)
        _check(field, value, MATCHES[field], where)
    actions = _actions(rule.actions, where)
    then = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)] if actions else []
    if rule.goto is not None:
        then.append(parser.OFPInstructionGotoTable(rule.goto))
    with _encoded(where):
        message = parser.OFPFlowMod(
            of13(),
            table_id=rule.table,
            priority=rule.priority,
            cookie=rule.cookie,
            cookie_mask=_ALL_BITS if delete else 0,
            command=ofp.OFPFC_DELETE_STRICT if delete else ofp.OFPFC_ADD,
            out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY,
            match=parser.OFPMatch(**rule.match),
            instructions=then,
        )
        return _bytes(message, xid)


def group_mod(group: Group, xid: int) -> bytes:
    """The message that adds `group`. Raises InputError, PlanError."""
    where = show_group(group)
    buckets = [
        parser.OFPBucket(
            watch_port=ofp.OFPP_ANY if bucket.watch_port is None else bucket.watch_port,
            watch_group=ofp.OFPG_ANY,
            actions=_actions(bucket.actions, where),
        )
        for bucket in group.buckets
    ]
    with _encoded(where):
        message = parser.OFPGroupMod(
            of13(), ofp.OFPGC_ADD, GROUP_KINDS[group.kind], group.id, buckets
        )
        return _bytes(message, xid)


def _actions(steps: Sequence[dict[str, int]], where: str) -> list[Any]:
    actions = []
    for action, value in ((k, v) for step in steps for k, v in step.items()):
        if action not in ACTIONS:
            raise unknown("action", action, ACTIONS, where=where)
        bits, encoder = ACTIONS[action]
        _check(action, value, bits, where)
        actions.append(encoder(value))
    return actions


@contextmanager
def _encoded(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the framework raises what its struct, socket and netaddr do
        raise PlanError(
            f"a rule or group cannot be encoded: {error}",
            where=where,
            expected="addresses as text, priority within 16 bits, cookie within 64",
        ) from error


def show(rule: Rule) -> str:
    """A rule for people.

    >>> show(Rule(switch="s1", priority=100, match={"in_port": 1}, actions=(), cookie=7))
    's1 priority 100 in_port=1 -> drop (cookie 7)'
    """
    match = ",".join(f"{field}={value}" for field, value in rule.match.items()) or "any"
    goto = () if rule.goto is None else ({"goto": rule.goto},)
    actions = _show(*rule.actions, *goto) or "drop"
    return f"{rule.switch} priority {rule.priority} {match} -> {actions} (cookie {rule.cookie})"


def show_group(group: Group) -> str:
    """A group for people: `s1 group 7 fast_failover [2] output:2 | [3] output:3`."""
    buckets = (
        ("" if bucket.watch_port is None else f"[{bucket.watch_port}] ") + _show(*bucket.actions)
        for bucket in group.buckets
    )
    return f"{group.switch} group {group.id} {group.kind} {' | '.join(buckets)}"


def _show(*actions: dict[str, int]) -> str:
    return ",".join(f"{k}:{v}" for action in actions for k, v in action.items())


def _check(name: str, value: int | str, bits: int | None, where: str) -> None:
    if bits is None:
        if isinstance(value, str):
            return
        expected = "an address as text"
    else:
        if isinstance(value, int) and 0 <= value < 1 << bits:
            return
        expected = f"an integer from 0 to {(1 << bits) - 1}"
    raise PlanError(f"{name} cannot be {value!r}", where=where, expected=expected)


def _bytes(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)
