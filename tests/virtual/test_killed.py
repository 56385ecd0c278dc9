"""Whatever dies in a run is named: what, how, when, and what that means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from testbed.analysis.loads import deviations
from testbed.errors import TestbedError
from testbed.keep import _died
from testbed.lab.base import Lab
from testbed.lab.choice import LABS
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.prepare import classes, policy
from testbed.probes.samples import Logs
from testbed.run import _verdict
from testbed.scenario.events import order
from testbed.scenario.model import Capture, Flow, Probe, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from tests.virtual.asked import SECOND, TwoPaths
from tests.virtual.killing import STEP_S, WORDS

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SECONDS = 4
WHEN = "after 1.5"
VITAL = {
    "ovs-vswitchd": "ovs-vswitchd was ended by SIGKILL",
    "ovsdb-server": "ovsdb-server was ended by SIGKILL",
    "sender": "the probe sender was ended by SIGKILL",
    "receiver": "the probe receiver was ended by SIGKILL",
    "reflector": "the probe reflector was ended by SIGKILL",
    "northbound": "the northbound service was ended by SIGKILL",
}
NOTED = {
    "controller": "The controller was ended by SIGKILL",
    "tcpdump": "The capture (tcpdump) at",
}
LOADS = {
    "flood": ("steady", "the sender of loads was ended by SIGKILL"),
    "iperf3 server": ("bulk", "its iperf3 server was ended by SIGKILL"),
    "iperf3 client": ("bulk", "its iperf3 client was ended by SIGKILL"),
}
CASES = ("nothing", "clock", "controller again", *VITAL, *NOTED, *LOADS)


class Found(NamedTuple):
    """A run that something was done to."""

    job: Path
    problem: TestbedError | None

    def record(self, name: str) -> Any:
        return json.loads((self.job / name).read_text())


def _asked(*, ordered: bool) -> tuple[Scenario, Plan]:
    def flow(id_: str, kind: Any, a: str, b: str) -> Flow:
        return Flow(
            id=id_,
            src=a,
            dst=b,
            slice="best-effort",
            kind=kind,
            rate_bps=2_000_000,
            duration_ns=SECONDS * SECOND,
        )

    late = order("late", sst=1, ends=[("h1", "h2")], dscp=20, priority=10)
    scenario = Scenario(
        experiment="two_paths",
        question="What died?",
        params={},
        seed=1,
        policy="shortest_path",
        topology=TopologyRef(name="two_paths"),
        slices=(),
        flows=(flow("steady", "flood", "h1", "h2"), flow("bulk", "tcp", "h3", "h4")),
        probes=(
            Probe(
                id="p",
                app="hft_order",
                terminal="h3",
                server="h4",
                slice="best-effort",
                interval_ns=11_000_000,
                duration_ns=SECONDS * SECOND,
            ),
        ),
        captures=(Capture(node="h4", peer="s4"),),
        events=(msgspec.structs.replace(late, at_ns=SECOND // 2),) if ordered else (),
    )
    network = describe(TwoPaths(), "two_paths")
    return scenario, compile_plan(scenario, network, policy(scenario.policy), classes())


def _found(lab: Lab, jobs: Path, cases: Sequence[str]) -> dict[str, Found]:
    """A run for each case, one after the other in one lab."""
    for case in cases:
        scenario, plan = _asked(ordered=case == "northbound")
        job = jobs / case
        job.mkdir()
        (job / "scenario.json").write_bytes(msgspec.json.encode(scenario))
        (job / "plan.json").write_bytes(msgspec.json.encode(plan))
        (job / "job.json").write_text('{"verb": "run"}')
    command = ["python3", "-m", "tests.virtual.killing", "/results"]
    code = lab.start(jobs, command).wait(timeout=850)
    assert code == 0, (jobs / "console.log").read_text()[-2000:]
    return {case: Found(jobs / case, _verdict(jobs / case, 0, lab, None)) for case in cases}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    return _found(LABS["virtual"], tmp_path_factory.mktemp("virtual"), CASES)


@pytest.mark.exact
def test_nothing_is_said_where_nothing_died(found: dict[str, Found]) -> None:
    job, problem = found["nothing"]
    assert problem is None
    assert found["nothing"].record("control.json")["died"] == []
    assert {row["error"] for row in found["nothing"].record("loads.json")} == {None}
    assert _died(job) == []


@pytest.mark.exact
@pytest.mark.parametrize("case", VITAL)
def test_what_a_run_cannot_do_without_ends_it(case: str, found: dict[str, Found]) -> None:
    job, problem = found[case]
    assert problem is not None
    assert problem.what.startswith(VITAL[case])
    assert WHEN in problem.what or "after 1.6" in problem.what
    assert "runs as long as the measurement: no" in problem.expected
    assert len(Logs(job / "samples").samples("p")) > 50  # what was measured is kept


@pytest.mark.exact
@pytest.mark.parametrize("case", NOTED)
def test_what_it_can_do_without_is_noted(case: str, found: dict[str, Found]) -> None:
    job, problem = found[case]
    assert problem is None
    (row,) = found[case].record("control.json")["died"]
    assert row["code"] == -9
    assert row["at_ns"] == pytest.approx(1.5e9, abs=0.2e9)
    (note,) = _died(job)
    assert note.startswith(NOTED[case])
    assert WHEN in note


@pytest.mark.exact
def test_controller_that_ends_again_fails_with_its_last_words(found: dict[str, Found]) -> None:
    problem = found["controller again"].problem
    assert problem is not None
    assert problem.what.startswith("the controller was ended by SIGKILL")
    assert "again" in problem.what


@pytest.mark.exact
@pytest.mark.parametrize("case", LOADS)
def test_load_names_what_killed_it(case: str, found: dict[str, Found]) -> None:
    job, problem = found[case]
    assert problem is None
    name, told = LOADS[case]
    rows = {row["id"]: row for row in found[case].record("loads.json")}
    assert rows[name]["error"].startswith(f"{told} {WHEN}")
    plan = msgspec.json.decode((job / "plan.json").read_bytes(), type=Plan)
    (deviation,) = deviations(plan, list(rows.values()))
    assert (deviation.load, deviation.way) == (name, "less")
    assert told in deviation.what
    assert _died(job) == []


@pytest.mark.exact
def test_a_clock_that_is_set_is_told_and_its_surroundings_left_out(
    found: dict[str, Found],
) -> None:
    job, problem = found["clock"]
    assert problem is not None
    assert problem.what.startswith(f"the lab's clock was set by +{STEP_S:,} s between ")
    assert "date -s" in problem.remedy
    samples = Logs(job / "samples").samples("p")
    calm = Logs(found["nothing"].job / "samples").samples("p")
    assert 0 < len(samples) < len(calm)
    assert samples["received"].all()
    assert samples["rtt_ns"].max() < 1e9
    assert abs(samples["schedule_error_ns"]).max() < 1e9


@pytest.mark.exact
def test_every_process_is_tried() -> None:
    assert set(WORDS) <= set(CASES)


def test_the_wall_lab_says_the_same(tmp_path: Path) -> None:
    cases = ("controller", "iperf3 server", "nothing", "ovs-vswitchd")
    found = _found(LABS["wall"], tmp_path, cases)
    problems = {case: one.problem and one.problem.what for case, one in found.items()}
    for case in ("controller", "iperf3 server", "nothing"):
        assert problems[case] is None
    assert (problems["ovs-vswitchd"] or "").startswith(VITAL["ovs-vswitchd"])
    (note,) = _died(found["controller"].job)
    assert note.startswith(NOTED["controller"])
    rows = {row["id"]: row for row in found["iperf3 server"].record("loads.json")}
    assert rows["bulk"]["error"].startswith(LOADS["iperf3 server"][1])
