"""Messages of many packets in the virtual lab, against packet captures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.messages import PACKETS, Kind, compared, measured
from testbed.lab.virtual import VirtualLab

pytestmark = [pytest.mark.lab, pytest.mark.exact]


def test_samples_say_what_captures_say(tmp_path: Path) -> None:
    """Loss, copies, packets out of order and a full queue, all at once."""
    if missing := VirtualLab().missing():
        pytest.skip("; ".join(one.what for one in missing))
    worst = Kind("all", "100 Mbit/s", buffer=30, loss=3.0, protection="frer")
    found = compared(measured(worst, 1.0, tmp_path))
    assert [one.session.fragments for one in found] == list(PACKETS)
    assert [one.differ for one in found] == [0] * len(PACKETS)
    large = found[-1].wire
    assert len(large) == 50
    assert any(told.delay_ns is None for told in large)
    assert any(told.late_packets for told in large)
    assert any(told.late for told in found[0].wire)
    assert {told.copies for told in large} == {2}
