"""Gates of the event model: IEEE 802.1Q-2022 8.6.8.4, with the length-aware guard band."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from testbed.port.events import Fate, run
from testbed.port.gates import Gate, Gates, openings
from testbed.port.pipeline import Pipeline
from testbed.port.queues import Queue
from testbed.port.stage import Arrival
from tests.ports import changed, shaped

GIGABIT = 10**9
FULL_NS = 1500 * 8


def gates(*rows: tuple[int, set[int]]) -> tuple[Gate, ...]:
    return tuple(Gate(interval_ns=interval, open=tuple(open_)) for interval, open_ in rows)


def halves(interval_ns: int, gate_base_ns: int = 0) -> Pipeline:
    """Queues 0 and 1 take turns."""
    return shaped(
        GIGABIT,
        queues=(Queue(id=0), Queue(id=1)),
        gates=gates((interval_ns, {0}), (interval_ns, {1})),
        gate_base_ns=gate_base_ns,
    )


def starts(port: Pipeline, *packets: tuple[int, int, int]) -> list[int | None]:
    return [fate.start_ns for fate in run(port, [Arrival(*packet) for packet in packets])]


def test_a_packet_waits_for_its_gate() -> None:
    assert starts(halves(100_000), (0, 1500, 1), (0, 1500, 0)) == [100_000, 0]


def test_a_packet_begins_only_if_it_ends_before_its_gate_closes() -> None:
    last = 100_000 - FULL_NS
    assert starts(halves(100_000), (last, 1500, 0)) == [last]
    assert starts(halves(100_000), (last + 1, 1500, 0)) == [200_000]


def test_a_short_packet_does_not_overtake_one_that_waits_for_the_next_cycle() -> None:
    assert starts(halves(100_000), (95_000, 1500, 0), (95_001, 64, 0)) == [200_000, 212_000]


def test_packets_that_fill_an_opening_to_the_last_bit_all_leave() -> None:
    # 1514 bytes at 10 Gbit/s take 1211.2 ns; five fill 6056 ns
    port = shaped(10**10, queues=(Queue(id=0),), gates=gates((6056, {0}), (4000, set())))
    assert starts(port, *[(0, 1514, 0)] * 6) == [0, 1212, 2423, 3634, 4845, 10_056]


def test_the_cycle_runs_before_its_base_as_after_it() -> None:
    port = halves(100_000, gate_base_ns=1_030_000)
    assert starts(port, (0, 1500, 1), (0, 1500, 0)) == [0, 30_000]


def test_an_opening_may_span_intervals_and_cycles() -> None:
    port = shaped(
        GIGABIT,
        queues=(Queue(id=0),),
        gates=gates((6_000, {0}), (10_000, set()), (4_000, {0}), (2_000, {0})),
    )
    assert starts(port, (15_000, 1500, 0)) == [16_000]  # till 28_000, the next cycle's 6_000


def test_what_no_opening_holds_is_dropped_and_holds_up_nobody() -> None:
    port = halves(FULL_NS - 1)
    assert starts(port, (0, 1500, 0), (0, 64, 0)) == [None, 0]


@st.composite
def gated(draw: st.DrawFn) -> Pipeline:
    ids = range(draw(st.integers(1, 4)))
    return shaped(
        rate_bps=draw(st.sampled_from([20_000_000, GIGABIT, 10**10, 10**11, 333_333_333])),
        delay_ns=draw(st.integers(0, 10**6)),
        overhead_bytes=draw(st.sampled_from([0, 24])),
        queues=tuple(
            Queue(
                id=id_,
                level=draw(st.integers(0, 2)),
                quantum_bytes=draw(st.integers(64, 4000)),
                limit_packets=draw(st.integers(1, 8)),
                peak_bps=draw(st.sampled_from([0, 0, 10**7])),
                promised_bps=draw(st.sampled_from([0, 0, 10**6])),
            )
            for id_ in ids
        ),
        gates=tuple(
            Gate(
                interval_ns=draw(st.integers(1, 10**6)),
                open=tuple(draw(st.frozensets(st.sampled_from(ids)))),
            )
            for _ in range(draw(st.integers(1, 6)))
        ),
        gate_base_ns=draw(st.integers(0, 10**7)),
    )


@st.composite
def offers(draw: st.DrawFn) -> tuple[Pipeline, list[Arrival]]:
    port = draw(gated())
    row = st.tuples(
        st.integers(0, 10**7), st.integers(60, 1514), st.integers(0, len(port.queues) - 1)
    )
    rows = sorted(draw(st.lists(row, max_size=40)), key=lambda row: row[0])
    return port, [Arrival(*row) for row in rows]


def lasts_ns(port: Pipeline, size: int) -> float:
    return port.transmitter.wire_bits(size) * 1e9 / (port.rate_bps or 0)


def _base_ns(port: Pipeline) -> int:
    gates = port.get(Gates)
    return gates.base_ns if gates else 0


def is_open(port: Pipeline, queue: int, at_ns: float) -> bool:
    """By walking the list."""
    cycle_ns = sum(gate.interval_ns for gate in port.gates)
    at_ns = (at_ns - _base_ns(port)) % cycle_ns
    for gate in port.gates:
        if at_ns < gate.interval_ns:
            return queue in gate.open
        at_ns -= gate.interval_ns
    raise AssertionError


def sent(offered: list[Arrival], fates: list[Fate]) -> list[tuple[int, int, Arrival]]:
    return [
        (fate.start_ns, fate.delivery_ns, arrival)
        for arrival, fate in zip(offered, fates, strict=True)
        if fate.start_ns is not None and fate.delivery_ns is not None
    ]


@given(offers())
def test_nothing_is_sent_through_a_closed_gate(offer: tuple[Pipeline, list[Arrival]]) -> None:
    port, offered = offer
    for start, delivery, arrival in sent(offered, run(port, offered)):
        end = delivery - port.delay_ns
        assert is_open(port, arrival.queue, start)
        if end > start:
            assert is_open(port, arrival.queue, end - 0.5)
        at = start - _base_ns(port)
        cycle_ns = sum(gate.interval_ns for gate in port.gates)
        for close in closings(port, arrival.queue, start - at % cycle_ns, cycle_ns):
            assert not start < close < end


def closings(port: Pipeline, queue: int, cycle_at: int, cycle_ns: int) -> list[int]:
    """When the queue's gate closes in two cycles."""
    found, at = [], cycle_at
    for one, after in pairwise([*port.gates, *port.gates, port.gates[0]]):
        at += one.interval_ns
        if queue in one.open and queue not in after.open:
            found.append(at)
    assert at == cycle_at + 2 * cycle_ns
    return found


@given(offers())
def test_one_at_a_time_in_order_within_a_queue(offer: tuple[Pipeline, list[Arrival]]) -> None:
    port, offered = offer
    rows = sent(offered, run(port, offered))
    for start, delivery, arrival in rows:
        assert start >= arrival.time_ns
        took = delivery - port.delay_ns - start
        assert lasts_ns(port, arrival.bytes) - 1 <= took <= ceil(lasts_ns(port, arrival.bytes)) + 1
    for (_, before, _), (start, _, _) in pairwise(sorted(rows, key=lambda r: (r[0], r[1]))):
        assert start >= before - port.delay_ns
    for queue in port.queues:
        mine = [start for start, _, arrival in rows if arrival.queue == queue.id]
        assert mine == sorted(mine)


@given(offers())
def test_a_packet_is_lost_only_to_a_full_queue_or_a_narrow_gate(
    offer: tuple[Pipeline, list[Arrival]],
) -> None:
    port, offered = offer
    fates = run(port, offered)
    rows = sent(offered, fates)
    widest = {
        q.id: max(
            (
                close - open_
                for open_, close in openings(port.get(Gates) or Gates(gates=()), q.id, 0)
            ),
            default=0,
        )
        for q in port.queues
    }
    for arrival, fate in zip(offered, fates, strict=True):
        narrow = ceil(lasts_ns(port, arrival.bytes)) > widest[arrival.queue]
        if narrow:
            assert fate.start_ns is None
        elif fate.start_ns is None:
            waiting = sum(
                a.queue == arrival.queue and a.time_ns <= arrival.time_ns <= start
                for start, _, a in rows
            )
            assert waiting >= port.queues[arrival.queue].limit_packets


@given(
    st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 25)), max_size=12),
)
def test_each_packet_begins_as_soon_as_its_gate_allows(
    cycle: list[tuple[int, bool]], base_ns: int, rows: list[tuple[int, int]]
) -> None:
    """Nanosecond by nanosecond; a byte takes 8."""
    port = shaped(
        GIGABIT,
        queues=(Queue(id=0, limit_packets=100),),
        gates=gates(*[(interval, {0} if open_ else set()) for interval, open_ in cycle]),
        gate_base_ns=base_ns,
    )
    whole = [open_ for interval, open_ in cycle for _ in range(interval)]
    offered = [Arrival(*row) for row in sorted(rows)]
    free = 0
    for arrival, fate in zip(offered, run(port, offered), strict=True):
        bits = 8 * arrival.bytes
        if fate.start_ns is None:
            twice = "".join("x" if open_ else " " for open_ in whole * 2)
            assert "x" * bits not in twice
            assert not all(whole)
            continue
        at = max(free, arrival.time_ns)
        while not all(whole[(at + bit - base_ns) % len(whole)] for bit in range(bits)):
            at += 1
        assert fate.start_ns == at
        free = at + bits


@given(offers())
def test_gates_that_are_always_open_change_nothing(offer: tuple[Pipeline, list[Arrival]]) -> None:
    port, offered = offer
    ids = tuple(queue.id for queue in port.queues)
    opened = [Gate(interval_ns=gate.interval_ns, open=ids) for gate in port.gates]
    always, never = changed(port, gates=opened), changed(port, gates=())
    assert run(always, offered) == run(never, offered)
