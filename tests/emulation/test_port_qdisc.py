"""Options of the port qdisc survive the wire; nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation.port_qdisc import (
    PortGate,
    PortOptions,
    PortPolicer,
    PortQueue,
    PortSource,
    decode,
    encode,
    statistics,
)
from testbed.errors import EmulationError

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
queues = st.lists(
    st.builds(
        PortQueue,
        id=u32,
        level=u32,
        quantum_bytes=u32,
        limit_packets=u32,
        limit_bytes=u64,
        promised_bps=u64,
        peak_bps=u64,
        burst_bytes=u32,
    ),
    max_size=8,
).map(tuple)
sources = st.lists(
    st.builds(
        PortSource,
        queue=u32,
        rate_bps=u64,
        sizes=st.lists(st.tuples(u32, st.integers(1, 2**32 - 1)), min_size=1, max_size=4).map(
            tuple
        ),
        arrivals=st.sampled_from(["periodic", "poisson"]),
        burst=u32,
        seed=u64,
        start_ns=u64,
        stop_ns=u64,
    ),
    max_size=4,
).map(tuple)
ids = st.lists(st.integers(0, 100), unique=True, min_size=1, max_size=64)


@st.composite
def gated(draw: st.DrawFn) -> PortOptions:
    numbers = draw(ids)
    return PortOptions(
        rate_bps=draw(u64),
        queues=tuple(PortQueue(id=id_) for id_ in numbers),
        gates=tuple(
            PortGate(interval_ns=draw(u64), open=tuple(i for i in numbers if draw(st.booleans())))
            for _ in range(draw(st.integers(0, 5)))
        ),
        gate_base_ns=draw(u64),
        policers=tuple(
            PortPolicer(id=draw(u32), rate_bps=draw(u64), burst_bytes=draw(u32))
            for _ in range(draw(st.integers(0, 3)))
        ),
    )


options = st.builds(
    PortOptions,
    rate_bps=u64,
    delay_ns=u64,
    overhead_bytes=st.integers(-(2**31), 2**31 - 1),
    loss=st.integers(0, 2**32 - 1).map(lambda n: n / 2**32),
    seed=u64,
    default_queue=u32,
    queues=queues,
    sources=sources,
)


@given(st.one_of(options, gated()))
def test_round_trip(port: PortOptions) -> None:
    assert decode(encode(port)) == port


@pytest.mark.parametrize(
    "bad",
    [
        PortOptions(rate_bps=-1),
        PortOptions(rate_bps=2**64),
        PortOptions(rate_bps=1, loss=1.5),
        PortOptions(rate_bps=1, sources=(PortSource(rate_bps=1, sizes=((64, 1),) * 5),)),
        PortOptions(rate_bps=1, gates=(PortGate(interval_ns=1, open=(1,)),)),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(bad: PortOptions) -> None:
    with pytest.raises(EmulationError):
        encode(bad)


def test_no_statistics_is_no_queue() -> None:
    assert statistics(b"") == ()
