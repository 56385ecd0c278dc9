"""Gates and policers of a plan's port, in the lab's qdisc and where there is none."""

from __future__ import annotations

import msgspec
import pytest

from testbed.emulation import lab_qdisc, qdisc, stock_qdisc
from testbed.emulation.readback import differences
from testbed.errors import EmulationError
from testbed.port.gates import Gate, Gates
from testbed.port.pipeline import Port
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from tests.emulation.plans import linear, two_queues
from tests.ports import changed

MBIT = 1_000_000


def gated() -> Port:
    return changed(
        linear(2).ports[0],
        queues=two_queues(100 * MBIT, 8 * MBIT),
        gates=(Gate(interval_ns=100_000, open=(1,)), Gate(interval_ns=900_000, open=(0,))),
    )


def policed(**changes: object) -> Port:
    bucket = Policer(queue=3, name="gold", rate_bps=MBIT, burst_bytes=4000)
    return changed(linear(2).ports[0], policers=(bucket,), **changes)


def test_gates_begin_with_traffic() -> None:
    silent, begun = gated().silent(), gated().begun(123)
    assert silent.gates == begun.gates == gated().gates
    assert gated().timed
    (made, started) = (one.get(Gates) for one in (silent, begun))
    assert made is not None
    assert started is not None
    assert (made.base_ns, started.base_ns) == (0, 123)


@pytest.mark.parametrize("port", [gated(), policed(), policed(rate_bps=None, delay_ns=0)])
def test_what_is_written_is_read(port: Port) -> None:
    (request,) = qdisc.requests(port, lab_qdisc)
    wire = lab_qdisc.encode(port)
    assert wire in request.body
    assert lab_qdisc.decode(wire) == port.stored()
    shape = qdisc.shape(port, lab_qdisc)
    assert shape.discipline == "port"
    assert differences(shape, shape) == []


def test_a_policer_names_a_queue_that_need_not_be_there() -> None:
    read = lab_qdisc.decode(lab_qdisc.encode(policed()))
    assert read.policers == (Policer(queue=3, rate_bps=MBIT, burst_bytes=4000),)
    assert [queue.id for queue in read.queues] == [0]


@pytest.mark.parametrize(
    ("port", "other", "said"),
    [
        (gated(), changed(gated(), gates=()), "gates, got none"),
        (gated(), gated().begun(7), "gates base 0 ns, got 7 ns"),
        (policed(), changed(policed(), policers=()), "policers, got none"),
        (changed(policed(), policers=()), policed(), "no policers, got one"),
    ],
)
def test_every_difference_is_named(port: Port, other: Port, said: str) -> None:
    asked, got = (qdisc.shape(one, lab_qdisc) for one in (port, other))
    assert differences(asked, got) == [said]


def test_a_gate_and_a_policer_that_differ_are_named() -> None:
    gate, *others = gated().gates
    wider = msgspec.structs.replace(gate, interval_ns=7)
    got = qdisc.shape(changed(gated(), gates=(wider, *others)), lab_qdisc)
    said = "gates gate 0 interval 100000 ns, got 7 ns"
    assert differences(qdisc.shape(gated(), lab_qdisc), got) == [said]
    (policer,) = policed().policers
    looser = msgspec.structs.replace(policer, burst_bytes=7)
    got = qdisc.shape(changed(policed(), policers=(looser,)), lab_qdisc)
    said = "policers policer 3 burst 4000 B, got 7 B"
    assert differences(qdisc.shape(policed(), lab_qdisc), got) == [said]


@pytest.mark.parametrize(
    ("port", "what"), [(gated(), "gates"), (policed(), "policers at ports of one")]
)
def test_stock_kernels_say_what_they_have_not(port: Port, what: str) -> None:
    with pytest.raises(EmulationError, match=f"no {what}") as caught:
        qdisc.shape(port, stock_qdisc)
    assert "--lab virtual" in str(caught.value)


def test_stock_policers_are_as_near_as_the_kernel_can_store() -> None:
    bucket = Policer(queue=1, name="gold", rate_bps=12_345_679, burst_bytes=4000)
    port = changed(linear(2).ports[0], queues=two_queues(100 * MBIT, 8 * MBIT), policers=(bucket,))
    (stored,) = qdisc.shape(port, stock_qdisc).policers
    assert (stored.queue, stored.rate_bps) == (1, 12_345_672)
    assert 4000 <= stored.burst_bytes <= 4001
    kinds = [request.about for request in qdisc.requests(port, stock_qdisc)]
    assert sum("police" in about for about in kinds) == 1


def test_more_priorities_than_htb_has_are_an_error_there_and_none_in_the_lab() -> None:
    queues = tuple(Queue(id=n, level=n, limit_packets=9) for n in range(9))
    port = changed(linear(2).ports[0], queues=queues)
    assert len(lab_qdisc.decode(lab_qdisc.encode(port)).queues) == 9
    with pytest.raises(EmulationError, match="priority 8") as caught:
        qdisc.shape(port, stock_qdisc)
    assert "64 priorities" in str(caught.value)
