"""Changes while packets flow: step by step, and against the plan made at once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.plan.change import Step, change, installed
from testbed.plan.check import check_orders
from testbed.plan.fabric import Fabric
from testbed.plan.intake import Book, Intake, RefusedError
from testbed.plan.matches import example
from testbed.plan.openflow import key
from testbed.scenario.model import Scheduler, Slice
from tests.plan.networks import MBIT, flow, networks, probe
from tests.plan.ordered import Switches, intake, order, requests


def _ask(here: Intake, book: Book, verb: str, asked: Slice) -> Book:
    """The book after a request, the same if that is refused."""
    with suppress(RefusedError):
        if verb == "remove":
            return here.remove(book, asked.id)
        return here.place(book, asked) if verb == "place" else here.replace(book, asked)
    return book


def _nothing_is_lost(switches: Switches, before: Book, after: Book) -> None:
    """Every slice of both books is delivered, on one of its two paths."""
    fabric = Fabric(switches.plan())
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


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_changes_one_by_one_lead_where_the_plan_made_at_once_is(data: st.DataObject) -> None:
    network = data.draw(networks())
    hosts = [node.name for node in network.nodes if node.role == "host"]
    here = intake(network, probes=(probe("p", hosts[0], hosts[1]),))
    switches, book = Switches(here.plan), Book()
    for verb, asked in data.draw(requests(hosts)):
        after = _ask(here, book, verb, asked)
        untouched = [placed for placed in after.placed if book.find(placed.slice.id) == placed]
        for step in change(here, book, after):
            switches.do(step)
            check_orders(switches.plan(), untouched)
            _nothing_is_lost(switches, book, after)
        book = after
        at_once = installed(here, book)
        assert switches.rules == {key(rule): rule for rule in at_once.rules}
        assert sorted(switches.ports.values(), key=lambda p: p.ifindex) == list(at_once.ports)
        check_orders(at_once, book.placed)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_change_is_undone_wherever_it_stopped(data: st.DataObject) -> None:
    here, book = intake(), Book()
    asked = data.draw(requests(["h1", "h2", "h3"]))
    for verb, one in asked[:-1]:
        book = _ask(here, book, verb, one)
    after = _ask(here, book, *asked[-1])
    steps = change(here, book, after)
    switches = Switches(installed(here, book))
    before = (dict(switches.rules), dict(switches.ports))
    for step in steps[: data.draw(st.integers(0, len(steps)))]:
        switches.do(step)
    # of the step that fails, any part may be done
    for step in change(here, after, book):
        switches.do(step)
        check_orders(switches.plan(), [p for p in book.placed if after.find(p.slice.id) == p])
    assert (switches.rules, switches.ports) == before


def test_the_new_path_is_there_before_packets_take_it() -> None:
    here = intake()
    book = here.place(Book(), order(dscp=(10,)))
    steps = change(here, Book(), book)
    inner, entrance = steps
    assert all("mpls_label" in rule.match for rule in inner.add)
    assert all(rule.match["ip_dscp"] == 10 for rule in entrance.add)
    assert {port.node for port in inner.ports} == {"s1", "s2", "s3"}
    assert not entrance.ports


def test_the_old_path_goes_when_its_packets_have_passed() -> None:
    here = intake()
    book = here.place(Book(), order(dscp=(10,)))
    first, last = change(here, book, here.remove(book, "late"))
    assert not first.wait_ns
    assert last.wait_ns > 0
    assert all("mpls_label" in rule.match for rule in last.delete)
    assert last.ports
    assert all(port in here.plan.ports for port in last.ports)


def test_another_rate_moves_no_rule() -> None:
    here = intake()
    book = here.place(Book(), order(dscp=(10,)))
    (step,) = change(here, book, here.replace(book, order(dscp=(10,), rate=20 * MBIT)))
    assert step == Step(ports=step.ports)


def test_full_links_are_gone_round() -> None:
    here = intake()
    book = here.place(Book(), order("one", dscp=(10,), rate=60 * MBIT, both=False))
    book = here.place(book, order("two", dscp=(12,), rate=60 * MBIT, both=False))
    one, two = (placed.carried[0].path.nodes for placed in book.placed)
    assert one == ("h1", "s1", "s3", "s2", "h2")
    assert two == ("h1", "s1", "s2", "h2")
    with pytest.raises(RefusedError) as refused:
        here.place(book, order("three", dscp=(14,), rate=60 * MBIT, both=False))
    assert "room for 35 Mbit/s of the 60 Mbit/s" in refused.value.what
    assert refused.value.remedy == "order 35 Mbit/s or less"
    here.place(book, order("three", dscp=(14,), rate=35 * MBIT, both=False))


def test_a_delay_the_network_cannot_give_is_refused_with_the_least() -> None:
    here = intake()
    with pytest.raises(RefusedError, match="the least one-way delay from h1 to h2 is") as refused:
        here.place(Book(), order(dscp=(10,), delay_ns=100_000))
    assert refused.value.path.endswith("connectivity-construct[id='there']")


def test_packets_of_a_running_slice_cannot_be_ordered_away() -> None:
    here = intake()
    with pytest.raises(RefusedError, match="belong to slice gold"):
        here.place(Book(), order())
    with pytest.raises(RefusedError, match="belong to slice gold"):
        here.place(Book(), order(dscp=(46,)))
    book = here.place(Book(), order(dscp=(10,)))
    with pytest.raises(RefusedError, match="belong to slice late"):
        here.place(book, order("later", dscp=(8, 10)))


def test_best_effort_can_be() -> None:
    here = intake(probes=(probe(slice="best-effort"),), flows=(flow(),))
    book = here.place(Book(), order())
    check_orders(installed(here, book), book.placed)


@pytest.mark.parametrize(
    ("given", "path", "what"),
    [
        ({"a": "nowhere"}, "/sdps/sdp[id='a']/node-id", "unknown host"),
        ({"b": "s1"}, "/sdps/sdp[id='b']/node-id", "unknown host"),
        ({"b": "h1"}, "/connection-groups", "connects nothing"),
    ],
)
def test_ends_have_to_be_hosts(given: dict[str, Any], path: str, what: str) -> None:
    with pytest.raises(RefusedError, match=what) as refused:
        intake().place(Book(), order(**given))
    assert refused.value.path == path


def test_ids_are_those_of_one_slice_each() -> None:
    here = intake()
    book = here.place(Book(), order(dscp=(10,)))
    with pytest.raises(RefusedError, match="is there already"):
        here.place(book, order(dscp=(12,)))
    with pytest.raises(RefusedError, match="is there already"):
        here.place(book, order("gold", dscp=(12,)))
    with pytest.raises(RefusedError, match="belongs to the experiment"):
        here.remove(book, "gold")
    with pytest.raises(RefusedError, match="there is no slice"):
        here.remove(book, "silver2")


def test_what_runs_keeps_its_queue_numbers_and_shares() -> None:
    here = intake()
    book = here.place(Book(), order(dscp=(10,), priority=1))
    (port,) = (p for p in installed(here, book).ports if (p.node, p.peer_node) == ("s1", "s3"))
    (planned,) = (p for p in here.plan.ports if (p.node, p.peer_node) == ("s1", "s3"))
    now = {queue.id: queue for queue in port.queues}
    for queue in planned.queues:
        assert (now[queue.id].promised_bps, now[queue.id].name) == (
            queue.promised_bps,
            queue.name,
        )
    by_priority = sorted(port.queues, key=lambda queue: queue.level)
    assert [queue.name for queue in by_priority] == ["late", "gold", "best-effort"]


@pytest.mark.parametrize("scheduler", ["fifo", "strict_priority"])
def test_other_schedulers_take_orders_too(scheduler: Scheduler) -> None:
    here = intake(scheduler=scheduler)
    book = here.place(Book(), order(dscp=(10,)))
    check_orders(installed(here, book), book.placed)


def test_gates_are_not_changed_while_they_run() -> None:
    with pytest.raises(RefusedError, match="time-aware"):
        intake(scheduler="time_aware").place(Book(), order(dscp=(10,)))


def test_an_order_of_its_own_queue_needs_a_policy_that_gives_one() -> None:
    with pytest.raises(RefusedError, match="no queue for this slice alone"):
        intake(scheduler="fifo").place(Book(), order(dscp=(10,), isolation="dedicated-queue"))
