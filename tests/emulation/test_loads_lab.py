"""Loads in the virtual lab send what the plan says, from their first packet on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from scapy.layers.inet import UDP
from scapy.utils import PcapReader

from testbed.analysis.loads import deviations
from testbed.frames import ETHERNET_OVERHEAD_BYTES, LABEL_BYTES, UDP_HEADERS_BYTES
from testbed.plan.model import Load
from testbed.results.folder import RunFolder
from testbed.scenario.model import Capture
from tests.emulation.test_exact_run_lab import SLOW_GOLD, chain, excess_ns, run
from tests.plan.networks import MBIT, MS, S, flow, probe, scenario

pytestmark = [pytest.mark.lab, pytest.mark.exact]

PORT_BPS = 10 * MBIT


def test_loads_begin_without_a_burst_and_keep_their_rate(tmp_path: Path) -> None:
    """Into a port of a tenth of its host's rate: each delays a probe by one packet at most."""
    loads = (
        flow("slow", "h3", rate_bps=64_000, packet_bytes=200, duration_ns=5 * S // 2),
        flow("udp", "h3", rate_bps=MBIT, start_ns=S // 2, duration_ns=2 * S),
        flow("flood", "h3", kind="flood", rate_bps=MBIT, start_ns=2 * S, duration_ns=S),
    )
    asked = scenario(
        slices=(SLOW_GOLD,),
        probes=(probe(app="app200", interval_ns=2 * MS, duration_ns=3 * S),),
        flows=loads,
        captures=(Capture(node="h3", peer="s1"),),
    )
    plan, folder = run(tmp_path, asked, chain(10 * PORT_BPS, PORT_BPS), (200,))
    off = excess_ns(plan, folder)["p forward"]
    largest = [_transmission_ns(load) for load in plan.loads]
    assert 0.5 * max(largest) < max(off) <= sum(largest)

    record = RunFolder(folder).record("6-loads.json")
    assert deviations(plan, record) == ()
    for load, row in zip(plan.loads, record, strict=False):
        count = -(-load.duration_ns * load.rate_bps // (8 * S * load.packet_bytes))
        assert (row["sent_bytes"], row["lost_packets"]) == (count * load.packet_bytes, 0)
        assert (row["first_ns"], row["ahead_packets"]) == (0, 0)

    left = _left_ns(folder / "7-captures" / "h3-s1.pcap", plan.loads[1].port)[1:]  # less a first
    gap_ns = 8 * S * 1448 / MBIT
    assert len(left) == 173
    others_ns = sum(largest) // 10  # what may be before it at its host's port
    assert all(abs(at - left[0] - n * gap_ns) <= others_ns for n, at in enumerate(left))

    half = [msgspec.structs.replace(load, rate_bps=load.rate_bps // 2) for load in plan.loads]
    other = msgspec.structs.replace(plan, loads=tuple(half))
    assert {d.load for d in deviations(other, record) if d.way == "more"} == {f.id for f in loads}


def _transmission_ns(load: Load) -> int:
    frame_bytes = load.packet_bytes + UDP_HEADERS_BYTES + LABEL_BYTES
    return -(-8 * S * (frame_bytes + ETHERNET_OVERHEAD_BYTES) // PORT_BPS)


def _left_ns(pcap: Path, port: int) -> list[int]:
    with PcapReader(str(pcap)) as reader:
        return [round(p.time * S) for p in reader if UDP in p and p[UDP].dport == port]
