"""A run that is killed, at any stage, leaves nothing but what it measured, and the next keeps
that; one that is interrupted keeps it itself, and says so."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab.host import descendant
from testbed.results.folder import RunFolder, list_runs

LONG = 120
"""Seconds of traffic that no machine is through with before it is interrupted."""
STAGES = ["", "Building", "Installing", "Traffic", "Collecting"]
"""Start of the progress line after which the kill comes; empty: while the lab boots."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    subprocess.run(
        [sys.executable, "-m", "testbed.cli", "new", "experiment", "asks"], cwd=tmp_path, check=True
    )
    return tmp_path


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            child = int(entry.parent.name)
            found |= {child} | _descendants(child)
    return found


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def _left(project: Path) -> list[str]:
    return [str(p.relative_to(project)) for p in project.rglob("*") if "results/" in str(p)]


def _here(folder: str) -> set[Path]:
    return set(Path(folder).iterdir())


def _gone(family: set[int], project: Path, *, measured: bool) -> bool:
    """Whether all processes are gone, soon, and results too if nothing was measured."""
    end = time.monotonic() + 20
    while (_alive(family) or (_left(project) and not measured)) and time.monotonic() < end:
        time.sleep(0.05)
    return not _alive(family) and (measured or not _left(project))


def _unfinished(project: Path) -> RunFolder:
    """The only thing in the results folder: a run with all samples but of the last second."""
    (path,) = list_runs(project / "results")
    run = RunFolder(path)
    assert sorted(p.name for p in (project / "results").glob("*")) == ["asks"]
    assert list((project / "results/asks").iterdir()) == [path]
    assert run.provenance.status == "unfinished"
    said = [json.loads(row) for row in (path / "logs/progress.jsonl").read_text().splitlines()]
    reached_s = max(row["done"] for row in said if row["stage"] == "traffic")
    lacking_s = reached_s - run.provenance.actual["traffic_ns"] / 1e9
    assert lacking_s < 1
    for _, rows in run.samples.groupby("session", observed=True):
        assert rows["intended_ns"].max() / 1e9 > reached_s - 1
        assert not rows["lost_forward"].any()
    return run


def _started(project: Path, stage: str, seconds: int = 5) -> Iterator[subprocess.Popen[str]]:
    """The run of so much traffic, when it has come to a stage."""
    asks = project / "experiments" / "asks.py"
    asks.write_text(asks.read_text().replace('duration="5 s"', f'duration="{seconds} s"'))
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed.cli", "run", "asks"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # not an orphaned one, which Ctrl-Z does not stop
    )
    assert process.stderr is not None
    try:
        if not stage:
            end = time.monotonic() + 60
            while not list(project.glob("results/.staging-*/command")):
                assert time.monotonic() < end
                time.sleep(0.01)
        for line in process.stderr if stage else ():
            if line.startswith(stage):
                break
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.lab
@pytest.mark.exact
@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_leaves_nothing_but_what_was_measured(project: Path, stage: str) -> None:
    interfaces = _here("/sys/class/net")
    memory = _here("/dev/shm")
    measured = stage in ("Traffic", "Collecting")
    for process in _started(project, stage, LONG if stage == "Traffic" else 5):
        family = _descendants(process.pid)
        assert family
        if stage == "Traffic":
            time.sleep(1)  # some of it
            for pid in [process.pid, *_janitors(family)]:
                os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _gone(family, project, measured=measured)
    assert _here("/sys/class/net") == interfaces
    assert _here("/dev/shm") <= memory
    if measured:
        collected = subprocess.run(
            [sys.executable, "-m", "testbed.cli", "collect"],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "kept what a killed run measured in" in collected.stdout
    if stage == "Traffic":
        assert _unfinished(project).provenance.error == "it was killed"


def _janitors(family: set[int]) -> list[int]:
    return [pid for pid in family if "janitor" in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.mark.lab
@pytest.mark.exact
@pytest.mark.parametrize(
    ("stage", "number"),
    [("", signal.SIGINT), ("Traffic", signal.SIGINT), ("Traffic", signal.SIGTERM)],
)
def test_a_signal_ends_a_run_cleanly(project: Path, stage: str, number: signal.Signals) -> None:
    for process in _started(project, stage, LONG):
        family = _descendants(process.pid)
        if stage:
            time.sleep(1)
        process.send_signal(number)
        said, words = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert "nothing is left running" in words
        assert "Traceback" not in words
        assert _gone(family, project, measured=bool(stage))
        if stage:
            run = _unfinished(project)
            assert run.provenance.error == f"stopped by {number.name}"
            assert f"what was measured is in {run.path}" in words
            assert "Unfinished, " in said
            assert "verdict" in said  # its table


@pytest.mark.lab
@pytest.mark.exact
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_command_in_a_lab_that_is_ended_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"optional: {number.name} is ignored here, as under nohup")
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed.cli", "exec", "--no-ovs", "--", "sleep", "1000"],
        env=os.environ | {"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not list(tmp_path.glob(".staging-*/command")):
        assert time.monotonic() < end
        time.sleep(0.01)
    family = _descendants(process.pid)
    process.send_signal(number)
    _, words = process.communicate(timeout=30)
    assert ("nothing is left running" in words) == (number != signal.SIGKILL)
    end = time.monotonic() + 20
    while (_alive(family) or list(tmp_path.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(family)
    assert not list(tmp_path.iterdir())


EARLY = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "testbed.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["testbed", "list"]
from testbed.cli.__main__ import main
main()
"""


def test_ctrl_c_before_the_command_is_read_is_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "stopped; nothing is left running\n"


AT_ONCE = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize("linked", [False, True])
def test_ctrl_c_while_python_starts_is_quiet(tmp_path: Path, *, linked: bool) -> None:
    (tmp_path / "usercustomize.py").write_text(AT_ONCE)  # what Python's own start imports
    (tmp_path / "sitecustomize.py").write_text(AT_ONCE)
    command = Path(sys.executable).with_name("testbed")
    if linked:
        (tmp_path / "linked").symlink_to(command)
        command = tmp_path / "linked"
    done = subprocess.run(
        [command, "list"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stdout == ""
    assert done.stderr == "stopped; nothing is left running\n"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.lab
@pytest.mark.exact
def test_ctrl_z_stops_a_run_and_its_clock(project: Path) -> None:
    for process in _started(project, "Traffic", 20):
        process.send_signal(signal.SIGTSTP)
        kernel = descendant(process.pid, "lab-kernel")
        assert kernel is not None
        end = time.monotonic() + 10
        while {_state(process.pid), _state(kernel)} != {"T"}:
            assert time.monotonic() < end
            time.sleep(0.01)
        (progress,) = project.glob("results/.staging-*/progress.jsonl")
        before = progress.read_bytes()
        time.sleep(1)
        assert progress.read_bytes() == before
        process.send_signal(signal.SIGCONT)
        _, words = process.communicate(timeout=200)
        assert process.returncode == 0, words
    (run,) = project.glob("results/asks/*")
    assert json.loads((run / "0-provenance.json").read_text())["status"] == "ok"
