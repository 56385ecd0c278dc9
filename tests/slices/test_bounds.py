"""No packet of the reference model exceeds its bound; and bounds are not idle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.port.curves import Bucket, S, total
from testbed.port.gates import Gate
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from testbed.slices.bounds import Bound, Endless, Flow, Hop, Network, bounds
from tests.ports import shaped
from tests.searching import examples
from tests.slices.network_calculus import MBIT, Case, Packet, cases, play

KINDS = ["fifo", "strict_priority", "shared", "htb", "peak", "time_aware"]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_packet_exceeds_its_bound(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    for outcome in play(case):
        if isinstance(outcome.bound, Bound):
            assert outcome.most_ns <= outcome.bound.latency_ns, outcome
            assert outcome.bound.fixed_ns <= outcome.bound.latency_ns
            if all(at.lossless for at in outcome.bound.ports):
                assert not outcome.lost, outcome


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whether_a_delay_holds_is_the_same_by_the_bound_that_is_enough(
    kind: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind))
    network = Network()
    network.add(case.ports, case.flows)
    network.settle()
    asked = data.draw(st.sampled_from(case.flows))
    least = bounds(case.ports, case.flows, [asked.id])[asked.id]
    assert least == network.bound(asked)
    if isinstance(least, Endless):
        assert network.bound(asked, 10**12) == least
        return
    by_hop = network.bound(asked, 10**15)
    assert isinstance(by_hop, Bound)
    assert not by_hop.concatenated
    assert by_hop.ports == least.ports
    for most_ns in (least.latency_ns - 1, least.latency_ns, by_hop.latency_ns - 1):
        told = network.bound(asked, most_ns)
        assert isinstance(told, Bound)
        assert least.latency_ns <= told.latency_ns <= by_hop.latency_ns
        assert (told.latency_ns <= most_ns) == (least.latency_ns <= most_ns)


def flow(
    id_: str, hops: tuple[Hop, ...], size: int, bucket: Bucket | None, packets: int = 1
) -> Flow:
    """Packets of one size in bytes."""
    bits = 8 * size
    return Flow(id_, hops, bucket, packets, bits, bits, bits)


def burst(size: int, count: int, rate_bps: int = MBIT) -> Bucket:
    return Bucket(8 * size * count, rate_bps)


def share(case: Case, name: str) -> float:
    """The longest delay of a flow's packets, as a share of its bound."""
    (found,) = (outcome for outcome in play(case) if outcome.flow == name)
    assert isinstance(found.bound, Bound)
    assert found.most_ns <= found.bound.latency_ns
    return found.most_ns / found.bound.latency_ns


P0, P1 = Hop("p0"), Hop("p1")


@pytest.mark.parametrize(("room", "lossless"), [(5, True), (3, False)])
def test_a_queue_that_holds_the_whole_backlog_loses_nothing(room: int, lossless: bool) -> None:
    """Five packets at once: one in transmission, four that wait. Small ones need more room."""
    port = shaped(10 * MBIT, queues=(Queue(limit_packets=room),))
    own = flow("own", (P0,), 1000, burst(1000, 5, 1), 5)
    (outcome,) = play(Case({"p0": port}, (own,), {"own": [Packet(0, 1000)] * 5}))
    assert isinstance(outcome.bound, Bound)
    assert (outcome.bound.ports[0].lossless, outcome.lost) == (lossless, not lossless)
    mixed = replace(own, smallest_bits=8 * 500)
    assert not bounds({"p0": port}, [mixed])["own"].ports[0].lossless  # type: ignore[union-attr]
    policed = flow(
        "own", (Hop("p0", policer=Policer(queue=0, rate_bps=MBIT, burst_bytes=1000)),), 1000, None
    )
    assert not bounds({"p0": port}, [policed])["own"].ports[0].lossless  # type: ignore[union-attr]


def test_fifo_all_bursts_at_once() -> None:
    port = shaped(10 * MBIT)
    flows = tuple(flow(f"f{n}", (P0,), 1000 + n, burst(1000 + n, 5), 5) for n in range(3))
    sent = {f.id: [Packet(0, 1000 + n)] * 5 for n, f in enumerate(flows)}
    assert share(Case({"p0": port}, flows, sent), "f2") > 0.999


def test_a_packet_of_a_lower_level_in_transmission() -> None:
    port = shaped(10 * MBIT, queues=(Queue(id=0, level=1), Queue(id=1, level=0)))
    flows = (flow("low", (P0,), 1500, None), flow("high", (Hop("p0", 1),), 100, burst(100, 1)))
    sent = {"low": [Packet(0, 1500)] * 9, "high": [Packet(1, 100)]}
    assert share(Case({"p0": port}, flows, sent), "high") > 0.999


def test_lower_queues_that_are_behind_their_promise() -> None:
    promised = Queue(id=0, level=1, promised_bps=3 * MBIT, burst_bytes=15_000)
    port = shaped(10 * MBIT, queues=(promised, Queue(id=1, level=0)))
    flows = (flow("low", (P0,), 1500, None), flow("high", (Hop("p0", 1),), 100, burst(100, 1)))
    start = S  # by now it has saved all it can
    sent = {"low": [Packet(start, 1500)] * 40, "high": [Packet(start + 1, 100)]}
    assert share(Case({"p0": port}, flows, sent), "high") > 0.8


def test_the_own_promise_under_a_flood_of_higher_levels() -> None:
    first = Queue(id=0, level=0, promised_bps=2 * MBIT, burst_bytes=1500)
    second = Queue(id=1, level=1, promised_bps=2 * MBIT, burst_bytes=10_000)
    port = shaped(10 * MBIT, queues=(first, second))
    own = flow("own", (Hop("p0", 1),), 1000, burst(1000, 5, 2 * MBIT), 5)
    flows = (flow("flood", (P0,), 1500, None), own)
    sent = {"flood": [Packet(0, 1500)] * 300, "own": [Packet(S // 1000, 1000)] * 5}
    assert share(Case({"p0": port}, flows, sent), "own") > 0.6


def test_turns_of_queues_of_one_level() -> None:
    port = shaped(10 * MBIT, queues=(Queue(id=0, limit_packets=9999), Queue(id=1)))
    own = flow("own", (Hop("p0", 1),), 1500, burst(1500, 20, MBIT), 20)
    flows = (flow("flood", (P0,), 1500, None), own)
    sent = {"flood": [Packet(0, 1500)] * 300, "own": [Packet(1, 1500)] * 20}
    assert share(Case({"p0": port}, flows, sent), "own") > 0.85


@pytest.mark.parametrize("wide", [1, 2])
def test_turns_of_large_quanta(wide: int) -> None:
    """A small packet finds others that each have a whole turn before them, and of the turn
    before what did not suffice for a packet. One quantum less, or more, of each would show."""
    large = [Queue(id=n, limit_packets=9999, quantum_bytes=20_000) for n in range(1, wide + 1)]
    port = shaped(10 * MBIT, queues=(Queue(id=0, quantum_bytes=20_000), *large))
    own = flow("own", (Hop("p0", 0),), 100, burst(100, 1, MBIT // 100))
    others = [flow(f"flood{q.id}", (Hop("p0", q.id),), 700, None) for q in large]
    packet = 8 * 700 * S // (10 * MBIT)  # 28 of them a turn; the first of all finds no one
    sent = {other.id: [Packet(0, 700)] * 300 for other in others}
    sent["own"] = [Packet((28 * wide + 1) * packet + 1, 100)]
    assert share(Case({"p0": port}, (*others, own), sent), "own") > 0.9


def test_a_burst_grows_where_it_waits() -> None:
    """At p0 a burst holds up small packets, which then come to p1 together."""
    ports = {"p0": shaped(100 * MBIT), "p1": shaped(10 * MBIT)}
    stream = flow("stream", (P0, P1), 100, burst(100, 1, 9 * MBIT))
    crowd = flow("crowd", (P0,), 1500, burst(1500, 40), 40)
    late = flow("late", (P1,), 100, burst(100, 1, 100_000))
    gap = 8 * 100 * S // (9 * MBIT) + 1
    sent = {
        "stream": [Packet(n * gap, 100) for n in range(120)],
        "crowd": [Packet(0, 1500)] * 40,
        "late": [Packet(5_230_000, 100)],
    }
    assert share(Case(ports, (stream, crowd, late), sent), "late") > 0.8


def test_a_burst_is_paid_once() -> None:
    """Ten packets over five equal ports: all of them once, one more at every further port."""
    ports = {f"p{n}": shaped(10 * MBIT, delay_ns=1000) for n in range(5)}
    hops = tuple(map(Hop, ports))
    case = Case(ports, (flow("f", hops, 1250, burst(1250, 10), 10),), {"f": [Packet(0, 1250)] * 10})
    (found,) = play(case)
    assert isinstance(found.bound, Bound)
    assert found.most_ns == (10 + 4) * S // 1000 + 5 * 1000
    assert 0 <= found.bound.latency_ns - found.most_ns < 20


def test_the_textbook_example() -> None:
    """1 Gbit/s, top level, ten packets of 1500 bytes, 100 Mbit/s, 1538 of others in
    transmission: 132.3 us, and at each further port that packet and one of its own more."""
    for count in (1, 3, 5):
        ports = {
            f"p{n}": shaped(1000 * MBIT, queues=(Queue(id=0, level=0), Queue(id=1, level=1)))
            for n in range(count)
        }
        others = tuple(flow(f"o{n}", (Hop(f"p{n}", 1),), 1538, None) for n in range(count))
        hops = tuple(map(Hop, ports))
        own = flow("own", hops, 1500, burst(1500, 10, 100 * MBIT), 10)
        found = bounds(ports, (own, *others))["own"]
        assert isinstance(found, Bound)
        by_hand = 120_000 + count * 12_304 + (count - 1) * 12_000
        assert by_hand <= found.latency_ns <= by_hand + 2 * count


@pytest.mark.parametrize(("exclusive", "open_ms", "least"), [(True, 2, 0.99), (False, 4, 0.49)])
def test_gates(exclusive: bool, open_ms: int, least: float) -> None:
    """A packet that just misses its window in 10 ms, and finds the next one shared."""
    open_ns = open_ms * 1_000_000
    gates = (
        Gate(interval_ns=open_ns, open=(1,) if exclusive else (0, 1)),
        Gate(interval_ns=10_000_000 - open_ns, open=(0,)),
    )
    queues = (Queue(id=0, level=0), Queue(id=1, level=1))
    port = shaped(10 * MBIT, queues=queues, gates=gates)
    flows = (
        flow("others", (P0,), 500, burst(500, 2, 100_000), 2),
        flow("own", (Hop("p0", 1),), 1250, burst(1250, 1, 100_000)),
    )
    sent = {
        "others": [Packet(10_000_000, 500)] * 2,
        "own": [Packet(open_ns - 1_000_000 + 1, 1250)],
    }
    assert share(Case({"p0": port}, flows, sent), "own") > least


def test_without_hold_there_is_no_bound() -> None:
    port = shaped(10 * MBIT, queues=(Queue(id=0, level=0), Queue(id=1, level=1)))
    flood = flow("flood", (P0,), 1500, None)
    own = flow("own", (Hop("p0", 1),), 100, burst(100, 1))
    assert bounds({"p0": port}, [flood, own])["own"] == Endless("p0")
    more = replace(flood, burst=burst(1500, 1, 11 * MBIT))
    assert bounds({"p0": port}, [more, own])["own"] == Endless("p0")
    # its own access link holds it
    slow = shaped(MBIT)
    held = replace(flood, hops=(Hop("access"), P0))
    assert isinstance(bounds({"access": slow, "p0": port}, [held, own])["own"], Bound)
    # or a policer
    policed = replace(
        flood, hops=(replace(P0, policer=Policer(queue=0, rate_bps=MBIT, burst_bytes=3000)),)
    )
    found = bounds({"p0": port}, [policed, own])["own"]
    assert isinstance(found, Bound)
    assert found.ports[0].wait_ns == pytest.approx(2 * 12_000 * S / (9 * MBIT), abs=120)  # one bit


def test_rings_of_flows_have_bounds_while_load_is_low() -> None:
    """Four ports in a ring, a flow over three of them from each: all bursts depend on all."""

    def ring(rate_bps: int) -> list[Bound | Endless]:
        ports = {f"p{n}": shaped(10 * MBIT) for n in range(4)}
        flows = [
            flow(
                f"f{n}",
                tuple(Hop(f"p{(n + k) % 4}") for k in range(3)),
                1000,
                burst(1000, 2, rate_bps),
                2,
            )
            for n in range(4)
        ]
        return list(bounds(ports, flows).values())

    low = [bound.latency_ns for bound in ring(MBIT) if isinstance(bound, Bound)]
    assert len(low) == 4
    assert max(low) < 1.05 * min(low)  # the ring is the same from everywhere, but for rounding
    # at 3.4 Mbit/s each, more comes than a port can send: only full buffers are left
    full = ring(3_400_000)
    assert all(isinstance(b, Bound) and all(at.full for at in b.ports[1:]) for b in full)


@given(
    st.lists(
        st.lists(st.builds(Bucket, st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=3),
        max_size=4,
    ),
    st.integers(0, 50),
)
def test_the_sum_of_curves(curves: list[list[Bucket]], seconds: int) -> None:
    def at(curve: tuple[Bucket, ...] | list[Bucket]) -> int:
        return min(bucket.bits + bucket.bps * seconds for bucket in curve)

    added = total(tuple(curve) for curve in curves)
    assert at(added) == sum(map(at, curves))
    assert total([*map(tuple, curves), ()]) == ()
