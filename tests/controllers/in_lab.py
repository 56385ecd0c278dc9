"""Runs inside a lab: the chain built, its rules installed by either framework, traffic, counters.

    python3 -m tests.controllers.in_lab FOLDER [PACKAGES]

PACKAGES is where the controller looks for its framework first. Writes what was found
to FOLDER/<framework>.json.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from testbed.emulation import proof
from testbed.emulation.appctl import Appctl
from testbed.emulation.netns import entered
from testbed.emulation.network import LabNet
from testbed.errors import EmulationError
from testbed.plan.model import Plan, Session
from tests.controllers.chain import chain

PORT = 6653
FULL_PACKET = 1472
"""UDP payload of a 1500-byte packet: on a labelled link it is longer than that."""


def main(folder: Path, packages: str | None) -> None:
    plan = chain(3)
    scratch = Path(tempfile.mkdtemp())
    plan_file, status_file = scratch / "plan.json", scratch / "status.json"
    plan_file.write_bytes(msgspec.json.encode(plan))
    path = os.environ["PYTHONPATH"]
    if packages:
        path = f"{packages}:{path}"
    controller = subprocess.Popen(
        [
            *(sys.executable, "-m", "controllers.launch", "--port", str(PORT), "--timeout", "60"),
            *("--plan", str(plan_file), "--status", str(status_file)),
        ],
        env=os.environ | {"PYTHONPATH": path},
    )
    net = LabNet(plan, controller=("127.0.0.1", PORT))
    try:
        net.start()
        while not status_file.exists() and controller.poll() is None:
            time.sleep(0.01)
        status = json.loads(status_file.read_text())
        assert status["installed"], status
        flows = {switch.name: dump_flows(switch.name) for switch in plan.switches}
        (control,) = Path(os.environ["OVS_RUNDIR"]).glob("ovs-vswitchd.*.ctl")
        appctl = Appctl(control)
        began = time.monotonic()
        traces = proof.trace_paths(plan, appctl)
        tracing = time.monotonic() - began
        wrong = misled(plan, appctl)
        echoed = echo(net, plan.sessions[0], 20)
        appctl("revalidator/purge")
        controller.terminate()
        controller.wait(20)
        status = json.loads(status_file.read_text())
        session = plan.sessions[0]
        proof.check_counters(
            plan, status["counters"], {session.paths[0].id: echoed, session.paths[1].id: echoed}
        )
    finally:
        controller.kill()
        controller.wait()
        net.stop()
    found = {
        "status": status,
        "flows": flows,
        "traces": msgspec.to_builtins(traces),
        "tracing_seconds": tracing,
        "wrong": wrong,
        "echoed": echoed,
        "returncode": controller.returncode,
    }
    framework = status["framework"].split()[0]
    (folder / f"{framework}.json").write_text(json.dumps(found, indent=1))


def misled(plan: Plan, appctl: Appctl) -> str:
    """What tracing says when the second switch sends the session back; put right again."""
    match = "priority=100,mpls,in_port=1,mpls_label=17"
    back, on = "set_queue:2,in_port", "set_queue:2,output:2"
    command = ["ovs-ofctl", "-O", "OpenFlow13", "mod-flows", "--strict", "s2"]
    subprocess.run([*command, f"{match},actions={back}"], check=True)
    try:
        proof.trace_paths(plan, appctl)
        return ""
    except EmulationError as error:
        return str(error)
    finally:
        subprocess.run([*command, f"{match},actions={on}"], check=True)


def dump_flows(switch: str) -> list[str]:
    """The rules as ovs-ofctl shows them, without what counts."""
    text = subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [row.strip() for row in text.splitlines() if "cookie=" in row]
    return sorted(re.sub(r"(duration|n_packets|n_bytes)=[^,]+, ", "", row) for row in rows)


def echo(net: LabNet, session: Session, count: int) -> int:
    """Send `count` full packets of the session and back; how many returned."""
    with entered(net.netns(session.reflector)):
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        there.bind((session.reflector_ip, session.reflector_port))
    with entered(net.netns(session.sender)):
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        here.bind((session.sender_ip, session.sender_port))
        here.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, session.dscp << 2)
        here.settimeout(0.5)

    def reflect() -> None:
        while True:
            data, address = there.recvfrom(9000)
            there.sendto(data, address)

    threading.Thread(target=reflect, daemon=True).start()
    back = 0
    for _ in range(count):
        here.sendto(bytes(FULL_PACKET), (session.reflector_ip, session.reflector_port))
        try:
            back += len(here.recv(9000)) == FULL_PACKET
        except TimeoutError:
            continue
    return back


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    sys.stdout.flush()
    os._exit(0)
