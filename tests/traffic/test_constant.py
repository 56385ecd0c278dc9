"""A constant-rate load sends what its schedule owes: no more, and no burst after a stall."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.plan.pacing import stretched
from testbed.traffic import constant
from testbed.traffic.constant import FIRST_NS, Constant
from testbed.traffic.kinds.flood import FLOOD_DEBT_NS, FLOOD_TICK_NS

S = 1_000_000_000
LATER = 7 * S
"""Between CLOCK_MONOTONIC and CLOCK_REALTIME."""


class Wire:
    """Takes all packets at the moment they name, or now, and stamps those it is to stamp."""

    def __init__(self, *_: Any, timed: bool = False) -> None:
        self.now_ns, self.timed = 0, timed
        self.left_ns: list[int] = []
        self.bursts: list[int] = []
        self.stamps: list[tuple[int, int]] = []

    def send(
        self, _fd: int, count: int, moments: Sequence[int] = (), *, stamped: bool = False
    ) -> int:
        assert len(moments) == (count if self.timed else 0)
        times = list(moments) or [self.now_ns] * count
        self.left_ns += times
        self.bursts.append(count)
        if stamped:
            for time_ns in times:
                number = self.stamps[-1][0] + 1 if self.stamps else 0
                self.stamps += [(number, time_ns + LATER), (number, time_ns + LATER + 500)]
        return count

    def read_stamps(self, _fd: int) -> list[tuple[int, int]]:
        """Each more than once, as links on the way repeat it."""
        return self.stamps


@pytest.fixture(autouse=True)
def wires(monkeypatch: pytest.MonkeyPatch) -> list[Wire]:
    """Every sender's wire, in order."""
    made: list[Wire] = []

    def wire(*given: Any, **named: Any) -> Wire:
        made.append(Wire(*given, **named))
        return made[-1]

    monkeypatch.setattr(constant, "Repeater", wire)
    monkeypatch.setattr(constant, "Inbox", lambda: made[-1])
    return made


def make(
    rate_bps: int,
    size: int,
    seconds: float = 1,
    *,
    timed: bool = False,
    drift_ppb: int = 0,
) -> Constant:
    return Constant(
        {
            "id": "f",
            "fd": -1,
            "to": "10.0.0.2",
            "port": 6000,
            "packet_bytes": size,
            "rate_bps": rate_bps,
            "start_ns": 0,
            "duration_ns": round(seconds * S),
            "drift_ppb": drift_ppb,
            "timed": timed,
        }
    )


def drive(row: Constant, wire: Wire, late_ns: int = 0) -> dict[str, Any]:
    """Wake it until it is over; its report."""
    wake: int | None = row.wake_ns
    while wake is not None:
        wire.now_ns = wake + late_ns
        wake = row.send(wire.now_ns)
    return row.report(max(wire.now_ns, row.begin_ns + S), LATER)


@given(st.integers(1, 2_000_000_000), st.integers(1, 1472), st.integers(1, 3 * S), st.booleans())
def test_every_packet_of_the_schedule_is_sent_and_no_other(
    rate_bps: int, size: int, duration_ns: int, timed: bool
) -> None:
    duration_ns = min(duration_ns, max(1, 20_000 * size * 8 * S // rate_bps))
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire(timed=timed)
        patch.setattr(constant, "Repeater", lambda *_, **__: wire)
        patch.setattr(constant, "Inbox", lambda: wire)
        row = make(rate_bps, size, duration_ns / S, timed=timed)
        told = drive(row, wire)
    gap = size * 8 * S / rate_bps
    assert len(wire.left_ns) == told["packets"]
    assert abs(told["packets"] - duration_ns / gap) <= 1
    assert all(n * gap - 1 <= at < duration_ns for n, at in enumerate(wire.left_ns) if timed)
    assert (told["first_ns"], told["ahead_packets"]) == (0, 0)
    last_ns = (told["packets"] - 1) * gap
    assert last_ns - 1 <= told["last_ns"] <= last_ns + (0 if timed else FLOOD_TICK_NS)


def test_timed_packets_leave_at_their_moments_and_are_handed_over_many_at_a_time(
    wires: list[Wire],
) -> None:
    row = make(900_000_000, 1448, timed=True)
    drive(row, wires[0])
    gap = 1448 * 8 * S / 900_000_000
    assert {b - a for a, b in pairwise(wires[0].left_ns)} == {int(gap), int(gap) + 1}
    assert len(wires[0].bursts) < 200


def test_slow_load_is_evenly_spaced(wires: list[Wire]) -> None:
    drive(make(1_000_000, 1250), wires[0])  # one packet each 10 ms
    assert wires[0].left_ns == [i * 10_000_000 for i in range(100)]


@pytest.mark.parametrize("drift_ppb", [80_000, -999_001])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("rate_bps", [1_000_000, 60_000_000])  # at gaps, and at ticks
def test_a_load_drifts_with_its_clock(
    wires: list[Wire], rate_bps: int, timed: bool, drift_ppb: int
) -> None:
    drive(make(rate_bps, 1250, seconds=1.1, timed=timed), wires[0])
    drive(make(rate_bps, 1250, timed=timed, drift_ppb=drift_ppb), wires[1])
    own = [now for at in wires[0].left_ns if (now := stretched(at, drift_ppb)) < S]
    assert len(own) == pytest.approx(len(wires[1].left_ns), abs=5)  # of the last tick
    both = zip(own[:-5], wires[1].left_ns, strict=False)
    assert max(abs(a - b) for a, b in both) <= 1


def test_stall_is_not_made_up_for(wires: list[Wire]) -> None:
    row = make(10_000_000, 1250)  # one packet each ms
    row.send(0)
    row.send(500_000_000)
    assert len(wires[0].left_ns) <= 2 + FLOOD_DEBT_NS // 1_000_000


def test_nothing_after_the_end(wires: list[Wire]) -> None:
    row = make(10_000_000, 1250, seconds=0.01)
    row.send(0)
    assert row.send(5 * S) is None
    assert len(wires[0].left_ns) <= 10


def test_a_late_start_is_told(wires: list[Wire]) -> None:
    told = drive(make(10_000_000, 1250), wires[0], late_ns=15_000_000)
    assert told["first_ns"] == 15_000_000
    assert told["ahead_packets"] <= 0


def test_a_start_so_late_that_packets_are_forgiven_is_told(wires: list[Wire]) -> None:
    told = drive(make(10_000_000, 1250), wires[0], late_ns=300_000_000)
    assert told["first_ns"] == 300_000_000


def test_packets_before_their_time_are_told(wires: list[Wire]) -> None:
    """Of the stamps, whatever the sender meant."""
    row = make(10_000_000, 1250, timed=True)
    row.send(row.wake_ns)
    wires[0].stamps = [(n, LATER) for n in range(FIRST_NS // 1_000_000)]
    assert row.report(S, LATER)["ahead_packets"] == 9


@pytest.mark.parametrize("timed", [False, True])
def test_a_load_that_is_stopped_counts_what_left(wires: list[Wire], timed: bool) -> None:
    row = make(10_000_000, 1250, timed=timed)
    wake: int | None = row.wake_ns
    while wake is not None and wake <= 300_000_000:
        wires[0].now_ns = wake
        wake = row.send(wake)
    told = row.report(300_500_000, LATER)
    assert (told["packets"], told["seconds"], told["last_ns"]) == (301, 0.3005, None)
