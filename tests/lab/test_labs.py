"""The contract of every lab, on those that can run on any machine.

The native lab is tried without the kernel modules packets need: its namespaces, folders
and ends are the same with them. tests/lab/qemu tries it with them.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab import cache
from testbed.lab.base import CONSOLE, PROJECT, Lab
from testbed.lab.native import NativeLab
from testbed.lab.wall import WallLab
from testbed.process import ended

LABS: dict[str, Lab] = {"wall": WallLab(memory_bytes=512 << 20), "native": NativeLab({})}

pytestmark = pytest.mark.lab


@pytest.fixture(params=LABS)
def lab(request: pytest.FixtureRequest) -> Lab:
    return LABS[request.param]


def run(lab: Lab, job: Path, script: str) -> tuple[int, str]:
    process = lab.start(job, ["sh", "-c", script])
    code = process.wait(timeout=60)
    return code, (job / CONSOLE).read_text()


def test_exit_code_and_files_come_back(lab: Lab, tmp_path: Path) -> None:
    code, _ = run(lab, tmp_path, "pwd >/results/where; uname -r >/results/kernel; exit 7")
    assert code == 7
    assert (tmp_path / "where").read_text() == "/project\n"
    assert (tmp_path / "kernel").read_text().strip() == lab.describe()["kernel"]


def test_a_cache_may_be_called_anything(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / r"a:b,c d\e=ü"
    named.symlink_to(cache.folder().parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(named))
    (tmp_path / "job").mkdir()
    code, console = run(lab, tmp_path / "job", "exit 7")
    assert code == 7, console


def test_arguments_arrive_as_they_are(lab: Lab, tmp_path: Path) -> None:
    argv = ["sh", "-c", 'printf "%s|" "$@" >/results/argv', "sh", "a b", "it's", "$HOME", "ü"]
    assert lab.start(tmp_path, argv).wait(timeout=60) == 0
    assert (tmp_path / "argv").read_text() == "a b|it's|$HOME|ü|"


def test_guest_is_root_and_confined(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret"
    secret.write_text("of the host")
    job = tmp_path / "job"
    job.mkdir()
    code, console = run(
        lab,
        job,
        f"""
        id -u; ls {secret} && exit 1
        touch /project/x && exit 2
        touch /etc/mine /var/lib/mine /root/mine /run/mine /tmp/mine || exit 3
        [ "$(ls /sys/class/net)" = lo ] || exit 4
        ping -c 1 -W 1 127.0.0.1 || exit 5
        ip netns add inner && ip netns exec inner ip link set lo up || exit 6
        [ "$(cat /proc/sys/net/ipv6/conf/default/disable_ipv6)" = 1 ] || exit 7
        """,
    )
    assert code == 0, console
    assert not (PROJECT / "x").exists()


def test_libraries_of_the_guest(lab: Lab, tmp_path: Path) -> None:
    modules = "msgspec, mininet.net, os_ken, networkx, topohub, testbed.plan.model"
    code, console = run(
        lab, tmp_path, f"python3 -c 'import {modules}' && ovs-vsctl -V && mnexec -v"
    )
    assert code == 0, console


def test_what_tells_of_a_living_lab_stays(lab: Lab, tmp_path: Path) -> None:
    """A program in a lab cannot make it look as if it had ended."""
    removing = """
        rm -f /results/.alive && exit 1
        mv /results/.alive /results/other && exit 2
        touch /results/up; sleep 300
    """
    process = lab.start(tmp_path, ["sh", "-c", removing])
    wait_until((tmp_path / "up").exists)
    assert not ended(tmp_path, 0)
    process.kill()
    process.wait()
    assert ended(tmp_path)


def test_kill_ends_the_whole_lab(lab: Lab, tmp_path: Path) -> None:
    process = lab.start(tmp_path, ["sh", "-c", "touch /results/up; sleep 300"])
    wait_until((tmp_path / "up").exists)
    assert belonging_to(tmp_path)
    process.kill()
    process.wait()
    wait_until(lambda: not belonging_to(tmp_path))


@pytest.mark.parametrize("moment_s", [0.0, 0.01, 0.05, 0.3, 1.5, 4.0])
def test_nothing_outlives_a_killed_caller(lab: Lab, moment_s: float, tmp_path: Path) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    shared = set(Path("/dev/shm").iterdir())
    caller = start_caller(lab, tmp_path, interactive=False)
    assert caller.stdout is not None
    caller.stdout.readline()  # about to start the lab
    time.sleep(moment_s)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_until(lambda: not belonging_to(tmp_path))
    assert Path("/proc/self/mounts").read_text() == mounts
    left = set(Path("/dev/shm").iterdir()) - shared
    assert not [path for path in left if path.name.startswith("vm_file")]


def test_terminal_is_the_guests(lab: Lab, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    caller = start_caller(lab, tmp_path, interactive=True, terminal=theirs)
    os.close(theirs)
    read_until(ours, b"ready")
    os.write(ours, b"\x03")
    read_until(ours, b"interrupted")
    assert caller.wait(timeout=30) == 5
    os.close(ours)


CALLER = """
import sys
from pathlib import Path
from tests.lab.test_labs import LABS
name, job, interactive = sys.argv[1:]
print("starting", flush=True)
script = 'trap "echo interrupted; exit 5" INT; tty && echo ready; touch /results/up; sleep 300'
process = LABS[name].start(Path(job), ["sh", "-c", script], interactive=interactive == "True")
sys.exit(process.wait())
"""


def start_caller(
    lab: Lab, job: Path, *, interactive: bool, terminal: int | None = None
) -> subprocess.Popen[bytes]:
    """A process that starts the lab, as the command line does."""
    return subprocess.Popen(
        [sys.executable, "-c", CALLER, lab.name, str(job), str(interactive)],
        cwd=PROJECT,
        stdin=terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=terminal,
        start_new_session=terminal is not None,
    )


def belonging_to(job: Path) -> list[str]:
    """Processes that name the job folder, or have it mounted: all of one lab's, and the caller."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = "".join(
                (process / name).read_text(errors="replace") for name in ("cmdline", "mountinfo")
            )
            state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(job) in text and state != "Z":
            found.append(process.name)
    return found


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def read_until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 1000)
