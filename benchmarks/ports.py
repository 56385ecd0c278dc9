"""Holds the lab's ports against the reference model, packet by packet.

    python -m benchmarks.ports [--packets N] [--cases N] [--lab virtual|lab-kernel-wall]

For each case the model is given the arrivals seen before the first port, and computes
when every packet comes out of the last one, or where it is dropped. Printed: the
largest difference to what was seen, and drops in model and lab.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.ports_cases import Case, background_cases, cases, scheduling_cases
from testbed.emulation.lab_qdisc import QueueStatistics
from testbed.lab.uml import UmlLab
from testbed.lab.virtual import LabKernelWallLab, VirtualLab
from testbed.port.background import Source, arrivals
from testbed.port.events import run
from testbed.port.gates import Gates
from testbed.port.pipeline import Pipeline
from testbed.port.stage import Arrival
from testbed.scenario.model import Frozen

LABS: dict[str, type[VirtualLab | LabKernelWallLab]] = {
    "virtual": VirtualLab,
    "lab-kernel-wall": LabKernelWallLab,
}
WARMING = 0xFFFFFFFF


class Seen(NamedTuple):
    """A packet at a tap."""

    number: int
    time_ns: int
    bytes: int
    queue: int


class CountedPort(Frozen, frozen=True):
    """A port as the lab had it, and what it counted."""

    port: Pipeline
    queues: tuple[QueueStatistics, ...]


class Counted(Frozen, frozen=True):
    """What the guest leaves of a case."""

    ports: tuple[CountedPort, ...]
    real_ns: int
    """CLOCK_REALTIME less CLOCK_MONOTONIC."""


class Outcome(NamedTuple):
    """One case, lab against model."""

    case: Case
    delivered: int
    dropped_model: int
    dropped_lab: int
    wrong: int
    """Packets dropped in one and delivered in the other."""
    largest_ns: int
    """Largest difference of delivery times."""
    typical_ns: int
    """Median of the differences' absolute values."""
    counters_agree: bool
    """The ports' own counts of packets and drops are the model's, queue by queue."""


def pcap(path: Path) -> list[Seen]:
    """The packets of a capture in nanoseconds."""
    data = path.read_bytes()
    assert struct.unpack_from("=I", data)[0] == 0xA1B23C4D, f"{path}: no nanoseconds"
    rows, at = [], 24
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack_from("=IIII", data, at)
        packet = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if packet[12:14] != b"\x08\0":
            continue
        number = struct.unpack_from("!I", packet, 42)[0]
        if number != WARMING:
            rows.append(Seen(number, seconds * 10**9 + nanoseconds, length, packet[15] >> 5))
    return rows


def reference(port: Pipeline, real_ns: int = 0) -> Pipeline:
    """The same port for the model, whose clock is so far ahead of the lab's monotonic one."""
    gates = port.get(Gates)
    return port.having(gates.begun(real_ns)) if gates else port


def background(asked: Sequence[Source], real_ns: int) -> Iterator[Arrival]:
    """The sources' packets together, on the clock of the captures."""
    for arrival in arrivals(*asked):
        yield arrival._replace(time_ns=arrival.time_ns + real_ns)


Counts = dict[int, list[int]]
"""Queue -> [packets sent, packets dropped]."""


def predict(
    port: Pipeline, hops: int, seen: Sequence[Seen], asked: Sequence[Source], real_ns: int
) -> tuple[dict[int, int], list[Counts]]:
    """When each packet leaves the last port; the counts of each."""
    counts = []
    for _ in range(hops):
        offered = [Arrival(s.time_ns, s.bytes, s.queue) for s in seen]
        fates = run(port, offered, background(asked, real_ns))
        count = {queue.id: [0, 0] for queue in port.queues}
        out = []
        for packet, fate in zip(seen, fates, strict=True):
            queue = packet.queue if packet.queue in count else port.queueing.default
            count[queue][fate.delivery_ns is None] += 1
            if fate.delivery_ns is not None and fate.start_ns is not None:
                out.append((fate.delivery_ns, fate.start_ns, packet))
        counts.append(count)
        seen = [p._replace(time_ns=t) for t, _, p in sorted(out, key=lambda row: row[:2])]
    return {packet.number: packet.time_ns for packet in seen}, counts


def compare(job: Path, number: int, case: Case) -> Outcome:
    """One case's captures and counters against the model."""
    entered, left = (pcap(job / f"{number}-{side}.pcap") for side in ("in", "out"))
    if len(entered) != case.packets:
        raise SystemExit(f"the first tap saw {len(entered)} of {case.packets} packets")
    left_behind = msgspec.json.decode((job / f"{number}.json").read_bytes(), type=Counted)
    had = left_behind.ports[0].port
    model, counts = predict(
        reference(had, left_behind.real_ns),
        case.hops,
        entered,
        had.sources,
        left_behind.real_ns,
    )
    lab = {packet.number: packet.time_ns for packet in left}
    off = sorted(abs(lab[n] - model[n]) for n in lab.keys() & model.keys())
    agree = all(
        [queue.packets, queue.drops + queue.policed] == counts[hop][queue.id]
        for hop, port in enumerate(left_behind.ports)
        for queue in port.queues
    )
    return Outcome(
        case=case,
        delivered=len(lab),
        dropped_model=case.packets - len(model),
        dropped_lab=case.packets - len(lab),
        wrong=len(lab.keys() ^ model.keys()),
        largest_ns=off[-1] if off else 0,
        typical_ns=off[len(off) // 2] if off else 0,
        counters_agree=agree,
    )


def measure(lab: UmlLab, todo: Sequence[Case], job: Path, limit_s: float = 900) -> list[Outcome]:
    """Run the cases in a lab whose job folder is `job`, and compare."""
    (job / "cases.json").write_bytes(msgspec.json.encode(todo))
    process = lab.start(job, ["python3", "-m", "benchmarks.ports_guest", "/results"])
    try:
        process.wait(limit_s)
    finally:
        if process.poll() is None:
            process.kill()
    if not (job / "done.json").exists():
        raise SystemExit((job / "console.log").read_text()[-3000:])
    return [compare(job, number, case) for number, case in enumerate(todo)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--packets", type=int, default=1000)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--background", action="store_true", help="the cases with background")
    parser.add_argument("--scheduling", action="store_true", help="gates, priority, policing")
    parser.add_argument("--lab", choices=LABS, default="virtual")
    parser.add_argument("--keep", type=Path, help="keep captures in this new folder")
    asked = parser.parse_args()
    todo = cases(asked.packets, asked.cases)
    if asked.background:
        todo = background_cases(asked.packets)
    if asked.scheduling:
        todo = scheduling_cases(asked.packets)
    with tempfile.TemporaryDirectory() as folder:
        job = asked.keep or Path(folder)
        job.mkdir(exist_ok=True)
        began = time.monotonic()
        outcomes = measure(LABS[asked.lab](), todo, job)
        took = time.monotonic() - began
    print(f"{'case':58} delivered  drops  model  wrong  median ns  max ns  counters")
    for o in outcomes:
        print(
            f"{o.case.name:58} {o.delivered:9} {o.dropped_lab:6} {o.dropped_model:6} {o.wrong:6} "
            f"{o.typical_ns:10} {o.largest_ns:7}  {'same' if o.counters_agree else 'DIFFER'}"
        )
    good = all(o.wrong == 0 and o.counters_agree for o in outcomes)
    print(
        f"{len(outcomes)} cases, {sum(o.delivered for o in outcomes)} deliveries, "
        f"largest difference {max(o.largest_ns for o in outcomes)} ns, "
        f"drops {'the same' if good else 'NOT the same'}, {took:.0f} s"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
