"""What becomes of a plan's port in the lab's own qdisc, and in stock ones."""

from __future__ import annotations

import struct

import msgspec
import pytest

from testbed.emulation import lab_qdisc, stock_qdisc, tc
from testbed.emulation import netlink as nl
from testbed.errors import EmulationError
from testbed.port.pipeline import Port, stages
from testbed.port.queues import Queue
from testbed.port.transmitter import Transmitter
from tests.emulation.plans import linear, two_queues
from tests.ports import changed

MBIT = 1_000_000


def port(**changes: object) -> Port:
    return changed(linear(2).ports[0], **changes)


def test_a_fifo_is_a_port_with_one_queue() -> None:
    one = port(delay_ns=1_000_001, buffer_packets=7, loss=0.25, seed=3)
    assert lab_qdisc.shape(one).stages == stages(
        100 * MBIT, delay_ns=1_000_001, loss=0.25, seed=3, queues=(Queue(limit_packets=7),)
    )


def test_a_delay_without_a_rate_is_an_infinitely_fast_port() -> None:
    wire = lab_qdisc.encode(port(rate_bps=None))
    assert nl.attrs(wire)[Transmitter.ATTRIBUTE][:8] == bytes(8)
    assert lab_qdisc.decode(wire).rate_bps is None


def test_htb_classes_are_those_that_set_queue_names() -> None:
    """Open vSwitch gives packets of set_queue:N the priority 1:(N+1)."""
    classes = [
        tc.TCMSG.unpack_from(request.body)[3]
        for request in stock_qdisc.requests(port(queues=two_queues(100 * MBIT, 8 * MBIT)))
        if request.kind == nl.RTM_NEWTCLASS
    ]
    assert classes == [0x1FFFE, 0x10001, 0x10002]


@pytest.mark.parametrize(
    ("rate_bps", "delay_ns", "packets"),
    [
        (1514 * 8 * 1000, 1_000_000, 1),
        (1514 * 8 * 1000, 1_000_001, 2),
        (1000 * MBIT, 10_000_000, 826),
        (None, 2_000_000, 2000),
        (100 * MBIT, 0, 0),
    ],
)
def test_netem_holds_what_waits_is_sent_and_is_on_the_fibre(
    rate_bps: int | None, delay_ns: int, packets: int
) -> None:
    assert stock_qdisc.in_flight(rate_bps, delay_ns) == packets
    one = port(rate_bps=rate_bps, delay_ns=delay_ns, buffer_packets=1000)
    assert stock_qdisc.shape(one).limit_packets == 1000 + 1 + packets


def test_stock_disciplines_count_what_the_wire_adds() -> None:
    """Where tc says `overhead`: netem's packet_overhead, and both ratespecs of an HTB class."""
    (netem,) = stock_qdisc.requests(port(overhead_bytes=24))
    options = nl.attrs(netem.body[tc.TCMSG.size :])[tc.OPTIONS]
    assert nl.attrs(options[24:])[6] == struct.pack("=IiIi", 100 * MBIT // 8, 24, 0, 0)
    queues = two_queues(100 * MBIT, 8 * MBIT)
    for request in stock_qdisc.requests(port(overhead_bytes=24, queues=queues)):
        if request.kind == nl.RTM_NEWTCLASS:
            options = nl.attrs(request.body[tc.TCMSG.size :])[tc.OPTIONS]
            parms = nl.attrs(options)[1]
            assert (
                struct.unpack_from("=H", parms, 2) == struct.unpack_from("=H", parms, 14) == (24,)
            )
    unshaped = stock_qdisc.shape(port(overhead_bytes=24, rate_bps=None))
    assert unshaped.overhead_bytes == 0


def test_an_htb_class_without_a_promise_has_a_rate_all_the_same() -> None:
    best, protected = two_queues(100 * MBIT, 0)
    none = stock_qdisc.shape(port(queues=(best, protected))).queues[1]
    assert 0 < none.rate_bps <= 8_000


def test_htb_has_eight_priorities() -> None:
    best, protected = two_queues(100 * MBIT, 8 * MBIT)
    deep = msgspec.structs.replace(protected, level=8)
    assert lab_qdisc.decode(lab_qdisc.encode(port(queues=(best, deep)))).queues[1].level == 8
    with pytest.raises(EmulationError, match="priority 8"):
        stock_qdisc.shape(port(queues=(best, deep)))
