"""What is kept of runs that are ended at random moments, and what else they leave.

    python -m benchmarks.kills [--moments 100] [--seed 1]

A haptic loop of 1 kHz runs in the virtual lab with a capture at its sender, which sees every
message on the wire as it leaves. The run is ended at a random moment of its traffic: by
kill -9 of it, of it and its janitor, of its lab; by SIGTERM; by SIGINT; by a disk that
fills up (a small tmpfs in a mount namespace of its own). `testbed collect` follows where the
run could not keep its samples itself. Told are messages on the wire and messages kept, the
traffic between them, and processes, files and mounts that are left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from struct import unpack_from

from testbed.results.folder import CAPTURES, RunFolder, list_runs
from testbed.results.staging import PREFIX

TESTBED = (sys.executable, "-m", "testbed.cli")
SHORT = ("--set", "duration=10 s")
RUN = (*TESTBED, "run", "fibre_cut", *SHORT, "--lab", "virtual", "--pcap", "h1:eth0")
WAYS = ("kill -9", "kill -9, janitor", "kill -9, lab", "SIGTERM", "SIGINT", "full disk")
GOAL_S = 1.0
_RECORD, _FILE, _SEQ_AT, _PORT_AT = 16, 24, 42, 36
_PRIMING = 0xFFFF_FFFF
_FILL = """
mount -t tmpfs -o size="$1" none "$TESTBED_HOME" && shift
"$@"
mount -o remount,size=64m none "$TESTBED_HOME" && "$PYTHON" -m testbed.cli collect
cp -r "$TESTBED_HOME/results/." "$KEPT"
"""


def descendants(pid: int) -> dict[int, str]:
    """Processes below one, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
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


def end(way: str, after_s: float, home: Path) -> tuple[str, set[int]]:
    """Run it, and end it so long after its traffic began; what it said, and its processes."""
    process = subprocess.Popen(
        RUN, env=os.environ | {"TESTBED_HOME": str(home)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Traffic"):
            break
    time.sleep(after_s)
    family = descendants(process.pid)
    victims = [process.pid]
    if "lab" in way:
        victims = [pid for pid, words in family.items() if "lab-kernel" in words]
    elif "janitor" in way:
        victims += [pid for pid, words in family.items() if "janitor.py" in words]
    number = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}.get(way, signal.SIGKILL)
    for pid in victims:
        with suppress(ProcessLookupError):  # the run is over, or the one before took it along
            os.kill(pid, number)
    said = process.stderr.read()
    process.wait()
    return said, set(family)


def fill(size_kib: int, home: Path, kept: Path) -> str:
    """Run it on a disk of that size; what it said."""
    env = os.environ | {"TESTBED_HOME": str(home), "KEPT": str(kept), "PYTHON": sys.executable}
    words = ["unshare", "--mount", "sh", "-c", _FILL, "sh", f"{size_kib}k"]
    done = subprocess.run([*words, *RUN], env=env, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def left(home: Path, family: set[int], mounts: str) -> str:
    """What is there that should not be."""
    until = time.monotonic() + 20
    while (alive := {p for p in family if Path(f"/proc/{p}").exists()}) and (
        time.monotonic() < until
    ):
        time.sleep(0.05)
    found = [f"{len(alive)} processes"] if alive else []
    found += [path.name for path in (home / "results").glob(f"{PREFIX}*")]
    if Path("/proc/self/mounts").read_text() != mounts:
        found.append("mounts")
    return ", ".join(found) or "nothing"


def main() -> int:
    """Print a line a moment; 1 if more was lost than the goal, or anything is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, worst_s, bad = random.Random(args.seed), 0.0, 0
    print(f"{'ended by':18}{'wire':>7}{'kept':>7}{'lost':>9}  {'status':11}left")
    for number in range(args.moments):
        way = WAYS[number % len(WAYS)]
        mounts = Path("/proc/self/mounts").read_text()
        with tempfile.TemporaryDirectory() as folder:
            home, family = Path(folder) / "home", set[int]()
            home.mkdir()
            if way == "full disk":
                kept = Path(folder) / "kept" / "results"
                kept.mkdir(parents=True)
                fill(draw.randrange(900, 3500), home, kept)
                home = kept.parent
            else:
                _, family = end(way, draw.uniform(0.2, 3.0), home)
                if way.startswith("kill -9") and "lab" not in way:
                    env = os.environ | {"TESTBED_HOME": str(home)}
                    subprocess.run([*TESTBED, "collect"], env=env, check=False, capture_output=True)
            rest = left(home, family, mounts)
            runs = list_runs(home / "results")
            wire = rows = 0
            status = "none"
            if runs:
                run = RunFolder(runs[0])
                wire, rows, status = on_the_wire(run), len(run.samples), run.provenance.status
                lost_s = (wire - rows) * run.plan.sessions[0].interval_ns / 1e9
                worst_s = max(worst_s, lost_s)
            else:
                lost_s = 0.0
            bad += rest != "nothing" or lost_s > GOAL_S
            print(f"{way:18}{wire:7}{rows:7}{lost_s:7.3f} s  {status:11}{rest}", flush=True)
    print(f"{args.moments} moments: at most {worst_s:.3f} s of traffic lost, {bad} not as wanted")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
