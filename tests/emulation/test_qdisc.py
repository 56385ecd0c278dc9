"""Queues: what is asked, how it is written for the kernel and read again."""

from __future__ import annotations

import errno
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation import lab_qdisc, qdisc, stock_qdisc, tc
from testbed.emulation import netlink as nl
from testbed.emulation.netlink import Refused, Request
from testbed.emulation.qdisc import Arrangement
from testbed.emulation.readback import PortShape, Readback, differences
from testbed.errors import EmulationError
from testbed.port.pipeline import Port
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from tests.emulation.plans import linear, two_queues
from tests.ports import changed

RATES = st.integers(8, 200_000_000_000).map(lambda bps: bps // 8 * 8)
BOTH = pytest.mark.parametrize("arrangement", [lab_qdisc, stock_qdisc])


def port(**changes: object) -> Port:
    return changed(linear(2).ports[0], **changes)


@st.composite
def queued(draw: st.DrawFn) -> Port:
    rate = draw(RATES.filter(lambda bps: bps >= 8_000))
    queues = []
    for id_ in range(draw(st.integers(1, 6))):
        peak = draw(st.integers(12, rate // 8)) * 8
        promised = st.one_of(st.just(0), st.integers(12, peak // 8).map(lambda byte: byte * 8))
        queues.append(
            Queue(
                id=id_,
                name=f"q{id_}",
                promised_bps=draw(promised),
                peak_bps=peak % rate,
                level=draw(st.integers(0, 7)),
                limit_packets=draw(st.integers(1, 100_000)),
            )
        )
    return port(
        rate_bps=rate,
        overhead_bytes=draw(st.sampled_from([0, 24])),
        delay_ns=draw(st.integers(0, 10**10)),
        loss=draw(st.floats(0, 1)),
        seed=draw(st.integers(0, 2**48)),
        queues=tuple(queues),
        policers=tuple(
            Policer(
                queue=queue.id,
                name=queue.name,
                rate_bps=draw(st.integers(8_000, 10**11)),
                burst_bytes=draw(st.integers(1518, 10**6)),
            )
            for queue in queues
            if draw(st.booleans())
        ),
    )


def kernel_would_have(of: Port, arrangement: Arrangement) -> PortShape:
    """The kernel dumps options as they were given, so that what was written can be read."""
    seen = tc.Seen()
    for request in qdisc.requests(of, arrangement):
        _, _, index, handle, parent, _ = tc.TCMSG.unpack_from(request.body)
        assert index == of.ifindex
        found = nl.attrs(request.body[tc.TCMSG.size :])
        if request.kind == nl.RTM_NEWTFILTER:
            seen.filters[parent] = found[2]
        elif request.kind == nl.RTM_NEWTCLASS:
            seen.classes[handle & 0xFFFF] = found[2]
        else:
            seen.kinds[parent] = found[1].rstrip(b"\0").decode()
            seen.options[parent] = found[2]
    return qdisc.decode(of.name, seen)


@BOTH
@given(
    rate=st.one_of(st.none(), RATES),
    delay=st.integers(1, 10**12),
    buffer=st.integers(1, 2**20),
)
def test_one_queue_is_read_as_written(
    arrangement: Arrangement, rate: int | None, delay: int, buffer: int
) -> None:
    one = port(rate_bps=rate, delay_ns=delay, buffer_packets=buffer)
    if stock_qdisc.in_flight(rate, delay) > 2**31:
        return
    assert kernel_would_have(one, arrangement) == qdisc.shape(one, arrangement)


@BOTH
@given(of=queued())
def test_queues_are_read_as_written(arrangement: Arrangement, of: Port) -> None:
    got = kernel_would_have(of, arrangement)
    qdisc.verify(of, qdisc.shape(of, arrangement), got)
    assert got.discipline == ("port" if arrangement is lab_qdisc else "htb")


@BOTH
def test_unshaped_port_has_no_queue(arrangement: Arrangement) -> None:
    one = port(rate_bps=None, delay_ns=0)
    assert list(qdisc.requests(one, arrangement)) == []
    assert kernel_would_have(one, arrangement) == qdisc.shape(one, arrangement) == PortShape()


@BOTH
def test_loss_alone_needs_a_queue(arrangement: Arrangement) -> None:
    one = port(rate_bps=None, delay_ns=0, loss=0.5)
    assert len(list(qdisc.requests(one, arrangement))) == 1


class _Kernel:
    """Answers every request alike, and remembers what it was asked."""

    def __init__(self, code: int) -> None:
        self.code, self.asked = code, list[Request]()

    def refusals(self, requests: Iterable[Request]) -> list[Refused]:
        self.asked = list(requests)
        return [Refused(request.about, self.code, "") for request in self.asked]


@pytest.mark.parametrize(
    ("code", "arrangement"),
    [
        (errno.EINVAL, lab_qdisc),
        (errno.ENOENT, stock_qdisc),
        (errno.EOPNOTSUPP, stock_qdisc),
    ],
)
def test_the_kernel_decides(code: int, arrangement: Arrangement) -> None:
    kernel = _Kernel(code)
    assert qdisc.offered(kernel) is arrangement  # type: ignore[arg-type]
    (asked,) = kernel.asked
    assert nl.attrs(asked.body[tc.TCMSG.size :])[tc.KIND] == lab_qdisc.KIND.encode() + b"\0"


def test_a_kernel_that_does_not_say_is_an_error() -> None:
    with pytest.raises(EmulationError, match="does not say"):
        qdisc.offered(_Kernel(errno.EPERM))  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate_bps": 7}, "rate 7 bit/s cannot be shaped"),
        ({"delay_ns": -1}, "delay -1 ns"),
        ({"loss": 1.5}, "no probability"),
        ({"buffer_packets": 0}, "buffer of 0 packets"),
        ({"queues": two_queues(10**8, 10**7), "rate_bps": None}, "without a rate"),
        ({"queues": two_queues(10**8, 10**7)[1:]}, "no queue 0"),
        ({"queues": two_queues(2 * 10**8, 10**7)}, "promised rate of 190000000"),
    ],
)
def test_what_no_qdisc_can_do_is_refused(
    arrangement: Arrangement, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(EmulationError, match=said):
        list(qdisc.requests(port(**changes), arrangement))


def test_a_discipline_of_others_is_an_error() -> None:
    with pytest.raises(EmulationError, match="'tbf'"):
        qdisc.decode("s1-eth1", tc.Seen(kinds={tc.ROOT: "tbf"}))


@pytest.mark.parametrize("field", ["delay_ns", "rate_bps", "limit_packets", "loss"])
def test_every_difference_of_a_stock_port_is_named(field: str) -> None:
    asked = qdisc.shape(port(), stock_qdisc)
    got = msgspec.structs.replace(asked, **{field: 1})
    (row,) = differences(asked, got)
    assert field.split("_", maxsplit=1)[0] in row


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"delay_ns": 7}, "channel propagation 7 ns, got 1000000 ns"),
        ({"rate_bps": 800}, "transmitter rate 800 bit/s, got 100000000 bit/s"),
        ({"loss": 0.5}, "channel loss 0.5, got 0.0"),
        ({"seed": 3}, "channel seed 3, got 0"),
        ({"default": 3}, "queues default 3, got 0"),
        ({"buffer_packets": 3}, "queues queue 0 limit 3 packets, got 1000 packets"),
        ({"overhead_bytes": 24}, "transmitter overhead 24 B, got 0 B"),
    ],
)
def test_every_difference_of_the_labs_port_is_named(change: dict[str, object], said: str) -> None:
    asked = qdisc.shape(port(**change), lab_qdisc)
    assert differences(asked, qdisc.shape(port(), lab_qdisc)) == [said]


def test_every_difference_of_a_class_is_named() -> None:
    asked = qdisc.shape(port(queues=two_queues(100_000_000, 8_000_000)), stock_qdisc)
    for field in (
        *("rate_bps", "ceil_bps", "priority", "burst_bytes", "delay_ns", "limit_packets"),
        "quantum_bytes",
    ):
        changed = 5_000_000 if field == "delay_ns" else 5
        queue = msgspec.structs.replace(asked.queues[1], **{field: changed})
        got = msgspec.structs.replace(asked, queues=(asked.queues[0], queue))
        (row,) = differences(asked, got)
        assert row.startswith(f"queue 1 {field.split('_', maxsplit=1)[0]}")
    missing = msgspec.structs.replace(asked, queues=asked.queues[:1])
    assert differences(asked, missing) == ["queue 1, got none"]
    assert differences(missing, asked) == ["no queue 1, got one"]


def test_another_discipline_is_a_difference() -> None:
    asked, got = (qdisc.shape(port(), one) for one in (lab_qdisc, stock_qdisc))
    assert differences(asked, got) == ["discipline port, got netem"]


def test_only_stock_disciplines_have_ticks() -> None:
    asked = qdisc.shape(port(delay_ns=1_000_000), stock_qdisc)
    assert not differences(asked, msgspec.structs.replace(asked, delay_ns=1_000_064))
    assert differences(asked, msgspec.structs.replace(asked, delay_ns=1_000_065))
    exact = qdisc.shape(port(delay_ns=1_000_000), lab_qdisc)
    assert differences(exact, qdisc.shape(port(delay_ns=1_000_001), lab_qdisc))
    assert differences(exact, qdisc.shape(port(rate_bps=100_000_001), lab_qdisc))


@BOTH
def test_readback_is_json_in_and_out(arrangement: Arrangement) -> None:
    shape = qdisc.shape(port(queues=two_queues(100_000_000, 8_000_000)), arrangement)
    row = {"node": "s1", "name": "s1-eth1", "asked": shape, "got": shape}
    back = msgspec.convert({"kernel": "6.1", "ports": [row]}, Readback)
    assert msgspec.json.decode(msgspec.json.encode(back), type=Readback) == back
