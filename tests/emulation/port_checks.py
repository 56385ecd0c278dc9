"""Runs inside a lab: a port with queues of every kind, flooded, with a tap on either side.

    h1 --- s1 ==port==> s2 --- h2        python3 -m tests.emulation.port_checks FOLDER

Leaves h1-s1.pcap, s2-s1.pcap and counted.json, the port's counters before and after.
`test_port_lab` holds them against the reference model.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from testbed.emulation.netns import entered
from testbed.emulation.network import LabNet
from testbed.emulation.readback import PortCounters
from testbed.plan.model import Plan
from testbed.port.pipeline import Port
from testbed.port.queues import Queue
from testbed.scenario.model import Capture
from tests.emulation.plans import linear
from tests.ports import changed

MBIT = 1_000_000
PACKETS = 3000
GAP_S = 0.0004
"""Mean, between packets that take 0.5 ms on average."""
QUEUES = tuple(
    Queue(
        id=id_,
        name=name,
        promised_bps=rate,
        peak_bps=peak,
        level=level,
        limit_packets=room,
    )
    for id_, name, rate, peak, level, room in (
        (0, "best-effort", MBIT // 2, 0, 7, 15),
        (1, "protected", 2 * MBIT, 0, 0, 3),
        (2, "capped", 0, 3 * MBIT, 1, 20),
        (3, "shared", 0, 0, 7, 10),
    )
)


def flooded() -> Plan:
    """The hosts' own ports are not shaped: packets are at s1 when they are sent."""
    base = linear(2, rate_bps=10 * MBIT, delay_ns=123_457, queues=QUEUES)
    ports = tuple(p if p.queues else changed(p, rate_bps=None, delay_ns=0) for p in base.ports)
    return msgspec.structs.replace(base, ports=ports)


def port() -> Port:
    """The one that is looked at."""
    return flooded().port("s1", "s2")


def main(folder: Path) -> None:
    net = LabNet(flooded())
    net.start()
    try:
        for node in ("s1", "s2"):
            rules = [
                f"in_port={a},ip,nw_tos={queue.id << 5},actions=set_queue:{queue.id},output:{3 - a}"
                for a in (1, 2)
                for queue in QUEUES
            ]
            subprocess.run(
                ["ovs-ofctl", "-O", "OpenFlow13", "add-flows", node, "-"],
                input="\n".join(rules),
                text=True,
                check=True,
            )
        measure(net, folder)
    finally:
        net.stop()


def measure(net: LabNet, folder: Path) -> None:
    with entered(net.netns("h2")):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.0.0.2", 9))
    ways = []
    with entered(net.netns("h1")):
        for queue in QUEUES:
            way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            way.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, queue.id << 5)
            way.connect(("10.0.0.2", 9))
            ways.append(way)
            way.send(bytes(18))  # no packet that is looked at is a flow's first
    time.sleep(1)
    before = counters(net)
    net.start_captures([Capture(node="h1", peer="s1"), Capture(node="s2", peer="s1")], folder)
    rng = random.Random(5)
    for number in range(PACKETS):
        size = rng.choice((18, 200, 700, 1472))
        rng.choice(ways).send(number.to_bytes(4, "big").ljust(size, b"\0"))
        if rng.random() < 0.6:  # else the next follows at once
            time.sleep(rng.expovariate(1 / GAP_S) / 0.6)
    time.sleep(1)
    net.stop_captures()
    rows = {"before": before, "after": counters(net)}
    (folder / "counted.json").write_bytes(msgspec.json.encode(rows))


def counters(net: LabNet) -> PortCounters:
    (one,) = (one for one in net.statistics() if one.name == port().name)
    return one


if __name__ == "__main__":
    main(Path(sys.argv[1]))
