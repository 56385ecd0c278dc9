"""Gate cycles: a window for each guaranteed slice, the rest for all others."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import PlanError
from testbed.net.walk import walk_failures
from testbed.port.events import run
from testbed.port.queues import Queue
from testbed.port.stage import Arrival
from testbed.scenario.model import DEFAULT_PACKET_BYTES, Slice
from testbed.scenario.scenario import Scenario
from testbed.slices.gates import gate_cycle
from tests.plan.networks import GOLD, MBIT, SILVER, compiled, flow, probe, scenario
from tests.ports import changed, shaped

BRONZE = Slice(id="bronze", sst=3, priority=90)
MS = 1_000_000
WIRE_BYTES = DEFAULT_PACKET_BYTES + 24
PORT = compiled(LowestDelay(), scenario()).port("s1", "s3")


def asked(cycle_ns: int = MS) -> Scenario:
    one = scenario(
        slices=(GOLD, SILVER, BRONZE),
        probes=(probe("a"), probe("b", slice="silver"), probe("c", slice="bronze")),
        flows=(flow(),),
    )
    return msgspec.structs.replace(one, scheduler="time_aware", cycle_ns=cycle_ns)


def test_a_window_is_the_share_of_the_cycle_and_a_frame() -> None:
    plan = compiled(LowestDelay(), asked())
    port = plan.port("s1", "s3")
    names = {queue.id: queue.name for queue in port.queues}
    frame_ns = (DEFAULT_PACKET_BYTES + 24) * 8 * 10  # at 100 Mbit/s
    assert [(gate.interval_ns, [names[id_] for id_ in gate.open]) for gate in port.gates] == [
        (100_000 + frame_ns, ["gold"]),
        (200_000 + frame_ns, ["silver"]),
        (700_000 - 2 * frame_ns, ["best-effort", "bronze"]),
    ]
    assert [queue.promised_bps for queue in port.queues] == [0, 0, 0, 0]
    assert walk_failures(plan) > 0


def test_a_cycle_without_room_says_which_has() -> None:
    with pytest.raises(PlanError) as caught:
        compiled(LowestDelay(), asked(cycle_ns=MS // 2))
    text = str(caught.value)
    for part in ("500 us", "s1-eth2", "gold 10 Mbit/s", "123 us", 'cycle="570 us"'):
        assert part in text
    compiled(LowestDelay(), asked(cycle_ns=570_000))


@settings(deadline=None)
@given(
    st.sampled_from([20 * MBIT, 10**9, 10**10, 10**11]),
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
    st.integers(10_000, 10**8),
)
def test_every_cycle_that_is_made_keeps_every_rate(
    rate: int, shares: list[int], cycle_ns: int
) -> None:
    """Flooded with full frames for ten cycles, each queue sends its share of them."""
    others = [rate * share // 100 for share in shares]
    rates = [rate // 20, *others]
    if sum(rates) > rate:
        return
    queues = tuple(
        Queue(id=n, promised_bps=bps, level=n, limit_packets=10**6) for n, bps in enumerate(rates)
    )
    try:
        gates = gate_cycle(changed(PORT, rate_bps=rate), rate, queues, cycle_ns)
    except PlanError:
        return
    assert sum(gate.interval_ns for gate in gates) == cycle_ns
    cycles = 3
    most = cycles * cycle_ns * rate // (8 * 10**9 * WIRE_BYTES) + 1
    if most > 200:
        return
    freed = [msgspec.structs.replace(queue, promised_bps=0) for queue in queues]
    model = shaped(rate, overhead_bytes=24, queues=freed, gates=gates)
    offered = [Arrival(0, DEFAULT_PACKET_BYTES, n) for n in range(len(rates)) for _ in range(most)]
    sent = [0] * len(rates)
    for arrival, fate in zip(offered, run(model, offered), strict=True):
        assert fate.start_ns is not None
        sent[arrival.queue] += fate.start_ns < cycles * cycle_ns
    best, *guaranteed = sent
    for bps, frames in zip(others, guaranteed, strict=True):
        assert frames * WIRE_BYTES * 8 * 10**9 >= bps * cycles * cycle_ns
    if 0 not in shares:
        assert best * WIRE_BYTES * 8 * 10**9 >= rates[0] * cycles * cycle_ns
