"""What networks take of a lab's memory, beside what is estimated (testbed/plan/memory.py).

    python -m benchmarks.memory

Each network is built in the virtual lab and its rules are installed. Probes and loads come on
top: logs/progress.jsonl of a run has the memory at each moment.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import msgspec

from testbed.lab.choice import LABS
from testbed.lab.unprivileged import take_back
from testbed.plan.memory import MIB, needed_bytes
from testbed.prepare import bare
from testbed.run import GUEST

NETWORKS: tuple[tuple[str, dict[str, str]], ...] = (
    ("metro_ring", {}),
    ("metro_ring", {"sites": "25"}),
    ("metro_ring", {"sites": "40"}),
    ("city", {}),
)
KEEP = "sh cat /proc/meminfo >/results/meminfo\n"


def taken_bytes(plan: bytes, scenario: bytes) -> int:
    """Memory that a network had taken at its prompt."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder)
        (job / "plan.json").write_bytes(plan)
        (job / "scenario.json").write_bytes(scenario)
        (job / "job.json").write_text(json.dumps({"verb": "shell"}))
        (job / "script").write_text(KEEP)
        code = LABS["virtual"].start(job, GUEST).wait()
        take_back(job)
        if code:
            raise SystemExit((job / "console.log").read_text())
        found = re.findall(r"(\w+): +(\d+) kB", (job / "meminfo").read_text())
        rows = {name: int(kb) << 10 for name, kb in found}
        return rows["MemTotal"] - rows["MemAvailable"]


def main() -> None:
    print(f"{'network':<24}{'switches':>9}{'rules':>8}{'taken MiB':>11}{'estimated':>11}")
    for name, given in NETWORKS:
        prepared = bare(name, given, "shortest_path")
        plan = prepared.plan
        encode = msgspec.json.encode
        taken = taken_bytes(encode(plan), encode(prepared.scenario))
        label = " ".join([name, *(f"{key}={value}" for key, value in given.items())])
        sizes = f"{taken // MIB:>11}{needed_bytes(plan) // MIB:>11}"
        print(f"{label:<24}{len(plan.switches):>9}{len(plan.rules):>8}{sizes}", flush=True)


if __name__ == "__main__":
    main()
