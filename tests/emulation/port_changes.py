"""Runs inside a lab: what the kernel's port refuses, how much it takes, and live changes.

    p1 ==port==> p2        python3 -m tests.emulation.port_changes FOLDER

Leaves changes.json, which `test_port_changes_lab` judges.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from testbed.emulation import lab_qdisc, tc
from testbed.emulation import netlink as nl
from testbed.emulation.lab_qdisc import QueueStatistics
from testbed.port.background import Source
from testbed.port.gates import MAX_GATES, Gate
from testbed.port.pipeline import Pipeline
from testbed.port.policers import Policer
from testbed.port.queues import MAX_QUEUES, Queue
from tests.ports import changed, shaped

MBIT = 1_000_000
SLOW = shaped(MBIT, delay_ns=200_000_000, queues=(Queue(id=0), Queue(id=1, level=1)))
FRAME = bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]) + bytes(1236)
"""1250 bytes: 10 ms at 1 Mbit/s."""

STRANGE = {
    "a gap of days": shaped(
        MBIT, sources=(Source(rate_bps=1, sizes=((131_072, 1),), burst=10_000),)
    ),
    "a start in centuries": shaped(MBIT, sources=(Source(rate_bps=MBIT, start_ns=2**63),)),
    "a burst of years": shaped(MBIT, queues=(Queue(id=0, promised_bps=8, burst_bytes=2**28),)),
    "overhead": shaped(MBIT, overhead_bytes=2**30),
    "an empty interval": shaped(MBIT, gates=(Gate(interval_ns=0, open=(0,)),)),
    "a cycle of hours": shaped(MBIT, gates=(Gate(interval_ns=2**63, open=(0,)),) * 2),
    "two policers of one number": shaped(
        MBIT, policers=(Policer(queue=1, rate_bps=MBIT, burst_bytes=3000),) * 2
    ),
    "no default queue": shaped(MBIT, default=7),
}

FULL = shaped(
    10**10,
    gate_base_ns=5,
    queues=tuple(Queue(id=n, level=n) for n in range(MAX_QUEUES)),
    policers=tuple(
        Policer(queue=n, rate_bps=MBIT + n, burst_bytes=3000) for n in range(MAX_QUEUES)
    ),
    sources=tuple(
        Source(queue=n, rate_bps=MBIT, start_ns=10**15, seed=n) for n in range(MAX_QUEUES)
    ),
    gates=tuple(
        Gate(interval_ns=10**6 + n, open=tuple(range(n % MAX_QUEUES + 1))) for n in range(MAX_GATES)
    ),
)


class Link:
    """Two ends of a wire; one has the port."""

    def __init__(self) -> None:
        for command in ("add p1 type veth peer name p2", "set p1 up arp off", "set p2 up arp off"):
            subprocess.run(["ip", "link", *command.split()], check=True)
        self.index = socket.if_nametoindex("p1")
        self.netlink = nl.Netlink()
        self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sender.bind(("p1", 0))
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        self.receiver.bind(("p2", 0))
        self.receiver.setblocking(False)

    def request(self, port: Pipeline) -> nl.Request:
        return lab_qdisc.setting(self.index, port, "a port")

    def set(self, port: Pipeline) -> None:
        self.netlink.do([self.request(port)])

    def refusal(self, port: Pipeline) -> str:
        return "; ".join(map(str, self.netlink.refusals([self.request(port)])))

    def read(self) -> tc.Seen:
        return tc.dump(self.netlink, [self.index])[self.index]

    def counters(self) -> dict[int, QueueStatistics]:
        return {one.id: one for one in lab_qdisc.statistics(self.read().stats[tc.ROOT])}

    def send(self, queue: int, count: int) -> None:
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, tc.HANDLE | queue + 1)
        for _ in range(count):
            self.sender.send(FRAME)

    def received(self) -> int:
        count = 0
        while True:
            try:
                self.receiver.recv(2048)
            except BlockingIOError:
                return count
            count += 1


def after(link: Link, port: Pipeline) -> dict[str, Any]:
    """Ten packets a queue at 10 ms each; after 55 ms the port becomes another."""
    link.set(SLOW)
    link.received()
    before = link.counters()
    link.send(0, 10)
    link.send(1, 10)
    time.sleep(0.055)
    link.set(port)
    now = link.counters()
    time.sleep(2)
    ended = link.counters()
    return {
        "waiting": {id_: one.backlog_packets for id_, one in now.items()},
        "sent": {
            id_: one.packets - (before[id_].packets if id_ in before else 0)
            for id_, one in ended.items()
        },
        "drops": {
            id_: one.drops - (before[id_].drops if id_ in before else 0)
            for id_, one in ended.items()
        },
        "received": link.received(),
        "left": link.read().stats[tc.ROOT] and tc.counted(link.read().stats[tc.ROOT]),
    }


def background(link: Link) -> dict[str, int]:
    """A source that is set again goes on; one that stops before it begins sends nothing."""
    now = time.monotonic_ns()
    loaded = changed(
        SLOW,
        rate_bps=10 * MBIT,
        sources=(
            Source(rate_bps=MBIT, sizes=((1250, 1),), start_ns=now + 1, arrivals="periodic"),
            Source(queue=1, rate_bps=800, sizes=((1000, 1),), start_ns=now, stop_ns=now + 1),
        ),
    )
    link.set(loaded)
    time.sleep(1)
    once = link.counters()[0].background_packets
    link.set(loaded)
    again = link.counters()[0].background_packets
    time.sleep(1)
    link.set(changed(loaded, sources=()))
    twice = link.counters()
    time.sleep(20)
    return {
        "once": once,
        "again": again,
        "twice": twice[0].background_packets,
        "ended": link.counters()[0].background_packets,
        "stopped": link.counters()[1].background_packets,
    }


def main(folder: Path) -> None:
    link = Link()
    link.set(SLOW)
    found: dict[str, Any] = {
        "refusals": {name: link.refusal(port) for name, port in STRANGE.items()},
        "unharmed": lab_qdisc.decode(link.read().options[tc.ROOT]) == SLOW,
    }
    link.set(FULL)
    full = link.read()
    found["full"] = lab_qdisc.decode(full.options[tc.ROOT]) == FULL
    found["full statistics"] = len(lab_qdisc.statistics(full.stats[tc.ROOT]))
    zero, one = SLOW.queues
    more = Queue(id=2)
    others: dict[str, Pipeline] = {
        "same": SLOW,
        "faster": changed(SLOW, rate_bps=100 * MBIT),
        "nearer": changed(SLOW, delay_ns=0),
        "one more": changed(SLOW, queues=(more, one, zero)),
        "one less": changed(SLOW, queues=(zero,)),
        "smaller": changed(SLOW, queues=(msgspec.structs.replace(zero, limit_packets=2), one)),
        "default moves": changed(SLOW, queues=(one, more), default=2),
        "narrow": changed(
            SLOW,
            gates=(
                Gate(interval_ns=9_000_000, open=(0,)),
                Gate(interval_ns=20_000_000, open=(1,)),
            ),
        ),
    }
    found["changes"] = {name: after(link, port) for name, port in others.items()}
    found["background"] = background(link)
    (folder / "changes.json").write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
