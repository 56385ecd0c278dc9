"""Probes and loads through a real shaper in a lab: what is set is what is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.lab.base import CONSOLE, GUEST_JOB
from testbed.lab.choice import choose
from testbed.net.legs import HOLD_NS
from testbed.probes.engine import SAMPLES
from testbed.probes.events import REFLECTED_FILE, REFLECTOR_RX, REFLECTOR_TX
from testbed.probes.samples import Samples, read_events, read_samples

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MS = 1_000_000


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    argv = ["python3", "-m", "tests.probes.in_lab", GUEST_JOB]
    with choose().lab.start(folder, argv) as process:
        code = process.wait(timeout=120)
    assert code == 0, (folder / CONSOLE).read_text()
    return folder


def samples(job: Path, name: str) -> Samples:
    return read_samples(job / name / SAMPLES, name)


def test_delays_are_the_set_ones(job: Path) -> None:
    """1 ms each way; a wall-clock lab adds noise, never takes any away."""
    table = samples(job, "clean")
    assert table["received"].sum() == 1000
    for column, set_ns in (("forward_ns", MS), ("reverse_ns", MS), ("rtt_ns", 2 * MS)):
        assert table[column].min() >= set_ns
        assert np.median(table[column]) < 1.3 * set_ns
    assert set(table["copies_forward"]) == {1}


def test_the_lab_kernel_keeps_packets_until_their_moments(job: Path) -> None:
    """Requests leave when planned and replies a constant time after them, to the nanosecond."""
    if choose().lab.name != "virtual":
        pytest.skip("needs the lab kernel")
    assert set(samples(job, "clean")["schedule_error_ns"]) == {0}
    _, log = read_events(job / "clean" / SAMPLES / REFLECTED_FILE)
    log = log[log["number"] < 1000]  # without the priming packet
    came, left = (log[log["kind"] == kind] for kind in (REFLECTOR_RX, REFLECTOR_TX))
    assert list(came["number"]) == list(left["number"]) == list(range(1000))
    assert set(left["a"] - came["a"]) == {HOLD_NS}


def test_losses_are_told_apart(job: Path) -> None:
    """10 % each way; 5 standard deviations of the binomial."""
    table = samples(job, "lossy")
    there = int(table["lost_forward"].sum())
    assert abs(there - 100) < 5 * (1000 * 0.1 * 0.9) ** 0.5
    arrived = 1000 - there
    back = int(table["lost_reverse"].sum())
    assert abs(back - arrived * 0.1) < 5 * (arrived * 0.1 * 0.9) ** 0.5
    assert int(table["received"].sum()) == arrived - back


def test_loads_carry_what_the_link_allows(job: Path) -> None:
    rows: dict[str, dict[str, Any]] = {
        row["id"]: row for row in json.loads((job / "loads.json").read_text())
    }
    assert all(row["error"] is None for row in rows.values())
    assert rows["udp"]["sent_bps"] == pytest.approx(5e6, rel=0.01)
    assert rows["udp"]["received_bytes"] == pytest.approx(rows["udp"]["sent_bytes"], rel=0.02)
    assert rows["tcp"]["sent_bps"] == pytest.approx(8e6, rel=0.2)
    assert rows["flood"]["sent_bps"] == pytest.approx(30e6, rel=0.2)
    delivered_bps = rows["flood"]["received_bytes"] * 8 / rows["flood"]["seconds"]
    assert delivered_bps < 24e6  # 20 Mbit/s, and the queue emptied after the end
    assert rows["flood"]["lost_packets"] > 0
