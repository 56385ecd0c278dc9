"""Gates and policers of a plan's port, in the lab's qdisc and where there is none."""

from __future__ import annotations

import msgspec
import pytest

from testbed.emulation import lab_qdisc, port_qdisc, qdisc, stock_qdisc
from testbed.emulation.port_qdisc import PortGate, PortPolicer
from testbed.emulation.readback import PortShape, differences
from testbed.errors import EmulationError
from testbed.plan.model import Gate, Policer, Port, Queue
from tests.emulation.plans import linear, two_queues

MBIT = 1_000_000


def gated() -> Port:
    return msgspec.structs.replace(
        linear(2).ports[0],
        queues=two_queues(100 * MBIT, 8 * MBIT),
        gates=(Gate(interval_ns=100_000, open=(1,)), Gate(interval_ns=900_000, open=(0,))),
    )


def policed(**changes: object) -> Port:
    bucket = Policer(queue=3, name="gold", rate_bps=MBIT, burst_bytes=4000)
    return msgspec.structs.replace(linear(2).ports[0], policers=(bucket,), **changes)


def test_gates_begin_with_traffic() -> None:
    silent = lab_qdisc.options(lab_qdisc.silent(gated()))
    assert silent.gates == (
        PortGate(interval_ns=100_000, open=(1,)),
        PortGate(interval_ns=900_000, open=(0,)),
    )
    assert lab_qdisc.timed(gated())
    begun = lab_qdisc.options(lab_qdisc.begun(gated(), 123))
    assert begun == msgspec.structs.replace(silent, gate_base_ns=123)


@pytest.mark.parametrize("port", [gated(), policed(), policed(rate_bps=None, delay_ns=0)])
def test_what_is_written_is_read(port: Port) -> None:
    (request,) = qdisc.requests(port, lab_qdisc)
    asked = lab_qdisc.options(port)
    assert port_qdisc.encode(asked) in request.body
    assert port_qdisc.decode(port_qdisc.encode(asked)) == asked
    shape = qdisc.shape(port, lab_qdisc)
    assert shape.discipline == "port"
    assert differences(shape, shape) == []


def test_a_policer_names_a_queue_that_need_not_be_there() -> None:
    options = lab_qdisc.options(policed())
    assert options.policers == (PortPolicer(id=3, rate_bps=MBIT, burst_bytes=4000),)
    assert [queue.id for queue in options.queues] == [0]


@pytest.mark.parametrize(
    ("port", "field"), [(gated(), "gates"), (policed(), "policers"), (gated(), "gate_base_ns")]
)
def test_every_difference_is_named(port: Port, field: str) -> None:
    asked = qdisc.shape(port, lab_qdisc)
    other = 7 if field == "gate_base_ns" else ()
    got: PortShape = msgspec.structs.replace(asked, **{field: other})
    (row,) = differences(asked, got)
    assert row.startswith(field.removesuffix("_ns").replace("_", " "))


@pytest.mark.parametrize(
    ("port", "what"), [(gated(), "gates at its ports"), (policed(), "policers at ports of one")]
)
def test_stock_kernels_say_what_they_have_not(port: Port, what: str) -> None:
    with pytest.raises(EmulationError, match=f"no {what}") as caught:
        qdisc.shape(port, stock_qdisc)
    assert "--lab virtual" in str(caught.value)


def test_stock_policers_are_as_near_as_the_kernel_can_store() -> None:
    bucket = Policer(queue=1, name="gold", rate_bps=12_345_679, burst_bytes=4000)
    port = msgspec.structs.replace(
        linear(2).ports[0], queues=two_queues(100 * MBIT, 8 * MBIT), policers=(bucket,)
    )
    (stored,) = qdisc.shape(port, stock_qdisc).policers
    assert (stored.id, stored.rate_bps) == (1, 12_345_672)
    assert 4000 <= stored.burst_bytes <= 4001
    kinds = [request.about for request in qdisc.requests(port, stock_qdisc)]
    assert sum("police" in about for about in kinds) == 1


def test_more_priorities_than_htb_has_are_an_error_there_and_none_in_the_lab() -> None:
    queues = tuple(
        Queue(id=n, name=f"q{n}", rate_bps=0, ceil_bps=100 * MBIT, priority=n, buffer_packets=9)
        for n in range(9)
    )
    port = msgspec.structs.replace(linear(2).ports[0], queues=queues)
    assert len(qdisc.shape(port, lab_qdisc).queues) == 9
    with pytest.raises(EmulationError, match="priority 8") as caught:
        qdisc.shape(port, stock_qdisc)
    assert "64 priorities" in str(caught.value)
