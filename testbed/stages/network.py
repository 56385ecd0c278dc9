"""The network of a plan, standing: what every stage, and the prompt, begins with."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from testbed.emulation.appctl import Appctl
from testbed.emulation.control import controller
from testbed.emulation.network import LabNet
from testbed.emulation.watch import Watch
from testbed.plan.model import Plan
from testbed.stages.stage import Run, Say

_SWITCH = {
    "ovs-vswitchd": "no switch learns of new packets, rules or failures without it",
    "ovsdb-server": "no switch can be made or changed without it",
}


def stand(job: Path, say: Say, stack: ExitStack) -> Run:
    """Switches, links and rules of JOB/plan.json; all undone by the stack.

    Raises EmulationError.
    """
    plan = msgspec.json.decode((job / "plan.json").read_bytes(), type=Plan)
    watch = Watch()
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
    for name, child in net.ovs.children.items():
        watch.add(name, child, _SWITCH[name], vital=True, said=partial(net.ovs.words, name))
    appctl = Appctl(next(net.ovs.rundir.glob("ovs-vswitchd.*.ctl")))
    stack.callback(appctl.close)
    return Run(job, plan, say, stack, watch, net, control, appctl)


def _keep_logs(net: LabNet, job: Path) -> None:
    if net.ovs is not None:
        for log in net.ovs.rundir.glob("*.log"):
            shutil.copy(log, job)
