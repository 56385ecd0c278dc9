"""The guest program: carries a plan out inside a lab. The same in every lab.

    python3 -m testbed.guest JOB

JOB is the folder shared with the host. job.json says what to do:

    {"verb": "run"}                      build, install, prove, measure, collect
    {"verb": "shell"}                    build and install, then the mininet> prompt
    {"verb": "exec", "argv": [...]}      Open vSwitch, then a command

Every stage leaves its file in JOB as soon as it has it; done.json comes last.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from testbed.errors import EmulationError, LabError, TestbedError
from testbed.files import write_json

LEAD_NS = 500_000_000
"""From "all ready" to the start of traffic, so that every process is waiting by then."""


class Progress:
    """Stages, one JSON object a line, for whoever watches the job folder.

    With the lab's memory: `free_bytes` was never used or was given back, `available_bytes`
    also holds what the kernel would give back if asked.
    """

    def __init__(self, job: Path) -> None:
        self._file = (job / "progress.jsonl").open("a", buffering=1)

    def __call__(self, stage: str, text: str, done: int = 0, of: int = 0) -> None:
        row = {"stage": stage, "text": text, "done": done, "of": of, "at": time.monotonic()}
        self._file.write(json.dumps(row | _memory()) + "\n")


def _memory() -> dict[str, int]:
    rows = Path("/proc/meminfo").read_text().splitlines()
    sizes = {name: int(rest.split()[0]) << 10 for name, rest in (row.split(":") for row in rows)}
    return {"free_bytes": sizes["MemFree"], "available_bytes": sizes["MemAvailable"]}


def main(argv: list[str]) -> int:
    """Do what JOB/job.json says; the exit code is the verb's."""
    job = Path(argv[1])
    order = json.loads((job / "job.json").read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code, error = 0, None
    try:
        with ExitStack() as stack:
            code = VERBS[order["verb"]](job, order, stack)
    except TestbedError as problem:
        error = problem.told()
        code = problem.exit_code
    except Exception as problem:
        (job / "guest.log").write_text(traceback.format_exc())
        error = {
            "kind": "EmulationError",
            "what": f"the guest program failed: {type(problem).__name__}: {problem}",
            "where": _innermost(problem),
            "expected": "",
            "remedy": "guest.log in the run folder has the traceback",
        }
        code = EmulationError.exit_code
    write_json(job / "done.json", {"status": "failed" if error else "ok", "error": error})
    return code


def _innermost(problem: BaseException) -> str:
    frames = traceback.extract_tb(problem.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def run(job: Path, _order: dict[str, Any], stack: ExitStack) -> int:
    """Build, install, and what testbed/stages/ lists."""
    # imports cost seconds in a lab: each verb pays for its own
    from testbed.stages.kinds import STAGES
    from testbed.stages.network import stand

    here = stand(job, Progress(job), stack)
    stages = [kind(here) for kind in STAGES if kind.asked(here.plan)]
    for stage in stages:
        stage.prepare()
    here.ready()
    start_ns = time.monotonic_ns() + LEAD_NS
    for stage in stages:
        stage.start(start_ns)
    for stage in reversed(stages):
        stage.stop()
    found: dict[str, Any] = {}
    for stage in stages:
        found |= stage.collect()
    write_json(job / "control.json", found)
    for stage in reversed(stages):
        stage.judge()
    return 0


def shell(job: Path, order: dict[str, Any], stack: ExitStack) -> int:
    """The Mininet prompt on the built network, or the commands of JOB/script."""
    from testbed.emulation.acts import Lab
    from testbed.emulation.prompt import Prompt
    from testbed.emulation.recovery import Recoveries
    from testbed.stages.network import stand
    from testbed.stages.northbound import serve

    here = stand(job, Progress(job), stack)
    here.ready()
    if order.get("northbound"):
        serve(here, order["northbound"])
    lab, script = Lab(here.net, here.control, here.north), job / "script"
    happening = Recoveries(lab, here.appctl, here.timelines)
    Prompt(here.net, happening, script if script.exists() else None)
    return 0


def execute(_job: Path, order: dict[str, Any], stack: ExitStack) -> int:
    """A command, with Open vSwitch running at its usual place."""
    if order.get("ovs", True):
        from testbed.emulation.ovs import start_ovs

        stack.callback(start_ovs(Path("/run/openvswitch")).stop)
    try:
        code = subprocess.call(order["argv"])
    except OSError as error:
        raise LabError(
            f"{order['argv'][0]!r} cannot be started: {error.strerror}",
            where="exec, inside the lab",
            expected="a program of the lab image",
        ) from error
    return code if code >= 0 else 128 - code  # of a signal, as a shell says it


VERBS: dict[str, Callable[[Path, dict[str, Any], ExitStack], int]] = {
    "run": run,
    "shell": shell,
    "exec": execute,
}


if __name__ == "__main__":
    code = main(sys.argv)
    sys.stdout.flush()
    os._exit(code)
