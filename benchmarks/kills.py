"""What is kept of runs that are ended at random moments, and what else they leave.

    python -m benchmarks.kills [--moments 100] [--seed 1] [--way NAME]...

A haptic loop of 1 kHz runs in the virtual lab with a capture at its sender, which sees every
message on the wire as it leaves. The run is ended at a random moment, of its traffic or, one
in four, of all from its first instant on: by kill -9 of it, of it and its janitor, of its lab;
by SIGTERM; by Ctrl-C, which all of its process group get; by a disk that fills up (a small
tmpfs in a mount namespace of its own). `testbed collect` follows where the run could not keep
its samples itself. Told are messages on the wire and messages kept, the traffic between them,
and what is left: processes (all orphans come to this one), namespaces that a process, an open
file or a mount of this machine holds, interfaces and bridges, mounts, files; and how many runs of
each way were ended before their traffic was over, for the others show nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from struct import unpack_from
from typing import NamedTuple

from testbed.results.folder import CAPTURES, RunFolder, list_runs
from testbed.results.staging import PREFIX

TESTBED = (sys.executable, "-m", "testbed.cli")
SHORT = ("--set", "duration=10 s")
RUN = (*TESTBED, "run", "fibre_cut", *SHORT, "--lab", "virtual", "--pcap", "h1:eth0")
WAYS = ("kill -9", "kill -9, janitor", "kill -9, lab", "SIGTERM", "Ctrl-C", "full disk")
SPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
GOAL_S = 1.0
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)
_RECORD, _FILE, _SEQ_AT, _PORT_AT = 16, 24, 42, 36
_PRIMING = 0xFFFF_FFFF
_FILL = """
mount -t tmpfs -o size="$1" none "$TESTBED_HOME" && shift
"$@"
mount -o remount,size=64m none "$TESTBED_HOME" && "$PYTHON" -m testbed.cli collect
cp -r "$TESTBED_HOME/results/." "$KEPT"
"""


def _stat(process: Path) -> list[bytes]:
    """What proc(5) tells of a process after its name, which may be any bytes."""
    return (process / "stat").read_bytes().rpartition(b")")[2].split()


def descendants(pid: int) -> dict[int, str]:
    """Processes below one, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(_stat(entry)[1])
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue
        if parent == pid:
            found |= {int(entry.name): words} | descendants(int(entry.name))
    return found


def on_the_wire(run: RunFolder) -> int:
    """Messages of the run's session that its sender's capture saw leave."""
    (session,) = run.plan.sessions
    (file,) = (run.path / CAPTURES).glob("*.pcap")
    raw, at, seen = file.read_bytes(), _FILE, set[int]()
    while at + _RECORD <= len(raw):
        (size,) = unpack_from("<I", raw, at + 8)
        packet = raw[at + _RECORD : at + _RECORD + size]
        at += _RECORD + size
        if len(packet) >= _SEQ_AT + 4 and unpack_from("!H", packet, _PORT_AT)[0] == (
            session.reflector_port
        ):
            seen.add(unpack_from("!I", packet, _SEQ_AT)[0])
    return len(seen - {_PRIMING})


def spaces(pids: Iterable[int]) -> set[str]:
    """The namespaces of processes, as in "net:[4026531840]"."""
    found = set()
    for pid in pids:
        for name in SPACES:
            with suppress(OSError):
                found.add(str(Path(f"/proc/{pid}/ns/{name}").readlink()))
    return found


def held(wanted: set[str], before_s: float) -> set[str]:
    """Those of the namespaces that a mount holds, or a process or its open file.

    Only a process from before that moment (since boot): the kernel gives a number again.
    """
    found = {name for name in wanted if name in Path("/proc/self/mountinfo").read_text()}
    tick_s = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            began = int(_stat(entry)[19]) / tick_s
            if began < before_s:
                found |= wanted & spaces([int(entry.name)])
                links = {str(fd.readlink()) for fd in (entry / "fd").iterdir()}
                found |= wanted & links
    return found


class Seen(NamedTuple):
    """The machine before a run, and what the run had when it was ended."""

    mounts: str
    interfaces: set[str]
    own: set[str]
    """Namespaces of this process."""


def look() -> Seen:
    """What is there before a run."""
    mounts = Path("/proc/self/mounts").read_text()
    return Seen(mounts, set(os.listdir("/sys/class/net")), spaces([os.getpid()]))  # noqa: PTH208 - names


def end(way: str, after_s: float, early: bool, home: Path) -> tuple[set[str], float]:
    """Run it, and end it so long after its traffic began, or it itself; the namespaces it had,
    and when it was ended."""
    process = subprocess.Popen(
        RUN, env=_env(home), text=True, process_group=0,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    for line in () if early else process.stderr:
        if line.startswith("Traffic"):
            break
    time.sleep(after_s)
    family = descendants(process.pid)
    had, now_s = spaces(family), time.clock_gettime(time.CLOCK_BOOTTIME)
    victims = [process.pid]
    if "lab" in way:
        victims = [pid for pid, words in family.items() if "lab-kernel" in words]
    elif "janitor" in way:
        victims += [pid for pid, words in family.items() if "janitor.py" in words]
    elif way == "Ctrl-C":
        victims = [-process.pid]
    number = {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}.get(way, signal.SIGKILL)
    for pid in victims:
        with suppress(ProcessLookupError):  # the run is over, or the one before took it along
            os.kill(pid, number)
    process.stderr.read()
    process.wait()
    return had, now_s


def _env(home: Path) -> dict[str, str]:
    temporary = home.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    return os.environ | {
        "TESTBED_HOME": str(home), "TMPDIR": str(temporary), "XDG_RUNTIME_DIR": "",
    }  # fmt: skip


def fill(size_kib: int, home: Path, kept: Path) -> str:
    """Run it on a disk of that size; what it said."""
    env = _env(home) | {"KEPT": str(kept), "PYTHON": sys.executable}
    words = ["unshare", "--mount", "sh", "-c", _FILL, "sh", f"{size_kib}k"]
    done = subprocess.run([*words, *RUN], env=env, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def left(home: Path, seen: Seen, had: set[str], ended_s: float) -> str:
    """What is there that should not be."""
    until = time.monotonic() + 20
    while (alive := _alive()) and time.monotonic() < until:
        time.sleep(0.05)
    found = [f"{len(alive)} processes"] if alive else []
    found += sorted(held(had - seen.own, ended_s))
    found += sorted(set(os.listdir("/sys/class/net")) - seen.interfaces)  # noqa: PTH208 - names
    found += [path.name for path in (home / "results").glob(f"{PREFIX}*")]
    found += [path.name for path in (home.parent / "tmp").glob("*")]
    if Path("/proc/self/mounts").read_text() != seen.mounts:
        found.append("mounts")
    return ", ".join(found) or "nothing"


def _alive() -> dict[int, str]:
    """Processes that were started here, whatever became of those between."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return descendants(os.getpid())


def main() -> int:
    """Print a line a moment; 1 if more was lost than the goal, anything is left, or a way ended
    no run early."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", action="append", choices=WAYS)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    ways = args.way or WAYS
    tried, cut = Counter[str](), Counter[str]()
    draw, worst_s, bad, kept_in_all, wire_in_all = random.Random(args.seed), 0.0, 0, 0, 0
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    print(f"{'ended by':18}{'moment':>16}{'wire':>7}{'kept':>7}{'lost':>9}  {'status':11}left")
    for number in range(args.moments):
        way = ways[number % len(ways)]
        seen, had, ended_s = look(), set[str](), 0.0
        early = draw.random() < 1 / 4
        after_s = draw.uniform(0, 6) if early else draw.uniform(0.1, 3)
        size_kib = draw.randrange(300, 1200) if early else draw.randrange(900, 3500)
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            home.mkdir()
            if way == "full disk":
                moment = f"of {size_kib} KiB"
                kept = Path(folder) / "kept" / "results"
                kept.mkdir(parents=True)
                fill(size_kib, home, kept)
                home = kept.parent
                (home.parent / "tmp").mkdir(exist_ok=True)
            else:
                moment = f"{'start' if early else 'traffic'} + {after_s:.2f} s"
                had, ended_s = end(way, after_s, early, home)
                if way.startswith("kill -9") and "lab" not in way:
                    env = os.environ | {"TESTBED_HOME": str(home)}
                    subprocess.run([*TESTBED, "collect"], env=env, check=False, capture_output=True)
            rest = left(home, seen, had, ended_s)
            runs = list_runs(home / "results")
            wire = rows = 0
            status, lost_s = "none", 0.0
            if runs:
                run = RunFolder(runs[0])
                wire, rows, status = on_the_wire(run), len(run.samples), run.provenance.status
                lost_s = (wire - rows) * run.plan.sessions[0].interval_ns / 1e9
            tried[way] += 1
            cut[way] += status in ("none", "unfinished")
            worst_s = max(worst_s, lost_s)
            wire_in_all, kept_in_all = wire_in_all + wire, kept_in_all + rows
            bad += rest != "nothing" or lost_s > GOAL_S
            print(
                f"{way:18}{moment:>16}{wire:7}{rows:7}{lost_s:7.3f} s  {status:11}{rest}",
                flush=True,
            )
    print(
        f"{args.moments} moments: {kept_in_all:,} of {wire_in_all:,} messages kept, at most "
        f"{worst_s:.3f} s of traffic lost; {bad} not as wanted"
    )
    print("ended early: " + ", ".join(f"{way} {cut[way]} of {tried[way]}" for way in tried))
    return 1 if bad or any(not cut[way] for way in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
