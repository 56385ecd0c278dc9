"""The lab stands still while the host answers, and no virtual time passes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.door import served
from testbed.errors import LabError
from testbed.lab.base import CONSOLE, DOOR, GUEST_JOB, PROJECT, Lab
from testbed.lab.choice import LABS
from testbed.lab.native import NativeLab
from tests.virtual.asking import LONG

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SLOW_S = 5.0
ASK = ("python3", "-m", "tests.virtual.asking", GUEST_JOB)


def answer(question: Any) -> Any:
    match question["word"]:
        case "slow":
            time.sleep(SLOW_S)
        case "wrong":
            raise LabError("no way", where="there", remedy="another one")
        case "broken":
            return dict(question)["key"]
        case "long":
            assert question["text"] == LONG
    return {"text": question["text"] or question["word"]}


def found(lab: Lab, job: Path, *words: str) -> dict[str, Any]:
    """What came of asking in a lab whose door is served."""
    with served(job, answer), lab.start(job, [*ASK, *words]) as process:
        try:
            code = process.wait(timeout=100)
        finally:
            process.kill()
    assert code == 0, (job / CONSOLE).read_text()
    assert not (job / DOOR).exists()
    result: dict[str, Any] = json.loads((job / "found.json").read_text())
    return result


@pytest.mark.exact
def test_the_hosts_time_is_none_of_the_labs(tmp_path: Path) -> None:
    begin = time.monotonic()
    got = found(LABS["virtual"], tmp_path, "slow", "often=1000", "oftener=5000", "long")
    assert time.monotonic() - begin > SLOW_S
    assert got["slow"] == {"ns": 0, "said": {"text": "slow"}, "whole": None}
    assert got["often=1000"]["ns"] == 0
    assert got["oftener=5000"]["ns"] == 0  # 15,000 calls, of which each 10,000th is charged else
    assert got["long"] == {"ns": 0, "said": None, "whole": True}


@pytest.mark.exact
def test_errors_of_the_host_reach_the_lab(tmp_path: Path) -> None:
    got = found(LABS["virtual"], tmp_path, "wrong", "broken", "on")
    told = got["wrong"]["error"]
    assert (told["what"], told["where"], told["remedy"]) == ("no way", "there", "another one")
    assert got["broken"]["error"]["what"] == "the host failed to answer: KeyError: 'key'"
    assert got["on"]["said"] == {"text": "on"}


@pytest.mark.exact
def test_a_door_that_nobody_serves_is_told(tmp_path: Path) -> None:
    with LABS["virtual"].start(tmp_path, [*ASK, "on"]) as process:
        assert process.wait(timeout=100) == 0
    told = json.loads((tmp_path / "found.json").read_text())["opening"]
    assert told["what"] == "the door to the host does not open: No such file or directory"


@pytest.mark.exact
def test_a_host_that_closes_in_the_middle_is_told(tmp_path: Path) -> None:
    began = threading.Event()

    def never(question: Any) -> Any:
        began.set()
        time.sleep(60)

    lab = LABS["virtual"]
    with served(tmp_path, never):
        process = lab.start(tmp_path, [*ASK, "first", "second"])
        try:
            assert began.wait(60)
        except BaseException:
            process.kill()
            raise
    with process:
        try:
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    got = json.loads((tmp_path / "found.json").read_text())
    closed = "the host closed the door before it answered"
    assert got["first"]["error"]["what"] == closed
    assert got["first"]["ns"] == 0
    assert got["second"]["error"]["what"].startswith(closed)


HOST = f"""
import sys, time
from pathlib import Path
from testbed.door import served
from testbed.lab.choice import LABS
job = Path(sys.argv[1])

def answer(question):
    print("asked", flush=True)
    time.sleep(60)

with served(job, answer), LABS["virtual"].start(job, {[*ASK, "on"]!r}) as process:
    process.wait()
"""


@pytest.mark.exact
def test_a_host_that_is_killed_in_the_middle_leaves_nothing_running(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT
    ) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"asked\n"
        os.kill(host.pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while users := _users(tmp_path):
        assert time.monotonic() < end, users
        time.sleep(0.1)


def _users(job: Path) -> list[str]:
    """Processes that have a folder's file open, as all of its lab's have."""
    users = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()).startswith(f"{job}/"):
                users.append(str(link))
        except OSError:
            continue
    return users


def test_the_native_lab_asks_through_the_socket_and_time_passes(tmp_path: Path) -> None:
    got = found(NativeLab({}), tmp_path, "slow", "often=1000", "long", "wrong")
    assert got["slow"]["ns"] >= SLOW_S * 1e9
    assert got["often=1000"]["said"] == {"text": "often"}
    assert got["long"]["whole"]
    assert got["wrong"]["error"]["what"] == "no way"


def test_the_wall_lab_has_no_door(tmp_path: Path) -> None:
    got = found(LABS["wall"], tmp_path, "on")
    assert got["opening"]["what"].startswith("the door to the host does not open")
    assert "virtual" in got["opening"]["remedy"]
