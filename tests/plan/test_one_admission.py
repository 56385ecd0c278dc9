"""What is ordered while packets flow, against what is planned, and against every packet."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.policies.admitted import Admitted
from controllers.policies.delay_constrained import DelayConstrained
from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.net.deltas.install import Install
from testbed.net.paths import Placed
from testbed.net.state import State
from testbed.net.walk import walk
from testbed.plan.admission import Admission
from testbed.plan.refusal import Refusal
from testbed.plan.served import bucket
from testbed.port.curves import Bucket
from testbed.port.pipeline import Pipeline
from testbed.scenario.model import Protection, Scheduler, Sdp, Slice
from testbed.slices.bounds import Flow, Hop
from testbed.topology.model import Network, Node
from tests.plan.networks import MBIT, MS, compiled, flow, link, networks, probe, scenario, triangle
from tests.plan.ordered import admitted, canonical, order, refused
from tests.slices.network_calculus import Case, Packet, conforming, ways

POLICIES: tuple[type[Admitted | DelayConstrained | LowestDelay | ShortestPath], ...] = (
    Admitted,
    DelayConstrained,
    LowestDelay,
    ShortestPath,
)
SCHEDULERS: tuple[Scheduler, ...] = ("fifo", "htb", "strict_priority")
PROTECTIONS: tuple[Protection, ...] = ("none", "reactive", "fast_failover", "frer")


def bursty(asked: Slice, burst_bytes: int) -> Slice:
    """The order, whose ends may send so much at once."""
    sdps = tuple(msgspec.structs.replace(sdp, burst_bytes=burst_bytes) for sdp in asked.sdps)
    return msgspec.structs.replace(asked, sdps=sdps)


def running(**given: Any) -> Admission:
    return Admission(compiled(LowestDelay(), scenario(**given)), LowestDelay())


@st.composite
def orders(draw: st.DrawFn, hosts: list[str]) -> list[Slice]:
    found = []
    for n in range(draw(st.integers(1, 4))):
        a, b = draw(st.permutations(hosts))[:2]
        asked = order(
            f"late{n}",
            a,
            b,
            rate=draw(st.sampled_from([0, MBIT, 30 * MBIT])),
            dscp=(10 + n,),
            priority=draw(st.sampled_from([1, 20, 90])),
            delay_ns=draw(st.sampled_from([None, 3 * MS, 20 * MS])),
        )
        found.append(bursty(asked, draw(st.sampled_from([1518, 6000, 64_000]))))
    return found


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_live_is_as_planned_and_what_is_promised_holds(data: st.DataObject) -> None:
    """Under any policy, scheduler and protection."""
    network = data.draw(networks())
    hosts = [node.name for node in network.nodes if node.role == "host"]
    policy = data.draw(st.sampled_from(POLICIES))()
    gold = Slice(
        id="gold",
        sst=1,
        delay_ns=data.draw(st.sampled_from([None, 5 * MS, 50 * MS])),
        protection=data.draw(st.sampled_from(PROTECTIONS)),
    )
    asked = scenario(
        slices=(gold,),
        probes=(probe("p", hosts[0], hosts[1]),),
        scheduler=data.draw(st.sampled_from(SCHEDULERS)),
    )
    try:
        here = Admission(compiled(policy, asked, network), policy)
    except PlanError:  # what is planned may not fit, or have nothing to go round by
        return
    state: State = here.first
    for one in data.draw(orders(hosts)):
        delta = here.admit(state, one)
        if isinstance(delta, Install):
            state = state + delta
            assert canonical(state) == canonical(here.at_once(state.book))
    walk(state)
    limits = here.bounds(state)
    for placed in state.book.placed:
        for contract, way in zip(placed.slice.contracts(), placed.carried, strict=True):
            if contract.slo.delay_ns is not None:
                assert limits[way.path.id] <= contract.slo.delay_ns


LINE = ("h1", "s1", "s3", "s2", "h2")
"""The triangle's fastest way."""


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_packet_takes_longer_than_the_installed_state_bounds(data: st.DataObject) -> None:
    """Orders send all they may, best effort floods: the event model of the ports."""
    scheduler = data.draw(st.sampled_from(["htb", "strict_priority"]))
    here = running(slices=(), probes=(), scheduler=scheduler)
    state: State = here.first
    for asked in data.draw(orders(["h1", "h2"])):
        one_way = msgspec.structs.replace(
            asked,
            sdps=tuple(
                msgspec.structs.replace(sdp, node=node)
                for sdp, node in zip(asked.sdps, ("h1", "h2"), strict=True)
            ),
            groups=(
                msgspec.structs.replace(asked.groups[0], constructs=asked.groups[0].constructs[:1]),
            ),
        )
        delta = here.admit(state, one_way)
        state = state + delta if isinstance(delta, Install) else state
    limits = here.bounds(state)
    ports: dict[str, Pipeline] = {
        port.name: port for port in (state.port(*link) for link in pairwise(LINE))
    }
    flows: list[Flow] = []
    sent: dict[str, list[Packet]] = {}
    for placed in state.book.placed:
        (one,), (contract,) = placed.carried, placed.slice.contracts()
        if one.path.nodes != LINE or not contract.rate_bps:
            continue
        hops = tuple(_hop(state, a, b, placed) for a, b in pairwise(LINE))
        flows.append(_flow(one.path.id, hops))
        burst = Bucket(bucket(contract).bits - 8 * 1546, contract.rate_bps)
        sent[one.path.id] = conforming(cast("st.DrawFn", data.draw), burst, (100, 1400), 30)
    shaped = [(a, b) for a, b in pairwise(LINE) if state.port(a, b).rate_bps is not None]
    for a, b in shaped:
        id_ = f"best effort at {a}"
        flows.append(_flow(id_, (Hop(state.port(a, b).name),)))
        sent[id_] = [Packet(n * 100_000, 1514) for n in range(100)]
    took = ways(Case(ports, tuple(flows), sent))
    for id_, limit in limits.items():
        for packet, at_ns in zip(sent.get(id_, ()), took.get(id_, ()), strict=True):
            assert at_ns is not None
            assert at_ns - packet.time_ns <= limit


def _hop(state: State, a: str, b: str, placed: Placed) -> Hop:
    port = state.port(a, b)
    return Hop(port.name, placed.queue if port.queues else 0)


def _flow(id_: str, hops: tuple[Hop, ...]) -> Flow:
    return Flow(id_, hops, None, 1, 8 * 1514, 8 * 100, 8 * 100)


@pytest.mark.parametrize("scheduler", ["htb", "strict_priority"])
def test_what_runs_keeps_its_delay(scheduler: Scheduler) -> None:
    """A burst before it would take a planned slice's: refused, with bursts that fit."""
    gold = Slice(id="gold", sst=2, priority=20, guaranteed_bps=100_000, delay_ns=4 * MS)
    here = running(slices=(gold,), scheduler=scheduler)
    late = order(dscp=(10,), rate=60 * MBIT, priority=1)
    said = refused(here, here.first, bursty(late, 500_000))
    assert "which slice gold was promised" in said.what
    burst = int(float(said.remedy.partition("a burst of ")[2].partition(" kB")[0]) * 1000)
    walk(admitted(here, here.first, bursty(late, burst)))
    assert isinstance(here.admit(here.first, bursty(late, burst + burst // 200)), Refusal)


def test_what_takes_a_lower_rate_and_a_shorter_burst_is_offered_both() -> None:
    gold = Slice(id="gold", sst=2, priority=20, guaranteed_bps=100_000, delay_ns=3 * MS // 2)
    here = running(slices=(gold,), scheduler="htb")
    late = order(dscp=(10,), rate=90 * MBIT, priority=1)
    said = refused(here, here.first, bursty(late, 64_000))
    rate, _, size = said.remedy.removeprefix("order ").partition(" or less with a burst of ")
    assert size == "1.518 kB or less"
    fitting = msgspec.structs.replace(late, guaranteed_bps=int(float(rate.split()[0]) * MBIT))
    admitted(here, here.first, bursty(fitting, 1518))


def test_an_order_keeps_what_it_was_promised_when_more_come() -> None:
    here = running()
    fast = order("fast", dscp=(10,), delay_ns=3 * MS, priority=30)
    state = admitted(here, here.first, fast)
    more = refused(here, state, bursty(order("more", dscp=(12,), priority=1), 200_000))
    assert "which slice fast was promised" in more.what
    free = refused(here, state, order("free", dscp=(14,), rate=0, priority=1))
    assert "which slice fast was promised" in free.what  # nothing says what it sends


def test_a_link_that_is_down_carries_no_order() -> None:
    here = running()
    cut = msgspec.structs.replace(here.first.condition, cut=(("s1", "s3"),))
    state = admitted(here, msgspec.structs.replace(here.first, condition=cut), order(dscp=(10,)))
    assert state.book.placed[0].carried[0].path.nodes == ("h1", "s1", "s2", "h2")


def test_a_promise_counts_transmission_on_slow_links() -> None:
    here = running(flows=(flow(slice="silver", rate_bps=10 * MBIT),))
    said = refused(here, here.first, order(dscp=(10,), delay_ns=660_000))
    offered = said.remedy.partition("a delay of ")[2].partition(" or more")[0]
    least_ns = int(float(offered.split()[0]) * MS)
    admitted(here, here.first, order(dscp=(10,), delay_ns=least_ns))
    assert isinstance(
        here.admit(here.first, order(dscp=(10,), delay_ns=least_ns * 98 // 100)), Refusal
    )


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"protection": "frer"}, "/testbed-slice:protection"),
        ({"diversity": "node"}, "sle-policy/diversity"),
        ({"availability": 0.99999}, "slo-policy/availability"),
        ({"mtu_bytes": 9000}, "slo-policy/mtu"),
        ({"variation_ns": 1000}, "one-way-delay-variation-maximum']"),
        ({"delay_percentile": 99.0, "delay_percentile_ns": 700_000}, "delay-percentile']"),
        ({"loss": 0.0, "rate": 0}, "one-way-packet-loss']"),
    ],
)
def test_terms_that_are_not_kept_are_refused_with_their_path(
    terms: dict[str, Any], path: str
) -> None:
    here = running()
    assert refused(here, here.first, order(dscp=(10,), **terms)).path.endswith(path)


def test_terms_that_are_proved_are_carried() -> None:
    here = running()
    terms = {"variation_ns": 3 * MS, "delay_percentile": 99.0, "delay_percentile_ns": 4 * MS}
    exact = {"loss": 0.0, "mtu_bytes": 1500}
    admitted(here, here.first, order(dscp=(10,), **cast("dict[str, Any]", terms | exact)))


def test_addresses_of_the_ends_can_be_named() -> None:
    here = running()

    def naming(prefix: str) -> Slice:
        late = order(dscp=(10,))
        named = tuple(
            msgspec.structs.replace(match, src=(prefix,)) for match in late.sdps[0].matches
        )
        first = Sdp(id="a", node="h1", matches=named)
        return msgspec.structs.replace(late, sdps=(first, *late.sdps[1:]))

    admitted(here, here.first, naming("10.0.0.0/24"))
    assert "which is not in 192.0.2.0/24" in refused(here, here.first, naming("192.0.2.0/24")).what


def test_a_lab_that_cannot_change_queues_carries_no_order_that_needs_one() -> None:
    plan = compiled(LowestDelay(), scenario())
    here = Admission(plan, LowestDelay(), requeues=False)
    said = refused(here, here.first, order(dscp=(10,)))
    assert said.tag == "operation-not-supported"
    assert "cannot change queues" in said.what
    assert "--lab virtual" in said.remedy
    shared = Admission(compiled(ShortestPath(), scenario(slices=(), probes=())), ShortestPath())
    fixed = Admission(shared.first, ShortestPath(), requeues=False)
    state = admitted(fixed, fixed.first, order(dscp=(10,), rate=0))
    assert state.ports == fixed.first.ports
    assert "--lab virtual" in refused(fixed, fixed.first, order(dscp=(10,))).remedy


def forked() -> Network:
    """h1 and h4 at s1, s1 - s2, h2 and h3 at s2; what leads to h2 has 50 Mbit/s."""
    switches = tuple(Node(name=n, role="switch", kind="router") for n in ("s1", "s2"))
    hosts = tuple(Node(name=f"h{n}", role="host", kind="host") for n in (1, 2, 3, 4))
    return Network(
        name="forked",
        nodes=(*switches, *hosts),
        links=(
            link("s1", "s2", MS, 200 * MBIT),
            link("h1", "s1", 0, None),
            link("h4", "s1", 0, None),
            link("h2", "s2", 0, 50 * MBIT),
            link("h3", "s2", 0, None),
        ),
    )


def test_a_slice_may_send_all_that_it_may_send_to_one_of_its_ends() -> None:
    """What it is held to where it enters is of all its directions together."""
    wide = order("wide", rate=20 * MBIT, dscp=(10,), priority=1, both=False)
    third = Sdp(id="c", node="h3", matches=wide.sdps[0].matches)
    (there,) = wide.groups[0].constructs
    also = msgspec.structs.replace(there, id="also", receivers=("c",))
    group = msgspec.structs.replace(wide.groups[0], constructs=(there, also))
    wide = msgspec.structs.replace(wide, sdps=(*wide.sdps, third), groups=(group,))
    asked = scenario(slices=(), probes=(), scheduler="strict_priority")
    here = Admission(compiled(LowestDelay(), asked, forked()), LowestDelay())
    state = admitted(here, here.first, wide)
    (policer,) = state.port("s1", "s2").policers
    assert policer.rate_bps == 40 * MBIT
    behind = order("behind", "h4", "h2", dscp=(12,), priority=20, both=False, delay_ns=20 * MS)
    more = msgspec.structs.replace(behind, guaranteed_bps=15 * MBIT)
    assert "more than 20.0 ms" in refused(here, state, more).what
    admitted(here, state, msgspec.structs.replace(behind, guaranteed_bps=5 * MBIT))


def test_a_policer_does_not_drop_what_another_end_sent_before_it() -> None:
    """Of a slice that enters where it also passes: it is carried, and held to nothing."""
    at_s3 = link("h5", "s3", 0, None)
    fifth = Node(name="h5", role="host", kind="host")
    long = triangle()
    long = msgspec.structs.replace(long, nodes=(*long.nodes, fifth), links=(*long.links, at_s3))
    late = order("late", "h1", "h2", rate=20 * MBIT, dscp=(10,), both=False)
    (there,) = late.groups[0].constructs
    also = msgspec.structs.replace(there, id="also", senders=("c",))
    group = msgspec.structs.replace(late.groups[0], constructs=(there, also))
    third = Sdp(id="c", node="h5", matches=late.sdps[0].matches)
    late = msgspec.structs.replace(late, sdps=(*late.sdps, third), groups=(group,))
    for scheduler in ("htb", "strict_priority"):
        asked = scenario(slices=(), probes=(), scheduler=scheduler)
        here = Admission(compiled(LowestDelay(), asked, long), LowestDelay())
        state = admitted(here, here.first, late)
        assert [one.path.nodes for one in state.book.placed[0].carried] == [
            ("h1", "s1", "s3", "s2", "h2"),
            ("h5", "s3", "s2", "h2"),
        ]
        assert not any(port.policers for port in state.ports)
        promised = msgspec.structs.replace(late, delay_ns=20 * MS)
        answer = here.admit(here.first, promised)
        assert isinstance(answer, Refusal) or not any(
            port.policers for step in answer.steps for port in step.ports
        )


class Common(LowestDelay):
    """Least delay, and one queue for all."""

    def queue_of(self, slice_: Slice) -> str:
        return "common"


def test_a_queue_that_is_held_to_what_one_slice_says_takes_no_other() -> None:
    given = scenario(slices=(), probes=())
    here = Admission(compiled(Common(), given), Common())
    held = admitted(here, here.first, order("held", dscp=(10,), delay_ns=20 * MS))
    assert held.book.placed[0].held
    assert "slice held" in refused(here, held, order("other", dscp=(12,))).what
    loose = admitted(here, here.first, order("loose", dscp=(10,)))
    admitted(here, loose, order("other", dscp=(12,)))
