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
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import EmulationError, LabError, TestbedError
from testbed.files import write_json
from testbed.plan.model import Plan
from testbed.scenario.events.order import OrderEvent

if TYPE_CHECKING:
    from testbed.emulation.control import Controller
    from testbed.emulation.network import LabNet
    from testbed.emulation.schedule import Schedule
    from testbed.emulation.watch import Watch
    from testbed.northbound.child import Northbound
    from testbed.probes.clocks import Clocks
    from testbed.probes.engine import ProbeEngine

_SWITCH = {
    "ovs-vswitchd": "no switch learns of new packets, rules or failures without it",
    "ovsdb-server": "no switch can be made or changed without it",
}
SETTLE_S, SETTLE_STEP_S = 30.0, 0.5
"""How long counters may take to tell of all packets, and how often they are looked at."""
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
    """Build, install, prove, measure, collect."""
    # imports cost seconds in a lab: each verb pays for its own
    from testbed.emulation.appctl import Appctl  # noqa: PLC0415
    from testbed.emulation.proof import trace_paths  # noqa: PLC0415
    from testbed.emulation.watch import Watch  # noqa: PLC0415
    from testbed.probes.clocks import Clocks  # noqa: PLC0415
    from testbed.traffic.loads import Loads  # noqa: PLC0415

    say = Progress(job)
    plan = msgspec.json.decode((job / "plan.json").read_bytes(), type=Plan)
    watch = Watch()
    net, control = _network(job, plan, say, stack, watch)
    write_json(job / "readback.json", net.readback())
    assert net.ovs is not None

    say("prove", "asking the switches which way every path takes")
    appctl = Appctl(next(net.ovs.rundir.glob("ovs-vswitchd.*.ctl")))
    stack.callback(appctl.close)
    traces = trace_paths(plan, appctl)

    say("measure", f"opening {len(plan.sessions)} probe sessions")
    (job / "captures").mkdir()
    net.start_captures(plan.captures, job / "captures", watch)
    loads = Loads(plan, net.netns, job, watch)
    stack.callback(loads.stop)
    loads.prepare()
    engine = _probes(job, plan, net, stack)
    north = _northbound(job, say, stack, watch=watch) if _ordered(plan) else None
    net.ovs.wait_ready()
    start_ns = time.monotonic_ns() + LEAD_NS
    watch.begin(start_ns)
    if any(port.timed for port in plan.ports):
        net.start_traffic(start_ns)
        write_json(job / "readback.json", net.readback())
    schedule = _schedule(plan, job, start_ns, net, control, north)
    clocks = Clocks(start_ns)
    _thread(_clock, plan, start_ns, say, clocks)
    loads.start(start_ns)
    engine.run(start_ns, watch.check)
    watch.check()
    schedule.finish()

    say("collect", "counters and queues")
    slices = north.slices() if north is not None else None
    watch.check()
    loads.stop()
    net.stop_captures(watch)
    status, wrong = _counters(plan, control, appctl, job)
    watch.over()
    schedule.complete([*status.pop("timeline"), *(north.timeline() if north is not None else ())])
    found = {
        "traces": traces,
        "slices": slices,
        "ports": net.statistics(),
        "datapath": appctl("dpctl/show"),
        "died": [death.record() for death in watch.deaths()],
    }
    write_json(job / "control.json", status | found)
    clocks.check()
    if wrong is not None:
        raise wrong
    return 0


def _ordered(plan: Plan) -> bool:
    """Whether anything will be asked of the northbound service."""
    return any(isinstance(event, OrderEvent) for event in plan.events)


def _schedule(
    plan: Plan,
    job: Path,
    start_ns: int,
    net: LabNet,
    control: Controller,
    north: Northbound | None,
) -> Schedule:
    """The plan's deltas, under way from now on."""
    from testbed.emulation.acts import Lab  # noqa: PLC0415
    from testbed.emulation.schedule import Schedule  # noqa: PLC0415

    return Schedule(plan.events, Lab(net, control, north), start_ns, job / "timeline.jsonl")


def _probes(job: Path, plan: Plan, net: LabNet, stack: ExitStack) -> ProbeEngine:
    """The plan's sessions and the null path's, ready to send."""
    from testbed.probes.engine import ProbeEngine  # noqa: PLC0415
    from testbed.probes.null_path import NullPath  # noqa: PLC0415

    null = NullPath(plan, net.netns, net.arrangement)
    stack.callback(null.close)
    engine = ProbeEngine(null.plan, null.netns, job)
    stack.callback(engine.close)
    engine.prepare()
    return engine


def _counters(
    plan: Plan, control: Controller, appctl: Callable[[str], str], job: Path
) -> tuple[dict[str, Any], EmulationError | None]:
    """The controller's status with all rules' counters, and what is wrong with those.

    On a busy machine a switch may answer late, and a revalidator that is at a flow just
    then leaves it out when all are asked to bring their counters up to date. Both pass, so
    nothing is said to be wrong before it was so for a while.
    """
    from testbed.probes.carried import carried  # noqa: PLC0415

    arrived = carried(plan, job / "samples") if not plan.events else {}
    end = time.monotonic() + SETTLE_S
    while True:
        appctl("revalidator/purge")
        status = control.counters()
        wrong = None if plan.events else _wrong(plan, status, arrived)
        if wrong is None or time.monotonic() > end:
            return status, wrong
        time.sleep(SETTLE_STEP_S)


def _wrong(plan: Plan, status: dict[str, Any], arrived: dict[str, int]) -> EmulationError | None:
    """What counters have against the plan, where nothing but it has happened."""
    from testbed.emulation.proof import check_counters  # noqa: PLC0415

    if status["silent"]:
        return EmulationError(
            f"no counters came from {', '.join(status['silent'])}",
            where="OpenFlow, after traffic",
            expected=f"an answer of every switch within {SETTLE_S:.0f} s",
            remedy="a less busy machine, or the virtual lab, whose clock waits",
        )
    try:
        check_counters(plan, status["counters"], arrived)
    except EmulationError as error:
        return error
    return None


def shell(job: Path, order: dict[str, Any], stack: ExitStack) -> int:
    """The Mininet prompt on the built network, or the commands of JOB/script."""
    from testbed.emulation.prompt import Prompt  # noqa: PLC0415

    plan = msgspec.json.decode((job / "plan.json").read_bytes(), type=Plan)
    net, _ = _network(job, plan, Progress(job), stack)
    assert net.ovs is not None
    net.ovs.wait_ready()
    if order.get("northbound"):
        _northbound(job, Progress(job), stack, order["northbound"])
    script = job / "script"
    Prompt(net, script if script.exists() else None)
    return 0


def execute(_job: Path, order: dict[str, Any], stack: ExitStack) -> int:
    """A command, with Open vSwitch running at its usual place."""
    if order.get("ovs", True):
        from testbed.emulation.ovs import start_ovs  # noqa: PLC0415

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


def _network(
    job: Path, plan: Plan, say: Progress, stack: ExitStack, watch: Watch | None = None
) -> tuple[LabNet, Controller]:
    """Switches, links and rules; all undone by the stack."""
    from testbed.emulation.control import controller  # noqa: PLC0415
    from testbed.emulation.network import LabNet  # noqa: PLC0415

    control = stack.enter_context(controller(job, plan, watch))
    say("build", f"{len(plan.hosts)} hosts, {len(plan.switches)} switches, {len(plan.ports)} ports")
    net = LabNet(plan)
    stack.callback(net.stop)
    stack.callback(_keep_logs, net, job)
    net.build()
    say("switches", "bridges, then every delay and queue read back from the kernel")
    net.start(wait=False)
    say("install", f"{len(plan.rules)} rules on {len(plan.switches)} switches")
    control.wait_listening()
    net.connect(control.address)
    control.wait_installed()
    assert net.ovs is not None
    net.ovs.wait_live()
    if watch is not None:
        for name, child in net.ovs.children.items():
            watch.add(name, child, _SWITCH[name], vital=True, said=partial(net.ovs.words, name))
    return net, control


def _keep_logs(net: LabNet, job: Path) -> None:
    if net.ovs is not None:
        for log in net.ovs.rundir.glob("*.log"):
            shutil.copy(log, job)


def _thread(target: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def _northbound(
    job: Path,
    say: Progress,
    stack: ExitStack,
    port: int | None = None,
    watch: Watch | None = None,
) -> Northbound:
    from testbed.northbound.address import PORT  # noqa: PLC0415
    from testbed.northbound.child import Northbound  # noqa: PLC0415

    port = port or PORT
    say("northbound", f"slices over HTTP at 127.0.0.1:{port}")
    north = Northbound(job, port, watch)
    stack.callback(north.stop)
    return north


def _clock(plan: Plan, start_ns: int, say: Progress, clocks: Clocks) -> None:
    """Progress in seconds of traffic, and a look at the clocks."""
    seconds = max(1, round(plan.duration_ns / 1e9))
    for second in range(seconds + 1):
        time.sleep(max(0, start_ns + second * 1_000_000_000 - time.monotonic_ns()) / 1e9)
        clocks.look()
        say("traffic", f"{len(plan.sessions)} sessions, {len(plan.loads)} loads", second, seconds)


if __name__ == "__main__":
    code = main(sys.argv)
    sys.stdout.flush()
    os._exit(code)
