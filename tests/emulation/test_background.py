"""A plan's background in the lab's port, and refused where there is none."""

from __future__ import annotations

import msgspec
import pytest

from testbed.emulation import lab_qdisc, qdisc, stock_qdisc
from testbed.emulation.readback import differences
from testbed.errors import EmulationError
from testbed.port.background import Source
from testbed.port.pipeline import Port
from tests.emulation.plans import linear
from tests.ports import changed

SOURCE = Source(
    id="b",
    slice="gold",
    queue=0,
    rate_bps=8_000_000_000,
    sizes=((64, 7), (1518, 1)),
    arrivals="periodic",
    burst=3,
    seed=2**48 - 1,
    start_ns=5,
    stop_ns=7,
)


def loaded() -> Port:
    return changed(linear(2).ports[0], sources=(SOURCE,))


def test_a_silent_port_is_the_port_without_it() -> None:
    assert loaded().silent() == linear(2).ports[0]


def test_a_begun_port_counts_by_the_labs_clock() -> None:
    (source,) = loaded().begun(1000).sources
    assert source == msgspec.structs.replace(SOURCE, start_ns=1005, stop_ns=1007)


def test_what_is_asked_is_what_the_wire_carries() -> None:
    begun = loaded().begun(1000)
    read = lab_qdisc.decode(lab_qdisc.encode(begun))
    (source,) = read.sources
    assert source == msgspec.structs.replace(begun.sources[0], id="", slice="")
    shape = lab_qdisc.shape(begun)
    assert differences(shape, shape) == []
    (row,) = differences(shape, lab_qdisc.shape(loaded().silent()))
    assert row.startswith("background")


def test_other_kernels_refuse_it_with_the_remedy() -> None:
    qdisc.check_background([loaded()], lab_qdisc)
    qdisc.check_background(linear(2).ports, stock_qdisc)
    with pytest.raises(EmulationError) as caught:
        qdisc.check_background([loaded()], stock_qdisc)
    assert "no modelled background" in str(caught.value)
    assert "--lab virtual" in caught.value.remedy
