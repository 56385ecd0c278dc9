"""The wire form of the lab kernel's port: literal bytes, both ways; nonsense is refused.

The bytes are those of the structs in kernel/port, field by field.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation.lab_qdisc import QueueStatistics, decode, encode, statistics
from testbed.emulation.netlink import attr, attrs
from testbed.errors import EmulationError
from testbed.port.background import Background, Source
from testbed.port.channel import Channel
from testbed.port.gates import Gate, Gates
from testbed.port.kinds import KINDS
from testbed.port.pipeline import Pipeline
from testbed.port.policers import Policer, Policers
from testbed.port.queues import Queue, Queues
from testbed.port.stage import Stage
from testbed.port.transmitter import Transmitter
from tests.ports import shaped

IDS = (5, 9)
GOLDEN: list[tuple[int, Stage, str]] = [
    (
        1,
        Background(
            sources=(
                Source(
                    rate_bps=0x1122334455,
                    seed=0x0102030405060708,
                    start_ns=0xA1A2A3A4A5A6A7A8,
                    stop_ns=0xB1B2B3B4B5B6B7B8,
                    queue=9,
                    arrivals="poisson",
                    burst=3,
                    sizes=((64, 7), (1514, 1)),
                ),
            )
        ),
        "5544332211000000 0807060504030201 a8a7a6a5a4a3a2a1 b8b7b6b5b4b3b2b1"
        "09000000 01000000 03000000 00000000"
        "40000000 07000000 ea050000 01000000 00000000 00000000 00000000 00000000",
    ),
    (
        2,
        Policers(policers=(Policer(queue=9, rate_bps=0x1122334455, burst_bytes=0xA1B2),)),
        "5544332211000000 09000000 b2a10000",
    ),
    (
        3,
        Queues(
            queues=(
                Queue(
                    id=5,
                    level=1,
                    quantum_bytes=0x1111,
                    limit_packets=0x2222,
                    limit_bytes=0x33333333333,
                    promised_bps=0x44444444444,
                    peak_bps=0x55555555555,
                    burst_bytes=0x6666,
                ),
                Queue(id=9, level=2),
            ),
            default=9,
        ),
        "09000000 00000000"
        "05000000 01000000 11110000 22220000 3333333333030000"
        "4444444444040000 5555555555050000 66660000 00000000"
        "09000000 02000000 ea050000 e8030000 0000000000000000"
        "0000000000000000 0000000000000000 d40b0000 00000000",
    ),
    (
        4,
        Gates(
            gates=(
                Gate(interval_ns=0x1111111111, open=(9,)),
                Gate(interval_ns=0x2222, open=(5, 9)),
            ),
            base_ns=0x3333333333,
        ),
        "3333333333000000 1111111111000000 0200000000000000 2222000000000000 0300000000000000",
    ),
    (
        5,
        Transmitter(rate_bps=0x1122334455, overhead_bytes=-2),
        "5544332211000000 feffffff 00000000",
    ),
    (5, Transmitter(rate_bps=None, overhead_bytes=24), "0000000000000000 18000000 00000000"),
    (
        6,
        Channel(propagation_ns=0x1122334455, loss=0.25, seed=0x0102030405060708),
        "5544332211000000 0807060504030201 00000040 00000000",
    ),
]


@pytest.mark.parametrize(("attribute", "stage", "golden"), GOLDEN)
def test_each_stage_is_these_bytes(attribute: int, stage: Stage, golden: str) -> None:
    assert attribute == stage.ATTRIBUTE
    assert stage.encode(IDS).hex() == golden.replace(" ", "")


@pytest.mark.parametrize(("attribute", "stage", "golden"), GOLDEN)
def test_each_stage_is_read_from_these_bytes(attribute: int, stage: Stage, golden: str) -> None:
    (kind,) = (kind for kind in KINDS if attribute == kind.ATTRIBUTE)
    assert kind.decode(bytes.fromhex(golden), IDS) == stage


def test_every_kind_has_its_bytes_and_a_number_of_its_own() -> None:
    assert {attribute for attribute, _, _ in GOLDEN} == {kind.ATTRIBUTE for kind in KINDS}
    assert len({kind.ATTRIBUTE for kind in KINDS}) == len(KINDS)


def test_what_the_plan_has_by_its_causes_and_names_is_on_the_wire_in_numbers() -> None:
    channel = Channel(propagation_ns=1, device_ns=20, radio_ns=300, km=4.0)
    assert channel.encode(()) == Channel(propagation_ns=321).encode(())
    fifo = Queues(buffer_packets=7)
    assert fifo.encode(()) == Queues(queues=(Queue(id=0, name="x", limit_packets=7),)).encode(())


def test_a_port_is_its_stages_attributes_in_order() -> None:
    wire = encode(Pipeline())
    assert list(attrs(wire)) == [3, 5, 6]  # queues, transmitter and channel are always there
    assert list(attrs(encode(everything()))) == [1, 2, 3, 4, 5, 6]


def test_counters_are_read_from_these_bytes() -> None:
    words = b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 0))
    longs = b"".join(n.to_bytes(8, "little") for n in range(4, 16))
    assert statistics(attr(4, words + longs)) == (
        QueueStatistics(
            id=1,
            backlog_packets=2,
            max_backlog_packets=3,
            backlog_bytes=4,
            max_backlog_bytes=5,
            packets=6,
            bytes=7,
            drops=8,
            wait_ns=9,
            background_packets=10,
            background_bytes=11,
            background_drops=12,
            background_wait_ns=13,
            policed=14,
            background_policed=15,
        ),
    )


def everything() -> Pipeline:
    return shaped(
        10**9,
        queues=tuple(Queue(id=id_) for id_ in IDS),
        default=9,
        gates=(Gate(interval_ns=1, open=IDS),),
        policers=(Policer(queue=5, rate_bps=1, burst_bytes=1),),
        sources=(Source(rate_bps=1),),
    )


u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
queues = st.builds(
    Queue,
    level=u32,
    quantum_bytes=u32,
    limit_packets=u32,
    limit_bytes=u64,
    promised_bps=u64,
    peak_bps=u64,
    burst_bytes=u32,
)
sources = st.builds(
    Source,
    queue=u32,
    rate_bps=u64,
    sizes=st.lists(st.tuples(u32, st.integers(1, 2**32 - 1)), min_size=1, max_size=4).map(tuple),
    arrivals=st.sampled_from(["periodic", "poisson"]),
    burst=u32,
    seed=u64,
    start_ns=u64,
    stop_ns=u64,
)
policers = st.builds(Policer, queue=u32, rate_bps=u64, burst_bytes=u32)


@st.composite
def ports(draw: st.DrawFn) -> Pipeline:
    ids = draw(st.lists(st.integers(0, 100), unique=True, min_size=1, max_size=64))
    opens = st.lists(st.sampled_from(ids), unique=True).map(lambda some: tuple(sorted(some)))
    ids.sort()
    made = [draw(queues) for _ in ids[:8]] + [Queue()] * len(ids[8:])
    return shaped(
        draw(st.one_of(st.none(), st.integers(1, 2**64 - 1))),
        delay_ns=draw(u64),
        overhead_bytes=draw(st.integers(-(2**31), 2**31 - 1)),
        loss=draw(st.integers(0, 2**32 - 1)) / 2**32,
        seed=draw(u64),
        queues=[
            Queue(**{field: getattr(q, field) for field in q.__struct_fields__} | {"id": id_})
            for id_, q in zip(ids, made, strict=True)
        ],
        default=draw(u32),
        gates=draw(st.lists(st.builds(Gate, interval_ns=u64, open=opens), max_size=5)),
        gate_base_ns=draw(u64),
        policers=draw(st.lists(policers, max_size=3)),
        sources=draw(st.lists(sources, max_size=4)),
    )


@given(ports())
def test_round_trip(port: Pipeline) -> None:
    assert decode(encode(port)) == port == port.stored()


@pytest.mark.parametrize(
    "bad",
    [
        shaped(-1),
        shaped(2**64),
        shaped(1, loss=1.5),
        shaped(1, sources=(Source(rate_bps=1, sizes=((64, 1),) * 5),)),
        shaped(1, gates=(Gate(interval_ns=1, open=(1,)),)),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(bad: Pipeline) -> None:
    with pytest.raises(EmulationError):
        encode(bad)


def test_no_statistics_is_no_queue() -> None:
    assert statistics(b"") == ()
