"""A lab that no longer moves is ended by the host; what was measured is kept."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import EmulationError, LabError
from testbed.results.folder import RunFolder, list_runs
from testbed.run import Limits
from tests.virtual.asked import asked, run

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

STOP_AT_S, LIMIT_S, ASKED_S = 10, 40, 100_000
SHORT_S = 15


def lab_processes() -> set[int]:
    """The processes of this one's lab: its sandbox and all below."""
    below: dict[int, set[int]] = {}
    names: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text(errors="replace").partition("(")[2].rpartition(")")
        except OSError:
            continue
        pid = int(stat.parent.name)
        names[pid] = name
        below.setdefault(int(rest.split()[1]), set()).add(pid)
    found: set[int] = set()
    waiting = {pid for pid in below.get(os.getpid(), set()) if names[pid] == "unshare"}
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting |= below.get(pid, set())
    return found


def stop_lab() -> set[int]:
    """Stop all of it; which processes that were."""
    found = lab_processes()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):  # it just ended
            os.kill(pid, signal.SIGSTOP)
    return found


def alive(pid: int) -> bool:
    """Whether a process is there, and not only waiting to be counted off."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_stopped_lab_is_ended_and_its_samples_kept(tmp_path: Path) -> None:
    stopped: set[int] = set()

    def show(row: dict[str, Any]) -> None:
        if row["stage"] == "traffic" and row["done"] >= STOP_AT_S and not stopped:
            stopped.update(stop_lab())

    with pytest.raises(LabError) as caught:
        run(asked(seconds=ASKED_S), tmp_path, show=show, timeout_s=LIMIT_S)
    assert stopped
    assert f"the lab was ended after {LIMIT_S} s" in str(caught.value)
    assert "stage 'traffic'" in caught.value.where
    assert "--timeout" in caught.value.remedy
    (kept,) = list_runs(tmp_path)
    assert str(kept) in caught.value.remedy
    folder = RunFolder(kept)
    assert folder.provenance.status == "unfinished"
    arrived = folder.samples[folder.samples.received]
    assert arrived.intended_ns.max() > (STOP_AT_S - 5) * 1e9
    assert not [pid for pid in stopped if alive(pid)]


@pytest.mark.parametrize(
    "program", ["while True: pass", "import threading; threading.Event().wait()"]
)
def test_guest_program_that_never_ends_is_ended(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.run.GUEST", ("python3", "-c", program))
    with pytest.raises(LabError, match=f"the lab was ended after {SHORT_S} s"):
        run(asked(), tmp_path, timeout_s=SHORT_S)
    assert not lab_processes()
    assert not list_runs(tmp_path)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("install", "the controller does not listen within 120 s"),
        ("traffic", "the controller did not report its counters"),
    ],
)
def test_stopped_controller_is_told(
    stage: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("python3", "-m", "tests.virtual.stopped_controller", "/results", stage)
    monkeypatch.setattr("testbed.run.GUEST", command)
    with pytest.raises(EmulationError, match=told):
        run(asked(), tmp_path, timeout_s=120)
    kept = [RunFolder(path) for path in list_runs(tmp_path)]
    assert [folder.samples.received.any() for folder in kept] == [True] * (stage == "traffic")


def test_silence_in_traffic_ends_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time limit of the user's, long before the whole run could be over."""
    monkeypatch.setattr("testbed.run.limits", lambda plan: Limits(100_000.0, 5.0))

    def show(row: dict[str, Any]) -> None:
        if row["stage"] == "traffic":
            stop_lab()

    with pytest.raises(LabError, match="after 5 s without a sign of life"):
        run(asked(), tmp_path, show=show)
    assert not lab_processes()
