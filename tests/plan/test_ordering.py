"""Changes while packets flow: step by step, and against the plan made at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.net.deltas.install import Install, Step, stepped
from testbed.net.fabric import Fabric
from testbed.net.matches import example
from testbed.net.paths import Book, Carried
from testbed.net.state import State
from testbed.net.walk import walk, walk_paths
from testbed.plan.admission import Admission
from testbed.plan.refusal import Refusal
from testbed.scenario.model import Slice
from testbed.slices.policy import BEST_EFFORT
from tests.plan.networks import MBIT, flow, networks, probe
from tests.plan.ordered import admission, admitted, canonical, order, refused, requests
from tests.searching import examples


def _ask(here: Admission, state: State, verb: str, asked: Slice) -> Install | Refusal:
    """What comes of a request."""
    if verb == "remove":
        return here.withdraw(state, asked.id)
    return here.admit(state, asked)


def _nothing_is_lost(now: State, before: Book, after: Book) -> None:
    """Every slice of both books is delivered, on one of its two paths."""
    fabric = Fabric(now)
    for placed in after.placed:
        was = before.find(placed.slice.id)
        if was is None:
            continue
        for one in placed.carried:
            ways = {
                (other.path.nodes)
                for both in (was, placed)
                for other in both.carried
                if (other.path.src, other.path.dst) == (one.path.src, one.path.dst)
            }
            held = {m for o in was.carried for m in o.matches}
            for match in held & set(one.matches):
                (trace,) = fabric.send(one.path.src, example(match)).traces
                assert not trace.fault, trace
                assert trace.nodes(one.path.src) in ways


def _untouched(state: State, before: Book, after: Book) -> list[Carried]:
    """Paths of orders that stay, and of slices that were planned."""
    stay = [one for one in state.paths if one.path.slice != BEST_EFFORT]
    for placed in after.placed:
        if before.find(placed.slice.id) == placed:
            stay += placed.carried
    return stay


@settings(deadline=None, max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_changes_one_by_one_lead_where_the_plan_made_at_once_is(data: st.DataObject) -> None:
    network = data.draw(networks())
    hosts = [node.name for node in network.nodes if node.role == "host"]
    here = admission(network, probes=(probe("p", hosts[0], hosts[1]),))
    state: State = here.first
    for verb, asked in data.draw(requests(hosts)):
        delta = _ask(here, state, verb, asked)
        if isinstance(delta, Refusal):
            continue
        after = state + delta
        between = state
        for step in delta.steps:
            between = stepped(between, step)
            walk_paths(between, _untouched(state, state.book, after.book))
            _nothing_is_lost(between, state.book, after.book)
        assert (between.rules, between.ports) == (after.rules, after.ports)
        state = after
        assert canonical(state) == canonical(here.at_once(state.book))
        walk(state)


@settings(deadline=None, max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_change_is_undone_wherever_it_stopped(data: st.DataObject) -> None:
    here = admission()
    state: State = here.first
    *first, last = data.draw(requests(["h1", "h2", "h3"]))
    for verb, one in first:
        delta = _ask(here, state, verb, one)
        state = state if isinstance(delta, Refusal) else state + delta
    delta = _ask(here, state, *last)
    if isinstance(delta, Refusal):
        return
    after = (state + delta).book
    now = state
    for step in delta.steps[: data.draw(st.integers(0, len(delta.steps)))]:
        now = stepped(now, step)
    # of the step that fails, any part may be done
    for step in here.steps(after, state.book):
        now = stepped(now, step)
        walk_paths(now, _untouched(state, state.book, after))
    assert canonical(now) == canonical(state)


def test_the_new_path_is_there_before_packets_take_it() -> None:
    here = admission()
    delta = here.admit(here.first, order(dscp=(10,)))
    assert isinstance(delta, Install)
    inner, entrance = delta.steps
    assert all("mpls_label" in rule.match for rule in inner.add)
    assert all(rule.match["ip_dscp"] == 10 for rule in entrance.add)
    assert {port.node for port in inner.ports} == {"s1", "s2", "s3"}
    assert not entrance.ports


def test_the_old_path_goes_when_its_packets_have_passed() -> None:
    here = admission()
    delta = here.withdraw(admitted(here, here.first, order(dscp=(10,))), "late")
    assert isinstance(delta, Install)
    first, last = delta.steps
    assert not first.wait_ns
    assert last.wait_ns > 0
    assert all("mpls_label" in rule.match for rule in last.delete)
    assert last.ports
    assert all(port in here.first.ports for port in last.ports)


def test_another_rate_moves_no_rule() -> None:
    here = admission()
    state = admitted(here, here.first, order(dscp=(10,)))
    delta = here.admit(state, order(dscp=(10,), rate=20 * MBIT))
    assert isinstance(delta, Install)
    (step,) = delta.steps
    assert step == Step(ports=step.ports)


def test_full_links_are_gone_round() -> None:
    here = admission()
    state = admitted(
        here,
        here.first,
        order("one", dscp=(10,), rate=60 * MBIT, both=False),
        order("two", dscp=(12,), rate=60 * MBIT, both=False),
    )
    one, two = (placed.carried[0].path.nodes for placed in state.book.placed)
    assert one == ("h1", "s1", "s3", "s2", "h2")
    assert two == ("h1", "s1", "s2", "h2")
    refusal = refused(here, state, order("three", dscp=(14,), rate=60 * MBIT, both=False))
    assert "room for 35 Mbit/s of the 60 Mbit/s" in refusal.what
    assert refusal.remedy == "order 35 Mbit/s or less"
    admitted(here, state, order("three", dscp=(14,), rate=35 * MBIT, both=False))


def test_a_delay_the_network_cannot_give_is_refused_with_the_least() -> None:
    here = admission()
    refusal = refused(here, here.first, order(dscp=(10,), delay_ns=100_000))
    assert "the least one-way delay from h1 to h2 is" in refusal.what
    assert refusal.path.endswith("metric-bound[metric-type='one-way-delay-maximum']")


def test_packets_of_a_running_slice_cannot_be_ordered_away() -> None:
    here = admission()
    assert "belong to slice gold" in refused(here, here.first, order()).what
    assert "belong to slice gold" in refused(here, here.first, order(dscp=(46,))).what
    state = admitted(here, here.first, order(dscp=(10,)))
    assert "belong to slice late" in refused(here, state, order("later", dscp=(8, 10))).what


def test_best_effort_can_be() -> None:
    here = admission(probes=(probe(slice="best-effort"),), flows=(flow(),))
    walk(admitted(here, here.first, order()))


@pytest.mark.parametrize(
    ("given", "path", "what"),
    [
        ({"a": "nowhere"}, "/sdps/sdp[id='a']/node-id", "unknown host"),
        ({"b": "s1"}, "/sdps/sdp[id='b']/node-id", "unknown host"),
        ({"b": "h1"}, "/connection-groups", "connects nothing"),
    ],
)
def test_ends_have_to_be_hosts(given: dict[str, Any], path: str, what: str) -> None:
    here = admission()
    refusal = refused(here, here.first, order(**given))
    assert what in refusal.what
    assert refusal.path == path


def test_ids_are_those_of_one_slice_each() -> None:
    here = admission()
    state = admitted(here, here.first, order(dscp=(10,)))
    assert "is there already" in refused(here, state, order("gold", dscp=(12,))).what
    for id_, why in (("gold", "belongs to the experiment"), ("silver2", "there is no slice")):
        answer = here.withdraw(state, id_)
        assert isinstance(answer, Refusal)
        assert why in answer.what


def test_what_runs_keeps_its_queue_numbers_and_shares() -> None:
    here = admission()
    state = admitted(here, here.first, order(dscp=(10,), priority=1))
    (port,) = (p for p in state.ports if (p.node, p.peer_node) == ("s1", "s3"))
    (planned,) = (p for p in here.first.ports if (p.node, p.peer_node) == ("s1", "s3"))
    now = {queue.id: queue for queue in port.queues}
    for queue in planned.queues:
        assert now[queue.id].promised_bps == queue.promised_bps
        assert now[queue.id].name == queue.name
    by_priority = sorted(port.queues, key=lambda queue: queue.level)
    assert [queue.name for queue in by_priority] == ["late", "gold", "best-effort"]


def test_strict_priority_takes_orders_too_and_holds_them_to_what_they_say() -> None:
    here = admission(scheduler="strict_priority")
    state = admitted(here, here.first, order(dscp=(10,)))
    walk(state)
    entrance, inner = state.port("s1", "s3"), state.port("s3", "s2")
    assert [(one.name, one.rate_bps) for one in entrance.policers] == [("late", 10 * MBIT)]
    assert inner.policers == ()


def test_one_queue_for_all_guarantees_no_rate() -> None:
    here = admission(scheduler="fifo")
    refusal = refused(here, here.first, order(dscp=(10,)))
    assert "a rate cannot be guaranteed" in refusal.what
    assert refusal.path.endswith("metric-bound[metric-type='one-way-bandwidth']")
    walk(admitted(here, here.first, order(dscp=(10,), rate=0)))


def test_gates_are_not_changed_while_they_run() -> None:
    here = admission(scheduler="time_aware")
    assert "time-aware" in refused(here, here.first, order(dscp=(10,))).what


def test_an_order_of_its_own_queue_needs_a_policy_that_gives_one() -> None:
    here = admission(scheduler="fifo")
    refusal = refused(here, here.first, order(dscp=(10,), isolation="dedicated-queue"))
    assert "no queue for this slice alone" in refusal.what
