"""The event model against hand-made cases and queueing theory."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.port.background import Source, arrivals, mean_gap_ps
from testbed.port.events import run
from testbed.port.pipeline import Pipeline
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from testbed.port.stage import Arrival
from testbed.reference.waiting import Load, cobham, md1
from tests.ports import shaped

RATE = 20_000_000
FULL = 1500
FULL_NS = FULL * 8 * 10**9 // RATE  # 600 us


def deliveries(port: Pipeline, *packets: tuple[int, int, int]) -> list[int | None]:
    return [fate.delivery_ns for fate in run(port, [Arrival(*packet) for packet in packets])]


def test_one_packet_takes_serialisation_and_propagation() -> None:
    assert deliveries(shaped(RATE, delay_ns=500_000), (0, FULL, 0)) == [FULL_NS + 500_000]


def test_a_hundred_gigabit_port_carries_fractions_of_nanoseconds() -> None:
    # 64 bytes take 5.12 ns: 100 of them back to back take 512
    port = shaped(100_000_000_000)
    times = deliveries(port, *[(0, 64, 0)] * 100)
    assert times[0] == 6
    assert times[-1] == 512


def test_priority_waits_for_the_packet_in_service_only() -> None:
    port = shaped(RATE, queues=(Queue(id=0, level=1), Queue(id=1, level=0)))
    times = deliveries(port, (0, FULL, 0), (0, FULL, 0), (1, FULL, 1))
    assert times == [FULL_NS, 3 * FULL_NS, 2 * FULL_NS]


def test_equal_quanta_share_bytes_not_packets() -> None:
    port = shaped(RATE, queues=(Queue(id=0, quantum_bytes=1500), Queue(id=1, quantum_bytes=1500)))
    mixed = [(0, 1500, 0)] * 20 + [(0, 500, 1)] * 60
    times = deliveries(port, *mixed)
    done = [time for time in times[:11] if time is not None][-1]
    small = sum(time is not None and time <= done for time in times[20:])
    assert 27 <= small <= 33  # eleven large packets: as many bytes in thirty-three small ones


def test_a_full_queue_drops_and_the_packet_in_service_does_not_count() -> None:
    port = shaped(RATE, queues=(Queue(limit_packets=2),))
    times = deliveries(port, *[(0, FULL, 0)] * 5)
    assert [time is None for time in times] == [False, False, False, True, True]


def test_byte_limit() -> None:
    port = shaped(RATE, queues=(Queue(limit_packets=10, limit_bytes=2000),))
    times = deliveries(port, (0, 1500, 0), (0, 1500, 0), (0, 500, 0), (0, 1, 0))
    assert [time is None for time in times] == [False, False, False, True]


def test_a_queue_that_does_not_exist_is_the_default() -> None:
    port = shaped(RATE, queues=(Queue(id=0, level=1), Queue(id=5, level=0)), default=5)
    assert deliveries(port, (0, FULL, 0), (0, FULL, 0), (0, FULL, 77)) == [
        FULL_NS,
        3 * FULL_NS,
        2 * FULL_NS,
    ]


def test_what_a_queue_had_beyond_its_promise_is_not_held_against_it() -> None:
    """Queue 1 fills the idle port; when queue 0 comes, it keeps its tenth."""
    port = shaped(
        RATE, queues=(Queue(id=0, level=0), Queue(id=1, level=1, promised_bps=RATE // 10))
    )
    alone = [(n * FULL_NS, FULL, 1) for n in range(200)]
    flood = [(200 * FULL_NS, FULL, 0)] * 100 + [(200 * FULL_NS, FULL, 1)] * 100
    starts = [fate.start_ns for fate in run(port, [Arrival(*a) for a in (*alone, *flood)])]
    before = sorted(start for start in starts[300:] if start is not None)[:10]
    assert before[0] <= 211 * FULL_NS
    assert all(10 <= (b - a) / FULL_NS <= 11 for a, b in pairwise(before))


def test_a_policer_lets_its_burst_and_then_its_rate_through() -> None:
    port = shaped(
        None,
        queues=(Queue(limit_packets=1000),),
        policers=(Policer(queue=7, rate_bps=RATE, burst_bytes=3 * FULL),),
    )
    offered = [(FULL_NS // 2 * n, FULL, 7) for n in range(100)]
    passed = [n for n, time in enumerate(deliveries(port, *offered)) if time is not None]
    assert passed == [0, 1, 2, 3, 4, *range(6, 100, 2)]
    assert None not in deliveries(port, *[(t, size, 0) for t, size, _ in offered])


@given(
    st.integers(8, 10**10),
    st.integers(0, 20_000),
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 1514)), max_size=60),
)
def test_what_a_policer_passes_conforms_and_what_it_drops_would_not(
    rate: int, burst: int, rows: list[tuple[int, int]]
) -> None:
    """By bits in a bucket, exactly, but for the picosecond that a packet is rounded to."""
    port = shaped(
        None,
        queues=(Queue(limit_packets=1000),),
        policers=(Policer(queue=0, rate_bps=rate, burst_bytes=burst),),
    )
    offered = [Arrival(*row) for row in sorted(rows)]
    bucket, at = Fraction(8 * burst), 0
    slack = Fraction(rate * (len(rows) + 1), 10**12)
    for arrival, fate in zip(offered, run(port, offered), strict=True):
        bits = 8 * arrival.bytes
        bucket = min(Fraction(8 * burst), bucket + Fraction((arrival.time_ns - at) * rate, 10**9))
        at = arrival.time_ns
        if fate.start_ns is None:
            assert bucket <= bits + slack
        else:
            assert bucket >= bits - slack
            bucket -= bits


packets = st.lists(
    st.tuples(st.integers(0, 10**7), st.integers(60, 1514), st.integers(0, 3)), max_size=60
).map(lambda rows: sorted((Arrival(*row) for row in rows), key=lambda a: a.time_ns))
ports = st.builds(
    shaped,
    rate_bps=st.sampled_from([RATE, 10**9, 10**10, 10**11]),
    delay_ns=st.integers(0, 10**6),
    queues=st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(64, 4000)
    ).map(
        lambda v: tuple(
            Queue(id=i, level=v[i] if i < 3 else 0, quantum_bytes=v[3], limit_packets=8)
            for i in range(4)
        )
    ),
)


@given(ports, packets)
def test_the_transmitter_is_never_idle_nor_doubly_busy(
    port: Pipeline, offered: list[Arrival]
) -> None:
    sent = sorted(
        (fate.start_ns, fate.delivery_ns, a)
        for a, fate in zip(offered, run(port, offered), strict=True)
        if fate.start_ns is not None and fate.delivery_ns is not None
    )
    for start, delivery, arrival in sent:
        assert start >= arrival.time_ns
        took = delivery - start - port.delay_ns
        assert took == pytest.approx(arrival.bytes * 8e9 / (port.rate_bps or 0), abs=1)
    for (_, before, _), (start, _, arrival) in pairwise(sent):
        assert start >= before - port.delay_ns - 1
        assert start <= max(arrival.time_ns, before - port.delay_ns)


def poisson(
    rate_pps: float, size: int, queue: int, count: int, rng: random.Random
) -> list[Arrival]:
    time, out = 0.0, []
    for _ in range(count):
        time += rng.expovariate(rate_pps) * 1e9
        out.append(Arrival(round(time), size, queue))
    return out


def mean_wait_s(port: Pipeline, offered: list[Arrival], queue: int) -> float:
    fates = zip(offered, run(port, offered), strict=True)
    waits = [
        f.start_ns - a.time_ns for a, f in fates if a.queue == queue and f.start_ns is not None
    ]
    return sum(waits) / len(waits) / 1e9


@pytest.mark.thorough
@pytest.mark.parametrize("load", [0.3, 0.8])
def test_mean_wait_is_that_of_m_d_1(load: float) -> None:
    service = FULL * 8 / RATE
    offered = poisson(load / service, FULL, 0, 100_000, random.Random(1))
    port = shaped(RATE, queues=(Queue(limit_packets=10**6),))
    # the spread of the mean of so many packets
    assert mean_wait_s(port, offered, 0) == pytest.approx(md1(load / service, service), rel=0.05)


@pytest.mark.thorough
def test_mean_waits_are_those_of_cobham() -> None:
    service = FULL * 8 / RATE
    classes = [Load(share / service, service, service**2) for share in (0.2, 0.3, 0.2)]
    rng = random.Random(2)
    offered = sorted(
        (
            a
            for n, c in enumerate(classes)
            for a in poisson(c.rate_pps, FULL, n, round(c.rate_pps * 40), rng)
        ),
        key=lambda a: a.time_ns,
    )
    port = shaped(RATE, queues=tuple(Queue(id=n, level=n, limit_packets=10**6) for n in range(3)))
    for n, wait in enumerate(cobham(classes)):
        assert mean_wait_s(port, offered, n) == pytest.approx(wait, rel=0.04)


@pytest.mark.parametrize("kind", ["poisson", "periodic"])
def test_background_that_stops_before_its_first_packet_has_none(
    kind: Literal["poisson", "periodic"],
) -> None:
    for seed in range(20):
        slow = Source(rate_bps=1000, arrivals=kind, seed=seed, start_ns=10**9)
        first = next(arrivals(slow)).time_ns
        assert first > 10**9
        assert not list(arrivals(msgspec.structs.replace(slow, stop_ns=first)))
        assert len(list(arrivals(msgspec.structs.replace(slow, stop_ns=first + 1)))) == 1


@pytest.mark.parametrize("kind", ["poisson", "periodic"])
def test_background_has_the_rate_it_was_asked_for(kind: Literal["poisson", "periodic"]) -> None:
    source = Source(
        rate_bps=10**10,
        sizes=((64, 7), (594, 4), (1514, 1)),
        arrivals=kind,
        burst=3,
        seed=5,
    )
    stream = arrivals(source)
    some = [next(stream) for _ in range(60_000)]
    seconds = (some[-1].time_ns - some[0].time_ns) / 1e9
    assert sum(a.bytes * 8 for a in some) / seconds == pytest.approx(10**10, rel=0.02)
    assert mean_gap_ps(source) == pytest.approx(3 * (64 * 7 + 594 * 4 + 1514) / 12 * 8 * 100, abs=1)
