"""Loads on loopback: constant rates for real, iperf3's report read from what it prints."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from testbed.plan.model import Load
from testbed.traffic import loads as loads_module
from testbed.traffic.loads import Loads, iperf_row
from tests.probes.plans import A_IP, B_IP, MS, path, plan


def load(name: str, **given: Any) -> Load:
    fields: dict[str, Any] = {
        "id": name,
        "slice": "s",
        "kind": "flood",
        "src": "a",
        "dst": "b",
        "src_ip": A_IP,
        "dst_ip": B_IP,
        "port": 20_100,
        "rate_bps": 8_000_000,
        "packet_bytes": 1000,
        "dscp": 1,
        "start_ns": 0,
        "duration_ns": 500 * MS,
        "paths": (path("a", "b", ("a", "s1", "b")), path("b", "a", ("b", "s1", "a"))),
    }
    return Load(**(fields | given))


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *wanted: Load) -> list[dict[str, Any]]:
    monkeypatch.setattr(loads_module, "entered", lambda _fd: nullcontext())
    loads = Loads(plan(loads=wanted), lambda _host: -1, folder)
    loads.prepare()
    loads.start(time.monotonic_ns() + 20 * MS)
    time.sleep(0.8)
    loads.stop()
    loads.stop()
    rows: list[dict[str, Any]] = json.loads((folder / "loads.json").read_text())
    return rows


@pytest.mark.parametrize("kind", ["udp", "flood"])
def test_loads_reach_their_sinks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    late = load(
        "late", kind=kind, port=20_101, rate_bps=4_000_000, start_ns=200 * MS, duration_ns=300 * MS
    )
    first, second = run(monkeypatch, tmp_path, load("first", kind=kind), late)
    assert (first["id"], first["kind"], first["asked_bps"]) == ("first", kind, 8_000_000)
    assert first["sent_bytes"] <= 500 * 1000
    assert first["sent_bps"] > 4_000_000
    assert first["received_bytes"] == first["sent_bytes"]
    assert first["lost_packets"] == 0
    assert 0 < second["sent_bytes"] <= 150 * 1000
    for row in (first, second):  # of the kernel's stamps
        assert 0 <= row["first_ns"] <= row["last_ns"]
        assert row["ahead_packets"] <= 0


def test_stop_before_start_ends_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loads_module, "entered", lambda _fd: nullcontext())
    loads = Loads(plan(loads=(load("flood"),)), lambda _host: -1, tmp_path)
    loads.prepare()
    began = time.monotonic()
    loads.stop()
    assert time.monotonic() - began < 2
    (row,) = json.loads((tmp_path / "loads.json").read_text())
    assert row["error"] == "it was not started"
    assert row["sent_bps"] is None


def test_no_loads_no_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path) == []


TCP_END = {
    "sum_sent": {"seconds": 2.0, "bytes": 2_000_000, "bits_per_second": 8e6, "retransmits": 3},
    "sum_received": {"seconds": 2.1, "bytes": 1_999_000},
}


def test_iperf3_tcp_report() -> None:
    row = iperf_row(load("t", kind="tcp"), json.dumps({"end": TCP_END}), "")
    assert (row["sent_bytes"], row["retransmits"], row["lost_packets"]) == (2_000_000, 3, None)
    assert (row["first_ns"], row["last_ns"], row["ahead_packets"]) == (None, None, None)


@pytest.mark.parametrize(
    ("said", "complained", "error"),
    [
        (json.dumps({"start": {}, "end": {}, "error": "refused"}), "", "refused"),
        ("", "first line\niperf3: unable to connect\n", "iperf3: unable to connect"),
        ("", "", "iperf3 gave no report"),
    ],
)
def test_iperf3_failures_are_told(said: str, complained: str, error: str) -> None:
    row = iperf_row(load("t", kind="tcp"), said, complained)
    assert row["error"] == error
    assert row["sent_bps"] is None
