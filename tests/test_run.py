"""How long a lab may take, and what the host makes of its end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from testbed import keep, run
from testbed.errors import LabError, ResultError, Stopped
from testbed.lab.base import CONSOLE, Lab, Missing
from testbed.lab.virtual import VirtualLab
from testbed.run import PACKET_S, SETUP_SECONDS, _verdict, limits
from tests.virtual.asked import asked

KILLED = "Out of memory: Killed process 66 (python3) total-vm:1kB, anon-rss:1kB\n"
BUS_ERROR = "Bus error - the host /dev/shm or /tmp mount likely just ran out of space\n"


def test_limits_count_packets_of_loads() -> None:
    plan = asked(seconds=1000).plan
    quiet = limits(msgspec.structs.replace(plan, loads=(), sessions=()))
    loaded = limits(msgspec.structs.replace(plan, sessions=()))
    assert quiet == (SETUP_SECONDS + 3 * plan.duration_ns / 1e9, SETUP_SECONDS)
    packets = sum(11e6 * 1000 / (8 * load.packet_bytes) for load in plan.loads)
    assert packets > 1_000_000
    assert loaded.whole_s - quiet.whole_s == pytest.approx(packets * PACKET_S)
    assert loaded.silent_s - quiet.silent_s == pytest.approx(packets * PACKET_S)
    assert limits(plan) > loaded


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (KILLED, "the lab ran out of memory: its kernel ended python3"),
        (BUS_ERROR, "the host had no memory left for the lab"),
        ("Segmentation fault\n", "the lab ended with code 255 before the guest program was done"),
    ],
)
def test_end_without_a_word_of_the_guest(words: str, told: str, tmp_path: Path) -> None:
    (tmp_path / CONSOLE).write_text("booting\n" + words)
    problem = _verdict(tmp_path, 255, VirtualLab(), None)
    assert isinstance(problem, LabError)
    assert problem.what == told


def test_run_that_lost_a_program_for_want_of_memory_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text('{"status": "ok", "error": null}')
    assert _verdict(tmp_path, 0, VirtualLab(), None) is None
    (tmp_path / CONSOLE).write_text(KILLED)
    assert isinstance(_verdict(tmp_path, 0, VirtualLab(), None), LabError)


class _Lab:
    """None, but that a process of it runs."""

    name = "none"
    memory_bytes: int | None = None

    def __init__(self, command: Sequence[str] = ("sleep", "60")) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None

    def describe(self) -> dict[str, str]:
        return {"lab": self.name}

    def missing(self, depth: str = "vital") -> list[Missing]:
        return []

    def start(self, *_: Any, **__: Any) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(self.command)
        return self.process


def _executed(lab: Any, root: Path) -> Path:
    return run.execute(asked(), lab, root=root, notes=(), command=(), show=lambda _row: None)


def test_a_disk_that_is_full_before_the_lab_starts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(keep, "write_whole", full)
    with pytest.raises(ResultError, match="No space left on device"):
        _executed(_Lab(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_the_lab_starts_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keep, "write_whole", interrupted)
    with pytest.raises(Stopped) as stopped:
        _executed(_Lab(), tmp_path)
    assert (stopped.value.kept, stopped.value.left) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_waits_until_the_job_folder_is_ours_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def again(*_: object) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True

    monkeypatch.setattr(run, "ended", again)
    monkeypatch.setattr(run, "take_back", lambda _job: done.append("taken back"))
    lab = _Lab()
    with pytest.raises(KeyboardInterrupt), run._started(cast(Lab, lab), tmp_path, ()):
        pass
    assert done == ["taken back"]
    assert lab.process is not None
    assert lab.process.returncode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_lab_that_does_not_end_is_told_and_its_folder_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ended", lambda _job: False)
    monkeypatch.setattr(run, "take_back", lambda _job: pytest.fail("it is still written to"))
    monkeypatch.setattr(run, "measured", lambda _job: True)
    lab = run._started(cast(Lab, _Lab()), tmp_path, ())
    lab.__enter__()
    with pytest.raises(LabError, match="still there") as caught:
        lab.__exit__(None, None, None)
    assert f"testbed collect {tmp_path}" in caught.value.remedy
