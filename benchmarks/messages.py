"""Messages of 1 to 50 packets as the probes count them, against packet captures.

    python -m benchmarks.messages               random loss, tail drop, copies out of order
    python -m benchmarks.messages --seconds 20

Two ways lead from host a to host b, the upper one shorter; both ends are captured by
tcpdump. What each message is comes from the captures alone, packet by packet in the order
of arrival: which of its packets came, when the last one of them did, and which were
overtaken (RFC 4737). The samples of the same run must say the same, to the nanosecond.

    random loss   on the fibres of the upper way
    tail drop     bursts meet a port of the upper way with little room
    out of order  both ways carry copies (FRER) and lose packets: what one way has lost comes
                  late by the other
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scapy.utils import RawPcapReader

from testbed.lab.virtual import VirtualLab
from testbed.net.walk import walk_failures
from testbed.plan.compile import compile_plan
from testbed.plan.matches import DISCARD_PORT
from testbed.plan.model import Plan, Session
from testbed.prepare import Prepared, classes, policy
from testbed.results.folder import CAPTURES, RunFolder
from testbed.run import execute
from testbed.scenario.model import Capture, Probe, Protection, Slice, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo

PACKETS = (1, 2, 3, 8, 20, 50)
"""Of the messages of each session."""
_FEW = 3
"""Such messages follow each other within the difference of the two ways."""
_FULL_BYTES, _LAST_BYTES = 1448, 100
_NO_MESSAGE = 0xFFFF_FFFF


class TwoWays(MetroTopo):
    """a - in = (upper, lower) = out - b."""

    def build(self, rate: str, buffer: int, loss: float) -> None:
        for name in ("in", "upper", "lower", "out"):
            self.switch(name, "switch")
        for host, switch in (("a", "in"), ("b", "out")):
            self.host(host, "compute")
            self.lan(host, switch)
        for way, km in (("upper", 10.3), ("lower", 417.0)):
            for end in ("in", "out"):
                self.fibre(end, way, km=km, rate=rate, loss_percent=loss, buffer_packets=buffer)


class Kind(NamedTuple):
    """How packets get lost or late."""

    name: str
    rate: str
    buffer: int = 1000
    loss: float = 0.0
    """Percent."""
    protection: Protection = "none"


KINDS = (
    Kind("random loss", "1 Gbit/s", loss=1.0),
    Kind("tail drop", "100 Mbit/s", buffer=30),
    Kind("out of order", "1 Gbit/s", loss=3.0, protection="frer"),
)


def prepared(kind: Kind, seconds: float, seed: int = 1) -> Prepared:
    """A session for each size of message, in one slice."""
    network = describe(TwoWays(kind.rate, kind.buffer, kind.loss), "two-ways")
    probes = tuple(
        Probe(
            id=f"p{packets}",
            app="site_reach",
            terminal="a",
            server="b",
            slice="all",
            interval_ns=2_000_000 if packets <= _FEW else 20_000_000,
            size_bytes=(packets - 1) * _FULL_BYTES + _LAST_BYTES,
            duration_ns=round(seconds * 1e9),
        )
        for packets in PACKETS
    )
    scenario = Scenario(
        experiment="messages",
        question="Do probes count messages as captures do?",
        params={},
        seed=seed,
        policy="lowest_delay",
        topology=TopologyRef(name=network.name),
        slices=(Slice(id="all", sst=1, protection=kind.protection),),
        probes=probes,
        captures=(Capture(node="a", peer="in"), Capture(node="b", peer="out")),
        warmup_ns=0,
    )
    plan = compile_plan(scenario, network, policy(scenario.policy), classes())
    walk_failures(plan)
    return Prepared(scenario=scenario, plan=plan)


class Told(NamedTuple):
    """One message."""

    arrived: int
    """Packets of it, copies not counted."""
    delay_ns: int | None
    """From its first packet to the last of its packets to come; None: some never came."""
    copies: int
    """Of the packet that came most often."""
    late_packets: int
    late: bool
    """Out of order, the packets or the message (RFC 4737)."""


Seen = tuple[int, int, int]
"""When a packet was captured, its message's number and its own in the message."""


def captured(pcap: Path, session: Session) -> Iterator[Seen]:
    """The packets of a session from sender to reflector, in the order of capture."""
    sender = bytes(map(int, session.sender_ip.split(".")))
    with RawPcapReader(str(pcap)) as reader:
        for data, meta in reader:
            ip = data[14:]
            if data[12:14] != b"\x08\x00" or ip[9] != 17 or ip[12:16] != sender:
                continue
            source, target = int.from_bytes(ip[20:22], "big"), int.from_bytes(ip[22:24], "big")
            if source != session.sender_port:
                continue
            number = int.from_bytes(ip[28:32], "big")
            if number == _NO_MESSAGE:
                continue
            index = session.fragments - 1
            if target == DISCARD_PORT:
                index = int.from_bytes(ip[32:36], "big")
            yield meta.sec * 1_000_000_000 + meta.usec, number, index


def by_captures(plan: Plan, folder: Path, session: Session) -> list[Told]:
    """Every message of a session as the wire had it."""
    nodes = session.paths[0].nodes
    left: dict[int, int] = {}
    for at_ns, number, _ in captured(folder / f"{nodes[0]}-{nodes[1]}.pcap", session):
        left.setdefault(number, at_ns)
    first: dict[tuple[int, int], int] = {}
    copies: dict[tuple[int, int], int] = {}
    late_packets, latest = dict.fromkeys(left, 0), (-1, -1)
    late, newest = set[int](), -1
    missing = {number: set(range(session.fragments)) for number in left}
    for at_ns, number, index in captured(folder / f"{nodes[-1]}-{nodes[-2]}.pcap", session):
        copies[number, index] = copies.get((number, index), 0) + 1
        if (number, index) in first:
            continue
        first[number, index] = at_ns
        late_packets[number] += (number, index) < latest
        latest = max(latest, (number, index))
        missing[number].discard(index)
        if not missing[number]:
            if number < newest:
                late.add(number)
            newest = max(newest, number)
    indices = range(session.fragments)
    return [
        Told(
            arrived=session.fragments - len(missing[number]),
            delay_ns=None
            if missing[number]
            else max(first[number, index] for index in indices) - left[number],
            copies=max(copies.get((number, index), 0) for index in indices),
            late_packets=late_packets[number],
            late=number in late,
        )
        for number in sorted(left)
    ]


def by_samples(rows: pd.DataFrame) -> list[Told]:
    """The same as the run's table has it."""
    rows = rows.sort_values("seq")
    delays = rows["forward_ns"].fillna(-1).astype(int).where(~rows["lost_forward"])
    columns = (
        rows["arrived"].astype(int),
        [None if np.isnan(delay) else int(delay) for delay in delays],
        rows["copies_forward"].astype(int),
        rows["reordered_packets"].astype(int),
        rows["reordered_forward"].astype(bool),
    )
    return [Told(*told) for told in zip(*columns, strict=True)]


class Compared(NamedTuple):
    """A session's messages."""

    session: Session
    wire: list[Told]
    probes: list[Told]

    @property
    def differ(self) -> int:
        """Messages of which samples and captures do not say the same."""
        pairs = zip(self.wire, self.probes, strict=False)
        return sum(a != b for a, b in pairs) + abs(len(self.wire) - len(self.probes))


def compared(run: RunFolder) -> list[Compared]:
    """Each session of a run."""
    groups = dict(tuple(run.samples.groupby("session", observed=True)))
    return [
        Compared(
            session,
            by_captures(run.plan, run.path / CAPTURES, session),
            by_samples(groups[session.id]),
        )
        for session in run.plan.sessions
    ]


def measured(kind: Kind, seconds: float, root: Path) -> RunFolder:
    """A run in the virtual lab."""
    return RunFolder(
        execute(
            prepared(kind, seconds),
            VirtualLab(),
            root=root,
            notes=(),
            command=sys.argv,
            show=lambda _: None,
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Messages against captures.")
    parser.add_argument("--seconds", type=float, default=8.0, help="of traffic, each kind")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    table = Table(
        "", "packets", "messages", "lost", "late", "packets lost", "late", "copies", "differ"
    )
    differ = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="bench-") as root:
            for one in compared(measured(kind, asked.seconds, Path(root))):
                count, wire = one.session.fragments, one.wire
                differ += one.differ
                table.add_row(
                    kind.name,
                    str(count),
                    f"{len(wire):,}",
                    f"{sum(told.delay_ns is None for told in wire):,}",
                    f"{sum(told.late for told in wire):,}",
                    f"{sum(count - told.arrived for told in wire):,}",
                    f"{sum(told.late_packets for told in wire):,}",
                    f"{np.mean([told.copies for told in wire]):.2f}",
                    str(one.differ),
                )
    console.print(table)
    console.print(
        f"{differ} messages of which the probes' samples and the captures say different things "
        "(packets that came, delay in ns, copies, order)"
    )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
