"""Which ports have queues, their rates, and promises that do not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import PlanError
from testbed.net.walk import walk_failures
from testbed.port.queues import Queue
from testbed.scenario.model import Slice
from testbed.slices.policy import Policy
from tests.plan.networks import GOLD, MBIT, SILVER, compiled, flow, probe, scenario, triangle

BOTH = scenario(probes=(probe("a"), probe("b", slice="silver")), flows=(flow(),))


def test_a_port_has_the_queues_of_the_slices_that_pass() -> None:
    plan = compiled(LowestDelay(), BOTH)
    port = plan.port("s1", "s3")
    assert [(q.id, q.name, q.promised_bps, q.peak_bps, q.level) for q in port.queues] == [
        (0, "best-effort", 5 * MBIT, 0, 2),
        (1, "gold", 10 * MBIT, 0, 0),
        (2, "silver", 20 * MBIT, 0, 1),
    ]
    assert {q.limit_packets for q in port.queues} == {port.buffer_packets}
    assert plan.port("s1", "s2").queues == ()  # no path
    assert plan.port("s2", "h2").queues == ()  # not shaped


def test_hosts_have_no_queues() -> None:
    links = [
        msgspec.structs.replace(
            link,
            ab=msgspec.structs.replace(link.ab, rate_bps=50 * MBIT),
            ba=msgspec.structs.replace(link.ba, rate_bps=50 * MBIT),
        )
        for link in triangle().links
    ]
    plan = compiled(LowestDelay(), BOTH, msgspec.structs.replace(triangle(), links=tuple(links)))
    assert plan.port("h1", "s1").queues == ()
    assert len(plan.port("s2", "h2").queues) == 3
    assert walk_failures(plan) > 0


def test_a_shared_fifo_has_none() -> None:
    plan = compiled(ShortestPath(), BOTH)
    assert all(port.queues == () for port in plan.ports)
    assert not any("set_queue" in action for rule in plan.rules for action in rule.actions)


def test_best_effort_takes_queue_0_where_there_are_queues() -> None:
    plan = compiled(LowestDelay(), BOTH)
    (load,) = plan.loads
    assert load.path.queue == 0
    assert load.path.nodes == ("h1", "s1", "s3", "s2", "h2")
    (rule, *_) = [r for r in plan.rules if r.cookie == load.path.cookie and r.switch == "s1"]
    assert rule.actions[-2:] == ({"set_queue": 0}, {"output": plan.port("s1", "s3").number})


def test_slices_may_share_a_queue() -> None:
    class BySst(LowestDelay):
        """A queue for all."""

        def queue_of(self, slice_: Slice) -> str:
            return "premium"

    plan = compiled(BySst(), BOTH)
    (_, premium) = plan.port("s1", "s3").queues
    assert (premium.name, premium.promised_bps, premium.level) == ("premium", 30 * MBIT, 0)
    assert {s.paths[0].queue for s in plan.sessions} == {1}
    assert walk_failures(plan) > 0


def _queue(policy: Policy, **given: Any) -> Queue:
    slice_ = msgspec.structs.replace(GOLD, **given)
    return compiled(policy, scenario(slices=(slice_,))).port("s1", "s3").queues[1]


def test_maximum_is_the_peak() -> None:
    assert _queue(LowestDelay(), maximum_bps=30 * MBIT).peak_bps == 30 * MBIT
    assert _queue(LowestDelay(), maximum_bps=900 * MBIT).peak_bps == 0


def test_a_slice_without_a_promise_has_a_queue_all_the_same() -> None:
    queue = _queue(LowestDelay(), guaranteed_bps=0)
    assert queue.promised_bps == 0
    assert queue.peak_bps == 0


def test_priorities_are_ranks_and_best_effort_is_last() -> None:
    slices = tuple(Slice(id=f"s{n}", sst=1, priority=10 * (n // 2 + 1)) for n in range(20))
    probes = tuple(probe(f"p{n}", slice=f"s{n}") for n in range(20))
    plan = compiled(LowestDelay(), scenario(slices=slices, probes=probes))
    best, *others = plan.port("s1", "s3").queues
    assert best.level == 10
    by_name = {queue.name: queue.level for queue in others}
    assert [by_name[f"s{n}"] for n in range(20)] == [n // 2 for n in range(20)]


def test_more_queues_than_a_port_has_are_refused() -> None:
    slices = tuple(Slice(id=f"s{n}", sst=1) for n in range(64))
    probes = tuple(probe(f"p{n}", slice=f"s{n}") for n in range(64))
    with pytest.raises(PlanError, match="65 queues at port s1-eth2") as caught:
        compiled(LowestDelay(), scenario(slices=slices, probes=probes))
    assert "at most 64" in str(caught.value)
    assert "queue_of" in str(caught.value)


def test_fifo_has_no_queues_whatever_the_policy() -> None:
    plan = compiled(LowestDelay(), msgspec.structs.replace(BOTH, scheduler="fifo"))
    assert not any(port.selects for port in plan.ports)
    assert walk_failures(plan) > 0


def test_strict_priority_promises_nothing_and_holds_nobody_back() -> None:
    capped = msgspec.structs.replace(GOLD, maximum_bps=30 * MBIT)
    asked = msgspec.structs.replace(BOTH, slices=(capped, SILVER), scheduler="strict_priority")
    port = compiled(LowestDelay(), asked).port("s1", "s3")
    assert [(q.name, q.promised_bps, q.peak_bps, q.level) for q in port.queues] == [
        ("best-effort", 0, 0, 2),
        ("gold", 0, 0, 0),
        ("silver", 0, 0, 1),
    ]


@pytest.mark.parametrize(("rate", "fits"), [(75, True), (76, False)])
def test_promises_leave_five_percent(rate: int, fits: bool) -> None:
    greedy = msgspec.structs.replace(GOLD, guaranteed_bps=rate * MBIT)
    asked = msgspec.structs.replace(BOTH, slices=(greedy, SILVER))
    if fits:
        assert compiled(LowestDelay(), asked).port("s1", "s3").queues[1].promised_bps == rate * MBIT
        return
    with pytest.raises(PlanError) as caught:
        compiled(LowestDelay(), asked)
    text = str(caught.value)
    for part in ("s1-eth2", "gold 76 Mbit/s", "silver 20 Mbit/s", "at most 95 Mbit/s", "1 Mbit/s"):
        assert part in text
