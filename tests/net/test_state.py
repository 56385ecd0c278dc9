"""States and deltas: chains of a thousand, each state walked, and what each kind does."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import InputError, PlanError
from testbed.net.deltas import AnyDelta
from testbed.net.fabric import Fabric
from testbed.net.history import history
from testbed.net.matches import example
from testbed.net.restoration import restored
from testbed.net.state import Condition, State
from testbed.net.walk import walk
from testbed.plan.admission import Admission
from testbed.plan.model import Plan
from testbed.plan.refusal import Refusal
from testbed.scenario import events
from testbed.scenario.delta import Delta
from testbed.scenario.model import Protection, Recovery
from tests.plan.networks import GOLD, MBIT, MS, compiled, networks, probe, scenario
from tests.plan.ordered import admission, canonical, order
from tests.searching import examples

CHAIN = examples(1_000)


def _random_delta(rng: Random, here: Admission, state: State) -> Delta | Refusal:
    """Any change that can happen to the state, or an order that is refused."""
    switches = [switch.name for switch in state.switches]
    nodes = [*switches, *(host.name for host in state.hosts)]
    link = rng.choice(state.links)
    kind = rng.randrange(12)
    if kind < 5:
        make = rng.choice((events.cut_fibre, events.silence_fibre, *3 * (events.mend_fibre,)))
        return make(link.a, link.b)
    if kind < 8:
        make_node = rng.choice((events.drop_node, *2 * (events.revive_node,)))
        return make_node(rng.choice(nodes))
    if kind == 8:
        return events.slow_node(rng.choice(nodes), by=rng.choice(("0 s", "3 ms")))
    if kind == 9:
        return events.restart_switch(rng.choice(switches))
    if kind == 10 or not state.condition.controller:
        running = state.condition.controller
        return events.kill_controller() if running else events.start_controller()
    return _random_order(rng, here, state)


def _random_order(rng: Random, here: Admission, state: State) -> Delta | Refusal:
    if rng.random() < 0.3 and state.book.placed:
        return here.withdraw(state, rng.choice(state.book.placed).slice.id)
    a, b = rng.sample([host.name for host in state.hosts], 2)
    asked = order(
        rng.choice("wxyz"),
        a,
        b,
        rate=rng.choice((0, MBIT, 30 * MBIT)),
        dscp=rng.choice(((), (46,), (10, 12))),
        both=rng.random() < 0.5,
        priority=rng.randint(1, 127),
    )
    return here.admit(state, asked)


def _mended(state: State) -> State:
    """With all that is wrong undone, one by one."""
    wrong = state.condition
    back = [events.mend_fibre(*link) for link in {*wrong.cut, *wrong.silent}]
    more = [events.revive_node(node) for node in wrong.dropped]
    more += [events.slow_node(node, by="0 s") for node in wrong.slow]
    for delta in (*back, *more, *([] if wrong.controller else [events.start_controller()])):
        state = state + delta
    return restored(state)


def _without_ways(state: State) -> State:
    """Without the rules of ways that nothing takes, which stay on the switches."""
    prepared = [rule for repair in state.repairs for rule in repair.prepare]
    return canonical(
        msgspec.structs.replace(state, rules=tuple(r for r in state.rules if r not in prepared))
    )


@pytest.mark.parametrize("protection", ["none", "reactive", "fast_failover", "frer"])
@settings(deadline=None, max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_thousand_deltas_lead_where_the_plan_made_at_once_is(
    data: st.DataObject, protection: Protection
) -> None:
    rng = Random(data.draw(st.integers(0, 2**32)))
    network = data.draw(networks().filter(lambda found: len(found.links) > len(found.nodes)))
    hosts = [node.name for node in network.nodes if node.role == "host"]
    bfd_ns = rng.choice((None, 5 * MS))
    slice_ = msgspec.structs.replace(GOLD, protection=protection, guaranteed_bps=0)
    asked = scenario(
        slices=(slice_,),
        probes=(probe("p", hosts[0], hosts[1]), probe("q", hosts[-1], hosts[0], slice="gold")),
        recovery=Recovery(bfd_ns=bfd_ns),
    )
    try:
        first = compiled(LowestDelay(), asked, network)
    except PlanError:  # nothing goes round
        first = compiled(LowestDelay(), msgspec.structs.replace(asked, slices=(GOLD,)), network)
    here, done = Admission(first, LowestDelay()), 0
    state: State = first
    while done < CHAIN:
        delta = _random_delta(rng, here, state)
        if isinstance(delta, Refusal):
            continue
        state = restored(state + delta)
        walk(state)
        done += 1
    whole = _mended(state)
    assert whole.condition == Condition()
    assert not whole.ways
    assert _without_ways(whole) == canonical(here.at_once(state.book))
    walk(whole)


def test_what_is_wrong_with_a_link_is_undone_one_by_one() -> None:
    here = admission().first
    cut = here + events.cut_fibre("s1", "s2") + events.drop_node("s2")
    assert not cut.up("s1", "s2")
    mended = cut + events.mend_fibre("s2", "s1")
    assert not mended.up("s1", "s2")
    assert not mended.up("s3", "s2")
    assert mended + events.revive_node("s2") == here


def test_slow_and_silent_ports_are_so_while_they_are() -> None:
    here = admission().first
    port = here.port("s1", "s3")
    late = here + events.slow_node("s1", by="2 ms")
    assert late.now(port).delay_ns == port.delay_ns + 2 * MS
    assert here.now(port) == port
    silent = late + events.silence_fibre("s3", "s1")
    assert (silent.now(port).loss, silent.now(port).delay_ns) == (1.0, port.delay_ns + 2 * MS)
    assert silent.down() == frozenset()
    again = silent + events.mend_fibre("s1", "s3") + events.slow_node("s1", by="0 s")
    assert again == here


def _plan(protection: Protection, **given: object) -> Plan:
    slice_ = msgspec.structs.replace(GOLD, protection=protection)
    return compiled(LowestDelay(), scenario(slices=(slice_,), **given))


def _nodes(state: State) -> tuple[str, ...]:
    path = state.paths[0]
    (trace,) = Fabric(state).send(path.path.src, example(path.matches[0])).traces
    return trace.nodes(path.path.src) if not trace.fault else ()


@pytest.mark.parametrize(
    ("protection", "after"),
    [
        ("none", ()),
        ("reactive", ("h1", "s1", "s2", "h2")),
        ("fast_failover", ("h1", "s1", "s2", "h2")),
    ],
)
def test_a_cut_is_answered_as_protection_says(
    protection: Protection, after: tuple[str, ...]
) -> None:
    states = history(
        _plan(protection), [events.cut_fibre("s1", "s3"), events.mend_fibre("s1", "s3")]
    )
    near = ("h1", "s1", "s3", "s2", "h2")
    assert [_nodes(state) for state in states] == [near, after, near]


def test_silence_is_answered_where_bfd_sees_it() -> None:
    silence = [events.silence_fibre("s1", "s3")]
    for bfd_ns, after in ((None, ()), (5 * MS, ("h1", "s1", "s2", "h2"))):
        plan = _plan("fast_failover", recovery=Recovery(bfd_ns=bfd_ns))
        assert _nodes(history(plan, silence)[-1]) == after


def test_without_a_controller_nothing_is_restored_and_switches_stay_bare() -> None:
    plan = _plan("reactive")
    states = history(
        plan,
        [
            events.kill_controller(),
            events.restart_switch("s3"),
            events.cut_fibre("s1", "s3"),
            events.start_controller(),
        ],
    )
    for state in states:
        walk(state)
    assert states[2].condition.bare == ("s3",)
    assert _nodes(states[2]) == _nodes(states[3]) == ()
    assert states[4].condition.bare == ()
    assert _nodes(states[4]) == ("h1", "s1", "s2", "h2")


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        (events.cut_fibre("s1", "s9"), "unknown neighbour of s1 's9'"),
        (events.drop_node("s9"), "unknown node 's9'"),
        (events.restart_switch("h1"), "unknown switch 'h1'"),
        (events.start_controller(), "the controller runs at 0 ns"),
    ],
)
def test_what_cannot_happen_is_refused(delta: Delta, says: str) -> None:
    with pytest.raises(InputError) as caught:
        _ = admission().first + delta
    assert says in str(caught.value)


def test_the_walker_finds_a_state_that_delivers_what_should_be_lost() -> None:
    plan = _plan("reactive")
    cut = restored(plan + events.cut_fibre("s1", "s3"))
    walk(cut)
    with pytest.raises(PlanError, match="0 copies of a packet"):
        walk(msgspec.structs.replace(cut, rules=plan.rules))


def test_every_delta_survives_json() -> None:
    here = admission()
    placed = here.admit(here.first, order(dscp=(10,)))
    for delta in (placed, events.cut_fibre("s1", "s2"), events.kill_controller()):
        raw = msgspec.json.encode(delta)
        assert msgspec.json.decode(raw, type=AnyDelta) == delta
        assert msgspec.json.decode(raw)["of"]
