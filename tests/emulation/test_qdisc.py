"""Queues: what is asked, how it is written for the kernel and read again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation import netlink as nl
from testbed.emulation import port_qdisc, qdisc
from testbed.emulation.readback import PortShape, Readback, differences
from testbed.errors import EmulationError
from testbed.plan.model import Port, Queue
from tests.emulation.plans import linear, two_queues

RATES = st.integers(8, 200_000_000_000).map(lambda bps: bps // 8 * 8)


def port(**changes: object) -> Port:
    return msgspec.structs.replace(linear(2).ports[0], **changes)


@st.composite
def queued(draw: st.DrawFn) -> Port:
    rate = draw(RATES.filter(lambda bps: bps >= 8_000))
    queues = []
    for id_ in range(draw(st.integers(1, 6))):
        ceil = draw(st.integers(12, rate // 8)) * 8
        queues.append(
            Queue(
                id=id_,
                name=f"q{id_}",
                rate_bps=draw(st.integers(12, ceil // 8)) * 8,
                ceil_bps=ceil,
                priority=draw(st.integers(0, 7)),
                limit_packets=draw(st.integers(1, 100_000)),
            )
        )
    return port(
        rate_bps=rate,
        delay_ns=draw(st.integers(0, 10**10)),
        loss=draw(st.floats(0, 1)),
        queues=tuple(queues),
    )


def kernel_would_have(of: Port) -> PortShape:
    """The kernel dumps options as they were given, so that what was written can be read."""
    seen = qdisc._Seen()
    for request in qdisc.requests(of):
        _, _, index, handle, parent, _ = qdisc._TCMSG.unpack_from(request.body)
        assert index == of.ifindex
        found = nl.attrs(request.body[qdisc._TCMSG.size :])
        if request.kind == nl.RTM_NEWTCLASS:
            seen.classes[handle & 0xFFFF] = found[2]
        else:
            seen.kinds[parent] = found[1].rstrip(b"\0").decode()
            seen.options[parent] = found[2]
    return qdisc._decode(of, seen)


@given(st.one_of(st.none(), RATES), st.integers(0, 10**12), st.integers(1, 2**32 - 1))
def test_one_queue_is_read_as_written(rate: int | None, delay: int, limit: int) -> None:
    one = port(rate_bps=rate, delay_ns=delay, limit_packets=limit)
    assert kernel_would_have(one) == qdisc.shape(one)


@given(queued())
def test_queues_are_read_as_written(of: Port) -> None:
    qdisc.verify(of, kernel_would_have(of))


def test_unshaped_port_has_no_queue() -> None:
    assert list(qdisc.requests(port(rate_bps=None, delay_ns=0))) == []


def test_loss_alone_needs_a_queue() -> None:
    (request,) = qdisc.requests(port(rate_bps=None, delay_ns=0, loss=0.5))
    assert "netem" in request.about


def test_queue_number_is_the_class_that_set_queue_names() -> None:
    """Open vSwitch gives packets of set_queue:N the priority 1:(N+1)."""
    classes = [
        qdisc._TCMSG.unpack_from(request.body)[3]
        for request in qdisc.requests(port(queues=two_queues(100_000_000, 8_000_000)))
        if request.kind == nl.RTM_NEWTCLASS
    ]
    assert classes == [0x1FFFE, 0x10001, 0x10002]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate_bps": 7}, "rate 7 bit/s cannot be shaped"),
        ({"delay_ns": -1}, "delay -1 ns"),
        ({"loss": 1.5}, "no probability"),
        ({"limit_packets": 0}, "limit of 0 packets"),
        ({"queues": two_queues(10**8, 10**7), "rate_bps": None}, "without a rate"),
        ({"queues": two_queues(10**8, 10**7)[1:]}, "no queue 0"),
        ({"queues": two_queues(2 * 10**8, 10**7)}, "ceil 200000000"),
    ],
)
def test_what_no_qdisc_can_do_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(EmulationError, match=said):
        list(qdisc.requests(port(**changes)))


@pytest.mark.parametrize(
    "field", ["delay_ns", "rate_bps", "limit_packets", "loss", "default_queue"]
)
def test_every_difference_is_named(field: str) -> None:
    asked = qdisc.shape(port())
    got = msgspec.structs.replace(asked, **{field: 1})
    (row,) = differences(asked, got)
    assert field.split("_", maxsplit=1)[0] in row


def test_every_difference_of_a_queue_is_named() -> None:
    asked = qdisc.shape(port(queues=two_queues(100_000_000, 8_000_000)))
    for field in ("rate_bps", "ceil_bps", "priority", "burst_bytes", "delay_ns", "limit_packets"):
        queue = msgspec.structs.replace(asked.queues[1], **{field: 5})
        got = msgspec.structs.replace(asked, queues=(asked.queues[0], queue))
        (row,) = differences(asked, got)
        assert row.startswith(f"queue 1 {field.split('_', maxsplit=1)[0]}")
    missing = msgspec.structs.replace(asked, queues=asked.queues[:1])
    assert differences(asked, missing) == ["queue 1, got none"]
    assert differences(missing, asked) == ["no queue 1, got one"]


def test_ticks_of_older_fields_are_no_difference() -> None:
    asked = qdisc.shape(port(delay_ns=1_000_000))
    assert not differences(asked, msgspec.structs.replace(asked, delay_ns=1_000_064))
    assert differences(asked, msgspec.structs.replace(asked, delay_ns=1_000_065))


def test_readback_is_json_in_and_out() -> None:
    shape = qdisc.shape(port(queues=two_queues(100_000_000, 8_000_000)))
    row = {"node": "s1", "name": "s1-eth1", "asked": shape, "got": shape}
    back = msgspec.convert({"kernel": "6.1", "ports": [row]}, Readback)
    assert msgspec.json.decode(msgspec.json.encode(back), type=Readback) == back


@given(queued())
def test_the_lab_kernels_port_is_what_is_asked(one: Port) -> None:
    asked = qdisc.shape(one)
    got = port_qdisc.decode(port_qdisc.encode(port_qdisc.options(asked)))
    assert differences(asked, port_qdisc.shape(got, asked)) == []


@given(RATES, st.integers(0, 10**10), st.integers(1, 100_000))
def test_the_lab_kernels_fifo_is_what_is_asked(rate: int, delay_ns: int, limit: int) -> None:
    asked = qdisc.shape(port(rate_bps=rate, delay_ns=delay_ns, limit_packets=limit))
    got = port_qdisc.decode(port_qdisc.encode(port_qdisc.options(asked)))
    assert differences(asked, port_qdisc.shape(got, asked)) == []


def test_a_wrong_limit_of_the_lab_kernels_port_shows() -> None:
    asked = qdisc.shape(port(rate_bps=10**9, delay_ns=10**6, limit_packets=1000))
    right = port_qdisc.options(asked)
    wrong = msgspec.structs.replace(
        right, queues=(msgspec.structs.replace(right.queues[0], limit_packets=7),)
    )
    assert differences(asked, port_qdisc.shape(wrong, asked)) != []
