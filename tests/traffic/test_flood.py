"""A flood sends what its schedule owes: no more, and no burst after a stall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.plan.model import FLOOD_DEBT_NS
from testbed.traffic import flood
from testbed.traffic.flood import TICK_NS, Flood

S = 1_000_000_000


class Wire:
    """Takes all packets, and remembers how many at a time."""

    def __init__(self, *_: Any) -> None:
        self.bursts: list[int] = []

    def send(self, _fd: int, count: int) -> int:
        self.bursts.append(count)
        return count


def make(monkeypatch: pytest.MonkeyPatch, rate_bps: int, size: int, seconds: float = 1) -> Flood:
    monkeypatch.setattr(flood, "Repeater", Wire)
    return Flood(
        {
            "id": "f",
            "fd": -1,
            "to": "10.0.0.2",
            "port": 6000,
            "packet_bytes": size,
            "rate_bps": rate_bps,
            "start_ns": 0,
            "duration_ns": round(seconds * S),
        }
    )


def drive(row: Flood, late_ns: int = 0) -> None:
    now: int | None = row.begin_ns
    while now is not None:
        now = row.send(now + late_ns)


@given(st.integers(100_000, 1_000_000_000), st.integers(200, 1472))
def test_rate_is_the_asked_one(rate_bps: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        row = make(monkeypatch, rate_bps, size)
        drive(row)
        asked = rate_bps / 8 / size
        slack = max(2, TICK_NS / row.gap_ns + 2)  # what falls into the last tick
        assert abs(row.packets - asked) <= slack


def test_slow_flood_is_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make(monkeypatch, 1_000_000, 1250)  # one packet each 10 ms
    moments = [0]
    while (again := row.send(moments[-1])) is not None:
        moments.append(again)
    assert moments == [i * 10_000_000 for i in range(100)]
    assert row.packets == 100


def test_stall_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make(monkeypatch, 10_000_000, 1250)  # one packet each ms
    row.send(0)
    row.send(500_000_000)
    assert row.packets <= 2 + FLOOD_DEBT_NS // 1_000_000


def test_nothing_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make(monkeypatch, 10_000_000, 1250, seconds=0.01)
    row.send(0)
    assert row.send(5 * S) is None
    assert row.packets <= 11
