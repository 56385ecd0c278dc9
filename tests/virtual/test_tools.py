"""Ordinary tools in virtual time: what tools.py found, judged."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.lab.base import CONSOLE, GUEST_JOB
from testbed.lab.choice import LABS
from tests.virtual.tools import FILE_BYTES, FIRST_PACKETS, PACED_BYTES

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

RTT_MS = 2 * 3 * (5 + 98 * 8 / 100_000)
"""Three links there and back; a ping is 98 bytes."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = tmp_path_factory.mktemp("job")
    command = ["python3", "-m", "tests.virtual.tools", GUEST_JOB]
    with LABS["virtual"].start(job, command) as process:
        try:
            code = process.wait(timeout=280)
        finally:
            process.kill()
    assert code == 0, (job / CONSOLE).read_text()
    result: dict[str, Any] = json.loads((job / "found.json").read_text())
    return result


@pytest.mark.parametrize(
    ("spin", "least_s", "most_s"),
    [
        ("clock", 0.2, 0.2001),
        ("poll", 0.2, 0.202),
        ("yield", 0.2, 0.202),
        ("memory", 0.02, 0.1),
    ],
)
def test_busy_waiters_end_near_their_moment(
    found: dict[str, Any], spin: str, least_s: float, most_s: float
) -> None:
    assert least_s <= found["spins"][spin] <= most_s


@pytest.mark.parametrize(
    ("name", "count", "seconds"), [("ping", 5, 4.0), ("fast ping", 200, 199 * 0.002)]
)
def test_ping(found: dict[str, Any], name: str, count: int, seconds: float) -> None:
    rtts_ms = [
        float(text) for text in re.findall(r"time=([\d.]+) ms", found["tools"][name]["said"])
    ]
    assert len(rtts_ms) == count
    assert all(rtt == pytest.approx(RTT_MS, abs=0.1) for rtt in rtts_ms)  # it prints three digits
    if name == "ping":
        assert found["tools"][name]["seconds"] == pytest.approx(seconds + RTT_MS / 1e3, abs=0.02)


def test_tcpdump_sees_each_packet_at_its_time(found: dict[str, Any]) -> None:
    rows = [row.split() for row in found["tools"]["tcpdump"].splitlines() if "echo re" in row]
    assert len(rows) == 10
    times_ns = [int(row[0].replace(".", "")) for row in rows]
    answers_ns = {b - a for a, b in zip(times_ns[::2], times_ns[1::2], strict=True)}
    # the reply passes its sender's own port before it is seen there
    assert len(answers_ns) == 1


def test_a_file_by_http_and_by_nc(found: dict[str, Any]) -> None:
    assert found["tools"]["nc"]
    curl = found["tools"]["curl"]
    assert curl["same"]
    connect_s, _, total_s = map(float, curl["said"].split())
    assert connect_s == pytest.approx(RTT_MS / 1e3, abs=1e-3)
    assert FILE_BYTES * 8 / 100e6 < total_s < 1


def test_iperf3_paces_itself_from_its_first_packet(found: dict[str, Any]) -> None:
    times_ns = found["first packets"]
    assert len(times_ns) == FIRST_PACKETS
    interval_ns = PACED_BYTES * 8 * 100  # of 10 Mbit/s
    late_ns = [moment - number * interval_ns for number, moment in enumerate(times_ns)]
    assert min(late_ns) > -20e3  # its own start is some us before
    assert max(late_ns) < 1.1e6  # it looks once a millisecond
    assert min(b - a for a, b in itertools.pairwise(times_ns)) > 0.9e6


@pytest.mark.parametrize("rate_bps", [10_000_000, 100_000_000, 1_000_000_000])
@pytest.mark.parametrize(("kind", "frame_bytes"), [("tcp", 1514), ("udp", 1490)])
def test_iperf3_gets_the_rate(
    found: dict[str, Any], rate_bps: int, kind: str, frame_bytes: int
) -> None:
    """TCP over 100 Mbit/s Ethernet: 94.15 Mbit/s."""
    rates = found[str(rate_bps)][kind]
    wire_bytes = frame_bytes + ETHERNET_OVERHEAD_BYTES
    assert rates["received_bps"] == pytest.approx(rate_bps * 1448 / wire_bytes, rel=0.01)
    assert rates["frames_bps"] == pytest.approx(rate_bps * frame_bytes / wire_bytes, rel=0.01)
