"""os-ken and Ryu install the same rules, and packets follow them, on a real Open vSwitch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.base import CONSOLE, GUEST_JOB, PROJECT
from testbed.lab.choice import choose

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PACKAGES = "ryu"


def in_lab(job: Path, *argv: str) -> None:
    with choose().lab.start(
        job, ["python3", "-m", "tests.controllers.in_lab", GUEST_JOB, *argv]
    ) as process:
        code = process.wait(timeout=120)
    assert code == 0, (job / CONSOLE).read_text()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the lab found with os-ken."""
    job = tmp_path_factory.mktemp("job")
    in_lab(job)
    result: dict[str, Any] = json.loads((job / "os-ken.json").read_text())
    return result


def test_rules_are_installed_and_traced(found: dict[str, Any]) -> None:
    status = found["status"]
    assert (status["installed"], status["switches"], status["rules"]) == (True, 3, 6)
    assert status["error"] is None
    assert found["returncode"] == 0
    assert sum(len(rows) for rows in found["flows"].values()) == 6
    up, down = found["traces"]
    assert [hop["out_port"] for hop in up["hops"]] == ["s1-eth2", "s2-eth2", "s3-eth2"]
    assert [hop["label"] for hop in up["hops"]] == [17, 17, None]
    assert {hop["queue"] for hop in up["hops"] + down["hops"]} == {2}
    assert [hop["switch"] for hop in down["hops"]] == ["s3", "s2", "s1"]


def test_full_packets_cross_labelled_links_and_are_counted(found: dict[str, Any]) -> None:
    assert found["echoed"] == 20
    assert [row["packets"] for row in found["status"]["counters"]] == [20] * 6


def test_wrong_path_is_found_by_tracing(found: dict[str, Any]) -> None:
    problem = found["wrong"]
    assert "s2 would not send up as planned: out by s2-eth1" in problem
    assert "expected: out by s2-eth2, label 17, queue 2" in problem


def test_ryu_installs_the_same(
    found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = tmp_path_factory.mktemp("ryu")
    built = subprocess.run(
        [PROJECT / "scripts" / "ryu-wheel", job / PACKAGES],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"optional: Ryu cannot be built here: {built.stderr.strip().splitlines()[-1]}")
    in_lab(job, f"{GUEST_JOB}/{PACKAGES}")
    ryu = json.loads((job / "ryu.json").read_text())
    assert ryu["status"]["framework"] == "ryu 4.34"
    assert ryu["flows"] == found["flows"]
    assert ryu["status"]["counters"] == found["status"]["counters"]
