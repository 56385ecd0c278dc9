"""A sandbox ends with who started it, wherever its start is at that moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab import host
from testbed.lab.base import CONSOLE, PROJECT, Lab
from testbed.lab.native import NativeLab
from testbed.lab.sandbox import PROGRAMS
from testbed.lab.virtual import VirtualLab
from testbed.lab.wall import WallLab
from testbed.process import ENDING_S, ended
from tests.lab.ordinary import as_user

LABS: dict[str, Lab] = {
    "virtual": VirtualLab(memory_bytes=512 << 20),
    "wall": WallLab(memory_bytes=512 << 20),
    "native": NativeLab({}),
}
CALLERS = ("root", "user") if os.geteuid() == 0 else ("user",)
KILLS = 40
LATEST_S = 0.3
_MOST_S = 5.0

BWRAP = """#!/bin/sh
sleep 60 &
touch "$STARTED"
exec sleep 60
"""
"""In place of bubblewrap: its inner process waits for a word of the outer one, for ever."""
CALLER = """
import subprocess, sys
from pathlib import Path
from testbed.lab.sandbox import bubblewrap
from testbed.process import hold
held = hold(Path(sys.argv[1]))
words = bubblewrap(Path("/"))
started = subprocess.Popen(words, pass_fds=[held], stdout=subprocess.DEVNULL)
print(started.pid, flush=True)
started.wait()
"""


_LACKS = [*host.missing_programs(PROGRAMS, ""), *host.missing_user_namespaces()]


@pytest.mark.skipif(bool(_LACKS), reason="this machine cannot make a sandbox")
@pytest.mark.parametrize("killed", ["caller", "started", "outer process"])
def test_a_sandbox_ends_while_its_inner_process_waits(killed: str, tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text(BWRAP)
    (tmp_path / "bwrap").chmod(0o755)
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(tmp_path)],
        cwd=PROJECT,
        env=os.environ
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STARTED": str(tmp_path / "started")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    pids = {"caller": caller.pid, "started": int(caller.stdout.readline())}
    end = time.monotonic() + _MOST_S
    while not (tmp_path / "started").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    pids["outer process"] = _only_child(pids["started"])
    assert not ended(tmp_path, 0)
    os.kill(pids[killed], signal.SIGKILL)
    caller.communicate()
    assert ended(tmp_path, _MOST_S)


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.lab
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("lab", LABS)
def test_no_moment_of_a_start_outlives_a_killed_caller(lab: str, caller: str, place: Path) -> None:
    draw = random.Random(f"{lab} {caller}")
    moments_s = [draw.uniform(0, LATEST_S if n % 2 else LATEST_S / 10) for n in range(KILLS)]
    (place / "job").mkdir()

    def kills() -> int:
        for number, moment_s in enumerate(moments_s):
            job = place / "job" / str(number)
            job.mkdir(mode=0o755)
            if not _ends(LABS[lab], job, moment_s):
                print(f"after {moment_s:.4f} s: processes are left")
                return 1
        return 0

    code = kills() if caller == "root" or os.geteuid() else as_user(kills, place, place / "job")
    assert code == 0


def _ends(lab: Lab, job: Path, moment_s: float) -> bool:
    """Whether all of a lab ends whose caller is killed so long after it began to start it."""
    pid = os.fork()
    if pid == 0:
        try:
            lab.start(job, ["sleep", "1000"]).wait()
        finally:
            os._exit(0)
    end = time.monotonic() + _MOST_S
    while not (job / CONSOLE).exists():  # about to be started
        assert time.monotonic() < end
        time.sleep(0.0005)
    time.sleep(moment_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return ended(job, _MOST_S)


@pytest.mark.lab
def test_ctrl_c_while_a_lab_starts_waits_for_its_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox's start is held up until the signal has come."""
    (place / "bwrap").write_text(BWRAP)
    (place / "bwrap").chmod(0o755)
    (place / "job").mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("STARTED", "/dev/null")
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    began = time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            LABS["wall"].start(place / "job", ["true"])
    finally:
        timer.cancel()
    timer.join()
    assert ended(place / "job", 0)
    assert time.monotonic() - began < 1 + ENDING_S
