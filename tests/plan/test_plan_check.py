"""The walker finds each kind of wrong rule."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import PlanError
from testbed.net.fabric import Fabric
from testbed.net.matches import example
from testbed.net.tables import Rule
from testbed.net.walk import walk_failures
from testbed.plan.model import Plan
from tests.plan.networks import compiled, flow, scenario
from tests.ports import changed

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled(LowestDelay(), scenario(flows=(flow(),)))


def _edit(plan: Plan, switch: str, cookie: int, change: Callable[[Rule], list[Rule]]) -> Plan:
    """The plan with one switch's rules of a path changed."""
    rules: list[Rule] = []
    for rule in plan.rules:
        mine = (rule.switch, rule.cookie) == (switch, cookie)
        rules += change(rule) if mine else [rule]
    return replace(plan, rules=tuple(rules))


def _without(kind: str) -> Callable[[Rule], list[Rule]]:
    return lambda r: [replace(r, actions=tuple(a for a in r.actions if kind not in a))]


def _open(rule: Rule) -> list[Rule]:
    """A label rule that does not ask where packets come from."""
    return [rule, replace(rule, match={"eth_type": 0x8847, "mpls_label": 16})]


def _output(number: int) -> Callable[[Rule], list[Rule]]:
    return lambda r: [replace(r, actions=(*r.actions[:-1], {"output": number}))]


def test_sound(plan: Plan) -> None:
    matches, best_effort, forged = 2 + 2, 3 * 2, 4 * 2
    assert walk_failures(plan) == matches + best_effort + forged


def test_trace_of_a_session(plan: Plan) -> None:
    first = plan.paths[0]
    path, match = first.path, first.matches[0]
    walk = Fabric(plan).send("h1", example(match))
    (trace,) = walk.traces
    assert walk.links == {frozenset(pair.split()) for pair in ("h1 s1", "s1 s3", "s3 s2", "s2 h2")}
    assert [hop.switch for hop in trace.hops] == ["s1", "s3", "s2"]
    assert [hop.label for hop in trace.hops] == [16, 16, None]
    assert [hop.queue for hop in trace.hops] == [1, 1, None]
    assert (trace.end, trace.fault) == ("h2", "")
    assert path.nodes == ("h1", "s1", "s3", "s2", "h2")


@pytest.mark.parametrize(
    ("switch", "cookie", "change", "says"),
    [
        ("s3", 1, lambda r: [], "no rule matches at s3"),
        ("s3", 1, lambda r: [r, r], "2 rules of one priority match at s3"),
        ("s3", 1, lambda r: [replace(r, actions=())], "dropped at s3"),
        ("s3", 1, _without("set_queue"), "by queue None"),
        ("s3", 1, _output(9), "cannot leave by port 9"),
        ("s3", 1, _output(1), "cannot leave by port 1"),
        ("s2", 1, _without("pop_mpls"), "still has a label at h2"),
        ("s2", 1, _output(2), "cannot leave by port 2"),
        ("s1", 1, _output(4), "still has a label at h3"),
        ("s1", 1, lambda r: [], "went to s2"),
        ("s1", 1, _without("push_mpls"), "set_mpls_label 16 does not apply"),
        ("s1", 1, _without("set_mpls_label"), "no rule matches at s3"),
        ("s1", 0, lambda r: [replace(r, priority=200)], "went to s2"),
        ("s3", 1, lambda r: [replace(r, cookie=2)], "used rule 2"),
        ("s3", 1, lambda r: [replace(r, goto=0)], "back to table 0"),
        ("s3", 1, lambda r: [replace(r, goto=1)], "no rule matches"),
        ("s3", 1, lambda r: [replace(r, actions=({"group": 7},))], "there is no group 7"),
        ("s3", 1, lambda r: [replace(r, actions=r.actions * 2)], "2 copies of a packet"),
        ("s1", 1, _open, "h1 can send packets with label 16"),
        ("s2", 0, lambda r: [], "best effort from h1 to h2"),
    ],
)
def test_faults_are_found(
    plan: Plan, switch: str, cookie: int, change: Callable[[Rule], list[Rule]], says: str
) -> None:
    with pytest.raises(PlanError) as caught:
        walk_failures(_edit(plan, switch, cookie, change))
    assert says in str(caught.value)


def test_a_loop_is_found(plan: Plan) -> None:
    """s1 -> s3 -> s2 -> s1: best effort for h2 goes round."""
    ring = (("s1", "s3"), ("s3", "s2"), ("s2", "s1"))
    turns = {(a, "10.0.0.2"): plan.port(a, b).number for a, b in ring}
    rules = tuple(
        replace(rule, actions=({"set_queue": 0}, {"output": number}))
        if rule.cookie == 0 and (number := turns.get((rule.switch, str(rule.match["ipv4_dst"]))))
        else rule
        for rule in plan.rules
    )
    with pytest.raises(PlanError, match="packet loops at"):
        walk_failures(replace(plan, rules=rules))


def test_a_queue_that_is_not_there(plan: Plan) -> None:
    ports = tuple(changed(port, queues=port.queues[:1]) for port in plan.ports)
    with pytest.raises(PlanError, match="has no queue 1"):
        walk_failures(replace(plan, ports=ports))
