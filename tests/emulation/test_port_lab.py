"""A port of the virtual lab against the reference model, packet by packet."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from testbed.emulation.readback import PortCounters, QueueCounters
from testbed.lab.base import CONSOLE, GUEST_JOB
from testbed.lab.virtual import VirtualLab
from testbed.port.events import Fate, run
from testbed.port.stage import Arrival
from tests.emulation.port_checks import PACKETS, QUEUES, port

pytestmark = [pytest.mark.lab, pytest.mark.exact]

LAB = VirtualLab()


class Packet(NamedTuple):
    """A packet at a tap."""

    number: int
    time_ns: int
    bytes: int
    queue: int


class Found(NamedTuple):
    """What the lab left, and what the model makes of the arrivals."""

    arrived: list[Packet]
    delivered: dict[int, int]
    fates: dict[int, Fate]
    counted: dict[str, PortCounters]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    job = tmp_path_factory.mktemp("job")
    with LAB.start(job, ["python3", "-m", "tests.emulation.port_checks", GUEST_JOB]) as process:
        code = process.wait(timeout=120)
    assert code == 0, (job / CONSOLE).read_text()
    arrived, delivered = (packets(job / f"{name}.pcap") for name in ("h1-s1", "s2-s1"))
    offered = [Arrival(p.time_ns, p.bytes, p.queue) for p in arrived]
    fates = run(port(), offered)
    return Found(
        arrived,
        {packet.number: packet.time_ns for packet in delivered},
        {packet.number: fate for packet, fate in zip(arrived, fates, strict=True)},
        msgspec.json.decode((job / "counted.json").read_bytes(), type=dict[str, PortCounters]),
    )


def packets(path: Path) -> list[Packet]:
    """The UDP packets of a capture in nanoseconds, towards h2."""
    data = path.read_bytes()
    assert data[:4].hex() == "4d3cb2a1"
    rows, at = [], 24
    while at < len(data):
        seconds, ns, kept, length = struct.unpack_from("=IIII", data, at)
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if frame[12:14] == b"\x08\0" and frame[30:34] == bytes([10, 0, 0, 2]):
            number = int.from_bytes(frame[42:46], "big")
            rows.append(Packet(number, seconds * 10**9 + ns, length, frame[15] >> 5))
    return rows


def test_every_packet_is_delivered_when_the_model_says(found: Found) -> None:
    assert len(found.arrived) == PACKETS
    expected = {n: fate.delivery_ns for n, fate in found.fates.items() if fate.delivery_ns}
    assert found.delivered.keys() == expected.keys()
    off = [found.delivered[n] - ns for n, ns in expected.items()]
    print(f"{len(off)} deliveries, {PACKETS - len(off)} drops, off by {min(off)} to {max(off)} ns")
    assert off == [0] * len(off)


def test_it_was_worth_looking_at(found: Found) -> None:
    """Packets of every queue were delivered, waited, and were dropped."""
    for queue in QUEUES:
        of = [found.fates[p.number] for p in found.arrived if p.queue == queue.id]
        starts = [
            fate.start_ns - p.time_ns
            for p in found.arrived
            if p.queue == queue.id and (fate := found.fates[p.number]).start_ns is not None
        ]
        assert 0 < len(starts) < len(of), queue.name
        assert max(starts) > 1_000_000, queue.name


def test_counters_are_the_models(found: Found) -> None:
    before, after = found.counted["before"], found.counted["after"]
    assert before.discipline == after.discipline == "port"
    for was, now in zip(before.queues, after.queues, strict=True):
        mine = [(p, found.fates[p.number]) for p in found.arrived if p.queue == now.id]
        sent = [(p, f.start_ns) for p, f in mine if f.start_ns is not None]
        assert now.packets - was.packets == len(sent)
        assert now.sent_bytes - was.sent_bytes == sum(p.bytes for p, _ in sent)
        assert now.drops - was.drops == len(mine) - len(sent)
        assert waited(now) - waited(was) == sum(start - p.time_ns for p, start in sent)
        assert now.backlog_packets == 0
        room = next(queue.limit_packets for queue in QUEUES if queue.id == now.id)
        assert now.max_backlog_packets == room  # since something was dropped


def waited(queue: QueueCounters) -> int:
    assert queue.wait_ns is not None
    return queue.wait_ns
