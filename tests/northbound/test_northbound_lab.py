"""Orders in the virtual lab, at 1 kHz beside them: what they change, and what they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.analysis.phases import phases
from testbed.lab.virtual import VirtualLab
from testbed.net.deltas.install import Install
from testbed.plan.placing import FIRST_ORDER_COOKIE
from testbed.prepare import Prepared, prepare
from testbed.results.folder import CONTROL, RunFolder
from testbed.run import execute
from testbed.scenario.events import (
    Event,
    kill_controller,
    mend_fibre,
    modify,
    order,
    silence_fibre,
    slow_node,
    start_controller,
    withdraw,
)
from testbed.scenario.model import Recovery
from tests.plan.networks import MS, S, app, compiled, probe, scenario, triangle

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

LAB = VirtualLab()
FRAME_NS = 8 * (1518 + 24) * 10
"""At 100 Mbit/s."""


def _run(root: Path, prepared: Prepared) -> RunFolder:
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    path = execute(
        prepared, LAB, root=root, notes=(), command=(), show=lambda *_: None, timeout_s=300
    )
    return RunFolder(path)


def _on_triangle(happens: dict[int, Event], seconds: int) -> Prepared:
    """Gold from h1 to h2 by s3, beside a probe of best effort with DSCP 10; events by ms."""
    network = triangle()
    asked = scenario(
        policy="lowest_delay",
        probes=(
            probe(app="app", duration_ns=seconds * S),
            probe("plain", app="plain", slice="best-effort", duration_ns=seconds * S),
        ),
        events=tuple(
            msgspec.structs.replace(event, at_ns=at * MS) for at, event in happens.items()
        ),
        recovery=Recovery(control_delay_ns=2 * MS),
        warmup_ns=0,
    )
    apps = {"app": app(interval_ns=MS), "plain": app("plain", interval_ns=MS, dscp=10)}
    plan = compiled(LowestDelay(), asked, network, **apps)
    return Prepared(scenario=asked, plan=plan)


def _terms(**given: Any) -> dict[str, Any]:
    return {"sst": 1, "ends": [("h1", "h2")], "dscp": 10, "priority": 10} | given


def _statuses(run: RunFolder) -> list[int]:
    return [one.told["answer"]["status"] for one in run.timeline if "answer" in one.told]


def _gold_is_untouched(run: RunFolder) -> None:
    gold = [phase for phase in phases(run.plan, run.samples) if phase.session == "p"]
    assert sum(phase.lost for phase in gold) == 0
    planned_ns = run.plan.sessions[0].legs[0].budget.total_ns
    for phase in gold:
        if phase.max_ns is not None:
            # the other probe's packet may be in service at each of two switches
            assert phase.max_ns <= planned_ns + 2 * FRAME_NS


def test_a_slice_comes_changes_and_leaves(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        _on_triangle(
            {
                500: order("late", **_terms(guaranteed="10 Mbit/s", delay="5 ms")),
                1000: modify("late", **_terms(guaranteed="80 Mbit/s", delay="5 ms")),
                1500: modify("late", **_terms(guaranteed="99 Mbit/s")),
                3700: withdraw("late"),  # what left two seconds ago is on disk
                5000: withdraw("late"),
            },
            6,
        ),
    )
    assert _statuses(run) == [201, 204, 409, 204, 404]
    _gold_is_untouched(run)
    plain = [phase for phase in phases(run.plan, run.samples) if phase.session == "plain"]
    assert sum(phase.lost for phase in plain) == 0, "make before break"
    told = {one.event: one.told for one in run.timeline}
    (was,) = told[3]["before"]["ietf-network-slice-service:slice-service"]
    state = was["testbed-slice:state"]
    assert [way["slo"] for way in state["conformance"]] == ["met", "met"]
    assert state["conformance"][0]["messages"] > 400
    cookies = {row["cookie"] for row in run.record(CONTROL)["counters"]}
    assert max(cookies) < FIRST_ORDER_COOKIE


def test_an_order_keeps_its_queue_when_a_node_is_slow(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        _on_triangle(
            {
                500: order("late", **_terms(guaranteed="10 Mbit/s")),
                1000: slow_node("s1", by="1 ms"),
                1500: silence_fibre("s1", "s2"),
                2000: mend_fibre("s1", "s2"),
            },
            3,
        ),
    )
    assert _statuses(run) == [201]
    wide = {row["name"]: len(row["queues"]) for row in run.record(CONTROL)["ports"]}
    (made,) = [one.delta for one in run.timeline if isinstance(one.delta, Install)]
    given = {port.name: port for step in made.steps for port in step.ports}
    assert {port.node for port in given.values()} > {"s1"}
    assert {name: wide[name] for name in given} == {
        name: len(port.queues) for name, port in given.items()
    }
    late = run.samples[run.samples.session == "plain"]
    after = late[(late.intended_ns > 1.1 * S) & (late.intended_ns < 1.4 * S)]
    assert after.forward_ns.min() > late.forward_ns.min() + 0.9 * MS, "it is slow all the same"


def test_a_controller_that_ends_in_mid_change_leaves_nothing_half_installed(
    tmp_path: Path,
) -> None:
    run = _run(
        tmp_path,
        _on_triangle(
            {
                500: order("first", **_terms(guaranteed="5 Mbit/s")),
                1000: order("late", **_terms(guaranteed="5 Mbit/s", dscp=12)),
                # its first rules are on their way back from the switches
                1004: kill_controller(),
                1500: start_controller(),
                5000: order("late", **_terms(guaranteed="5 Mbit/s", dscp=12)),
                6000: withdraw("late"),
            },
            8,
        ),
    )
    assert _statuses(run) == [201, 500, 201, 204]
    _gold_is_untouched(run)
    plain = [phase for phase in phases(run.plan, run.samples) if phase.session == "plain"]
    assert sum(phase.lost for phase in plain) == 0
    # switches have the rules of the first order, and none of the others
    cookies = {row["cookie"] for row in run.record(CONTROL)["counters"]}
    assert {c - FIRST_ORDER_COOKIE for c in cookies if c >= FIRST_ORDER_COOKIE} == {1, 2}


def test_the_shipped_experiment(tmp_path: Path) -> None:
    run = _run(tmp_path, prepare("slice_lifecycle", {"duration": "13 s"}))
    assert _statuses(run) == [201, 409, 409, 204, 409, 204, 404]
    found = [p for p in phases(run.plan, run.samples) if p.session == "telesurgery_haptic"]
    for direction in ("UL", "DL"):
        mine = [phase for phase in found if phase.direction == direction]
        assert sum(phase.lost for phase in mine) == 0
        hops = len(run.plan.sessions[0].paths[0].nodes) - 2
        first = mine[0].max_ns or 0
        assert all((phase.max_ns or 0) <= first + hops * FRAME_NS for phase in mine)
