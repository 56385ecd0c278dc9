"""A plan's bounds: numbers by hand, and the reference model played over whole plans."""

from __future__ import annotations

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.net.legs import DelayBound
from testbed.plan.model import Session
from testbed.plan.session_bounds import hold_delays
from testbed.port.gates import Gate, Window
from testbed.scenario.model import Background, Scheduler, Slice
from testbed.slices.policy import LATE_NS
from testbed.topology.model import Network
from tests.plan.networks import (
    MBIT,
    MS,
    SILVER,
    S,
    app,
    compiled,
    flow,
    probe,
    scenario,
    triangle,
)
from tests.ports import changed

GOLD = Slice(id="gold", sst=2, priority=20)
GOLD_RATE = msgspec.structs.replace(GOLD, guaranteed_bps=10 * MBIT)


def bounds(session: Session) -> tuple[DelayBound, DelayBound]:
    assert session.legs[0].bound is not None
    assert session.legs[1].bound is not None
    return session.legs[0].bound, session.legs[1].bound


def test_alone_a_message_waits_for_nothing() -> None:
    (session,) = compiled(ShortestPath()).sessions
    waits = []
    for bound, budget in zip(
        bounds(session), (session.legs[0].budget, session.legs[1].budget), strict=True
    ):
        assert bound.latency_ns is not None
        # 10 us of lateness are 2 bits, which take 20 ns, twice as many for an answer
        waits.append(bound.latency_ns - budget.total_ns)
    there, back = waits
    assert 20 <= there <= back - 10 <= 31
    assert bounds(session)[0].assumptions == (
        "at most 142 B at once and 113.6 kbit/s, at most 10.0 us late",
    )


def test_behind_a_flood_of_a_lower_level_one_packet() -> None:
    """At each of two ports of 100 Mbit/s."""
    asked = scenario(slices=(GOLD,), flows=(flow(kind="flood", rate_bps=300 * MBIT),))
    (session,) = compiled(LowestDelay(), asked).sessions
    bound, _ = bounds(session)
    assert bound.latency_ns is not None
    waited = bound.latency_ns - session.legs[0].budget.total_ns
    # best effort's promise of 5 % comes first: its savings and a packet, then this one's
    block, promise = 8 * (1448 + 42 + 4 + 24), 8 * 3028 + 8 * (1448 + 42 + 4 + 24)
    by_hand = (block + promise) * S // (95 * MBIT)
    assert 2 * by_hand <= waited <= 2 * by_hand + 1000
    assert bound.assumptions[1] == "another flow keeps to token buckets"


def test_in_one_queue_with_a_flood_the_buffer() -> None:
    asked = scenario(slices=(GOLD,), flows=(flow(kind="flood", rate_bps=300 * MBIT),))
    (session,) = compiled(ShortestPath(), asked).sessions
    bound, back = bounds(session)
    assert bound.latency_ns is not None
    assert back.latency_ns is not None
    # a full buffer of 1,000 and one in transmission, less the message itself
    full = (1001 * 8 * (1448 + 42 + 4 + 24) - 8 * (100 + 42 + 4 + 24)) * S // (100 * MBIT)
    assert 0 <= bound.latency_ns - session.legs[0].budget.total_ns - full <= 1000
    assert "behind full buffers at s1-eth1, lost packets aside" in bound.assumptions
    # messages come every 10 ms and may wait for 121 ms, so 13 answers may come at once
    answers = 12 * 8 * (100 + 42 + 4 + 24) * S // (100 * MBIT)
    assert answers <= back.latency_ns - session.legs[1].budget.total_ns <= 1.1 * answers


def test_in_a_queue_of_its_own_with_a_flood_that_buffer() -> None:
    load = flow(slice="gold", kind="flood", rate_bps=300 * MBIT)
    plan = compiled(LowestDelay(), scenario(slices=(GOLD,), flows=(load,)))
    (session,) = plan.sessions
    bound, _ = bounds(session)
    first = plan.port(*session.paths[0].nodes[1:3])
    (own,) = [queue for queue in first.queues if queue.id == session.paths[0].queue]
    assert bound.latency_ns is not None
    waited = bound.latency_ns - session.legs[0].budget.total_ns
    assert waited >= own.limit_packets * 8 * (1448 + 42 + 4 + 24) * S // (100 * MBIT)


def test_poisson_of_a_higher_level_has_no_bound() -> None:
    first = Slice(id="first", sst=2, priority=10)
    noise = Background(id="noise", src="h3", dst="h2", slice="first", rate_bps=MBIT, duration_ns=S)
    asked = scenario(slices=(first, GOLD), backgrounds=(noise,))
    (session,) = compiled(LowestDelay(), asked).sessions
    bound, back = bounds(session)
    assert bound.latency_ns is None
    assert bound.assumptions == ("none at s1-eth2: noise at s1-eth2 kept to nothing",)
    assert back.latency_ns is not None  # that way nothing is in the way

    steady = msgspec.structs.replace(noise, arrivals="periodic")
    asked = scenario(slices=(first, GOLD), backgrounds=(steady,))
    (session,) = compiled(LowestDelay(), asked).sessions
    assert bounds(session)[0].latency_ns is not None


def test_a_promise_bounds_whatever_comes_before() -> None:
    first = Slice(id="first", sst=2, priority=10)
    gold = Slice(id="gold", sst=2, priority=20, guaranteed_bps=10 * MBIT)
    noise = Background(id="noise", src="h3", dst="h2", slice="first", rate_bps=MBIT, duration_ns=S)
    asked = scenario(slices=(first, gold), backgrounds=(noise,))
    (session,) = compiled(LowestDelay(), asked).sessions
    bound, _ = bounds(session)
    assert bound.latency_ns is not None
    assert bound.latency_ns < session.legs[0].budget.total_ns + 2 * MS


def test_poisson_sessions_are_bounded_by_their_link() -> None:
    asked = scenario(probes=(probe(app="app"), probe("q", app="bursty")))
    plan = compiled(ShortestPath(), asked, bursty=app("bursty", arrivals="poisson"))
    for session in plan.sessions:
        assert all(bound.latency_ns is not None for bound in bounds(session))
    assert "its own packets keep to no token bucket" in bounds(plan.sessions[1])[0].assumptions
    assert "q.forward held by links and queues only" in bounds(plan.sessions[0])[0].assumptions


def test_queues_have_backlog_bounds() -> None:
    (one,) = [b for b in compiled(ShortestPath()).backlog_bounds if b.port == "s1-eth1"]
    assert one.queue == 0
    assert 142 + 24 <= one.bytes <= 146 + 24 + 1


def test_lateness_is_small() -> None:
    assert LATE_NS < 100_000


def test_gates_become_windows() -> None:
    gates = tuple(
        Gate(interval_ns=length, open=open_)
        for length, open_ in ((100, (1, 2)), (300, (2,)), (50, ()), (150, (0, 1)))
    )
    port = changed(compiled(ShortestPath()).ports[0], gates=gates)
    # 1 is open from the last part into the first, where 2 opens behind its packets
    assert port.windows(1) == (Window(450, 700, False),)
    assert port.windows(2) == (Window(0, 400, True),)
    assert port.windows(0) == (Window(450, 600, False),)
    assert port.windows(3) == ()
    assert changed(port, gates=()).windows(1) is None


@pytest.mark.parametrize("scheduler", ["fifo", "htb", "strict_priority", "time_aware"])
def test_every_scheduler_bounds_a_slice_beside_a_flood(scheduler: Scheduler) -> None:
    asked = scenario(
        slices=(GOLD_RATE, SILVER),
        flows=(flow(kind="flood", rate_bps=300 * MBIT),),
        scheduler=scheduler,
    )
    (session,) = compiled(LowestDelay(), asked).sessions
    latency_ns = bounds(session)[0].latency_ns
    assert latency_ns is not None
    waited = latency_ns - session.legs[0].budget.total_ns
    if scheduler == "fifo":
        assert waited > 50 * MS
    elif scheduler == "strict_priority":  # one full packet at each of two ports
        assert waited == pytest.approx(2 * 8 * (1494 + 24) * 10, abs=1000)
    else:
        assert waited < 3 * MS


def test_a_udp_load_sends_a_packet_at_a_time() -> None:
    load = flow(kind="udp", rate_bps=1 * MBIT, packet_bytes=1000)
    asked = scenario(slices=(GOLD,), flows=(load,))
    alone, beside = (
        bounds(*compiled(ShortestPath(), given).sessions)[0].latency_ns
        for given in (msgspec.structs.replace(asked, flows=()), asked)
    )
    assert alone is not None
    assert beside is not None
    port_bps = 100 * MBIT
    packet_ns = (1000 + 46 + 24) * 8 * S / port_bps
    assert packet_ns <= beside - alone <= 1.01 * packet_ns


def test_behind_a_packet_of_its_own_slice_at_the_peak_rate() -> None:
    """At two ports of 100 Mbit/s that give the slice 2 Mbit/s, whoever else is there."""
    capped = msgspec.structs.replace(GOLD, maximum_bps=2 * MBIT)
    load = flow(slice="gold", kind="udp", rate_bps=MBIT, packet_bytes=1000)
    (session,) = compiled(LowestDelay(), scenario(slices=(capped,), flows=(load,))).sessions
    bound, _ = bounds(session)
    assert bound.latency_ns is not None
    packet_ns = 8 * (1000 + 42 + 4) * S // (2 * MBIT)
    assert bound.latency_ns - session.legs[0].budget.total_ns >= packet_ns


@pytest.mark.parametrize("kind", ["udp", "flood", "tcp"])
def test_a_policed_load_of_a_higher_slice_is_bounded(kind: str) -> None:
    first = Slice(id="first", sst=2, priority=10, maximum_bps=20 * MBIT)
    load = flow(slice="first", kind=kind, rate_bps=300 * MBIT)
    given = {"slices": (first, GOLD), "flows": (load,), "scheduler": "strict_priority"}
    (free,) = compiled(LowestDelay(), scenario(**given)).sessions
    assert bounds(free)[0].latency_ns is None
    held = scenario(**given, policing_burst_bytes=15_000)
    (session,) = compiled(LowestDelay(), held).sessions
    bound, _ = bounds(session)
    assert bound.latency_ns is not None
    waited = bound.latency_ns - session.legs[0].budget.total_ns
    assert waited >= 8 * 15_000 * S // (100 * MBIT)  # what the policer lets pass at once


def test_no_delay_is_promised_without_a_bound() -> None:
    first = Slice(id="first", sst=2, priority=10)
    noise = Background(id="noise", src="h3", dst="h2", slice="first", rate_bps=MBIT, duration_ns=S)
    gold = msgspec.structs.replace(GOLD, delay_ns=S)
    asked = scenario(slices=(first, gold), backgrounds=(noise,))
    sessions = compiled(LowestDelay(), asked).sessions
    with pytest.raises(PlanError, match=r"gold cannot be promised a delay of 1\.00 s") as caught:
        hold_delays(sessions, {"gold": gold})
    assert "kept to nothing" in caught.value.where


def test_both_copies_of_frer_are_answered() -> None:
    def answers_wait_ns(gold: Slice) -> int:
        (session,) = compiled(LowestDelay(), scenario(slices=(gold,))).sessions
        _, back = bounds(session)
        assert back.latency_ns is not None
        return back.latency_ns - session.legs[1].budget.total_ns

    packet_ns = 8 * (100 + 42 + 4) * S // (100 * MBIT)
    assert answers_wait_ns(GOLD) < 100
    assert answers_wait_ns(msgspec.structs.replace(GOLD, protection="frer")) >= packet_ns


def test_copies_of_frer_are_counted() -> None:
    frer = msgspec.structs.replace(GOLD, protection="frer")
    asked = scenario(slices=(frer, SILVER), probes=(probe(), probe("q", slice="silver")))
    plan = compiled(LowestDelay(), asked)
    assert all(b.latency_ns is not None for session in plan.sessions for b in bounds(session))
    text = bounds(plan.sessions[1])[0].assumptions[1]
    alone = compiled(LowestDelay(), msgspec.structs.replace(asked, slices=(GOLD, SILVER)))
    assert text != bounds(alone.sessions[1])[0].assumptions[1]


def test_where_copies_get_lost_the_slower_way_bounds_them() -> None:
    """The path is h1 s1 s3 s2 h2, its copy goes s1 s2, which takes 1 ms."""
    frer = msgspec.structs.replace(GOLD, protection="frer")
    asked = scenario(slices=(frer,))
    sound = triangle()

    def forward_ns(network: Network) -> int:
        (session,) = compiled(LowestDelay(), asked, network).sessions
        found = bounds(session)[0].latency_ns
        assert found is not None
        return found

    first = sound.links[1]
    lossy = msgspec.structs.replace(first, ab=msgspec.structs.replace(first.ab, loss=0.1))
    links = (sound.links[0], lossy, *sound.links[2:])
    assert forward_ns(sound) < MS
    assert MS < forward_ns(msgspec.structs.replace(sound, links=links)) < 2 * MS
