"""Runs inside a lab: probes and loads between two namespaces, 1 ms and 20 Mbit/s each way.

    python3 -m tests.probes.in_lab FOLDER

    a (10.0.0.1) ---- veth, netem delay 1 ms each way ---- b (10.0.0.2)

FOLDER/clean has 1000 probes at 100 Hz, FOLDER/lossy 1000 with 10 % loss each way, and
FOLDER/loads.json what loads of each kind, a flood of 30 Mbit/s among them, did on a 20 Mbit/s link.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from testbed.emulation.netns import entered, make
from testbed.plan.model import Load, Plan
from testbed.probes.engine import ProbeEngine
from testbed.traffic.loads import Loads
from tests.probes.plans import MS, path, plan, session

ENDS = {"a": ("va", "10.0.0.1", "02:00:00:00:00:01"), "b": ("vb", "10.0.0.2", "02:00:00:00:00:02")}
S = 1_000_000_000


def sh(command: str) -> None:
    subprocess.run(command.split(), check=True)


def build() -> dict[str, int]:
    namespaces = dict(zip(ENDS, make(2), strict=True))
    sh("ip link add va type veth peer name vb")
    for name, (device, address, mac) in ENDS.items():
        sh(f"ip link set {device} netns /proc/{os.getpid()}/fd/{namespaces[name]}")
        with entered(namespaces[name]):
            sh(f"ip link set {device} address {mac}")
            sh(f"ip address add {address}/24 dev {device}")
            sh(f"ip link set {device} up")
    for name, peer in (("a", "b"), ("b", "a")):
        device, (_, address, mac) = ENDS[name][0], ENDS[peer]
        with entered(namespaces[name]):
            sh(f"ip neighbour add {address} lladdr {mac} dev {device}")
            sh(f"tc qdisc add dev {device} root netem delay 1ms limit 10000")
    return namespaces


def shape(namespaces: dict[str, int], netem: str) -> None:
    for name, (device, _, _) in ENDS.items():
        with entered(namespaces[name]):
            sh(f"tc qdisc change dev {device} root netem delay 1ms {netem}")


def one(name: str, interval_ns: int) -> Plan:
    ends = {"sender_ip": "10.0.0.1", "reflector_ip": "10.0.0.2", "reflector_port": 862}
    return plan(session(name, count=1000, interval_ns=interval_ns, size_bytes=200, **ends))


def background(kind: Any, number: int, rate_bps: int) -> Load:
    return Load(
        id=kind,
        slice="s",
        kind=kind,
        src="a",
        dst="b",
        src_ip="10.0.0.1",
        dst_ip="10.0.0.2",
        port=6000 + number,
        rate_bps=rate_bps,
        packet_bytes=1448,
        dscp=0,
        start_ns=number * 2500 * MS,
        duration_ns=2 * S,
        paths=(path("a", "b", ("a", "b")), path("b", "a", ("b", "a"))),
    )


def main(folder: Path) -> None:
    namespaces = build()
    for name, netem, interval_ns in (("clean", "", 10 * MS), ("lossy", "loss 10%", 2 * MS)):
        shape(namespaces, f"limit 10000 {netem}")
        probes = ProbeEngine(one(name, interval_ns), namespaces.__getitem__, folder / name)
        probes.prepare()
        probes.start(time.monotonic_ns() + 200 * MS)
        probes.finish()
    shape(namespaces, "limit 300 loss 0% rate 20mbit")
    kinds = (("udp", 5_000_000), ("tcp", 8_000_000), ("flood", 30_000_000))
    wanted = [background(kind, number, rate) for number, (kind, rate) in enumerate(kinds)]
    loads = Loads(plan(loads=tuple(wanted)), namespaces.__getitem__, folder)
    loads.prepare()
    loads.start(time.monotonic_ns() + 100 * MS)
    time.sleep(8.5)
    loads.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
