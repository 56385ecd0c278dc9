"""Whole runs in the virtual lab: what each scheduler and policing make of a flood."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.plan.model import Plan
from testbed.scenario.model import Scheduler
from testbed.scenario.scenario import Scenario
from tests.emulation.test_exact_run_lab import SLOW_GOLD, chain, excess_ns, run, shared_ns
from tests.plan.networks import MBIT, MS, SILVER, S, flow, probe, scenario

pytestmark = [pytest.mark.lab, pytest.mark.exact]

NETWORK = chain(100 * MBIT, *(10 * MBIT,) * 3)
LOUD = msgspec.structs.replace(SILVER, guaranteed_bps=MBIT, maximum_bps=2 * MBIT)
CYCLE_NS = 10 * MS
BURST_BYTES = 4000


def asked(scheduler: Scheduler, flood: bool = True, **changes: Any) -> Scenario:
    """Gold's probe, and silver beyond all bounds."""
    loud = flow(slice="silver", src="h3", kind="flood", rate_bps=12 * MBIT, duration_ns=3 * S)
    one = scenario(
        slices=(SLOW_GOLD, LOUD),
        probes=(probe(app="app200", duration_ns=3 * S),),
        flows=(loud,) if flood else (),
    )
    return msgspec.structs.replace(one, scheduler=scheduler, cycle_ns=CYCLE_NS, **changes)


def forward(plan: Plan, folder: Path) -> list[int]:
    return excess_ns(plan, folder)["p forward"]


def test_a_fifo_makes_all_suffer(tmp_path: Path) -> None:
    plan, folder = run(tmp_path, asked("fifo"), NETWORK, (200,))
    assert max(forward(plan, folder)) > 300 * MS  # 2 Mbit/s too much for 3 s


def test_strict_priority_waits_for_the_packet_in_service(tmp_path: Path) -> None:
    plan, folder = run(tmp_path, asked("strict_priority"), NETWORK, (200,))
    most = shared_ns(plan, plan.sessions[0].paths[0], plan.loads[0].path)
    off = forward(plan, folder)
    assert most / 10 < max(off) <= most


def test_gates_keep_a_flood_wholly_apart(tmp_path: Path) -> None:
    plan, folder = run(tmp_path, asked("time_aware"), NETWORK, (200,))
    _, alone = run(tmp_path, asked("time_aware", flood=False), NETWORK, (200,))
    off = forward(plan, folder)
    assert off == forward(plan, alone)
    hops = sum(bool(plan.port(a, b).gates) for a, b in pairwise(plan.sessions[0].paths[0].nodes))
    assert 0 < max(off) <= hops * CYCLE_NS


def test_policing_saves_even_a_fifo(tmp_path: Path) -> None:
    plan, folder = run(tmp_path, asked("fifo", policing_burst_bytes=BURST_BYTES), NETWORK, (200,))
    off = forward(plan, folder)
    # what the policer lets through of a burst may wait before a probe, and from there on the
    # packet just before it at every port
    ahead_ns = shared_ns(plan, plan.sessions[0].paths[0], plan.loads[0].path)
    assert max(off) <= BURST_BYTES * 8 * 10**9 // (10 * MBIT) + ahead_ns
