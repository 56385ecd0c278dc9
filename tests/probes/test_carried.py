"""Packets that arrived, from logs."""

from __future__ import annotations

from pathlib import Path

from testbed.probes.carried import carried
from testbed.probes.events import (
    LEADING_RX,
    RECEIVED_FILE,
    REFLECTED_FILE,
    REFLECTOR_RX,
    SENDER_RX,
    EventLog,
)
from tests.probes.plans import plan, session


def test_each_packet_of_a_message_counts_once(tmp_path: Path) -> None:
    """Of those that came out of order nobody knows here whether they are copies."""
    one = session("s", fragments=3, fragment_bytes=1400)
    received = EventLog(tmp_path / RECEIVED_FILE, ["s"], [3])
    for number, index in ((0, 0), (0, 1), (0, 1), (1, 1), (1, 0), (2, 0)):
        received.add(LEADING_RX, 0, 0, number, 1, index)
    received.add(SENDER_RX, 0, 0, 0, 1, 0)
    received.close()
    reflected = EventLog(tmp_path / REFLECTED_FILE, ["s"], [3])
    for number in (0, 0, 2):
        reflected.add(REFLECTOR_RX, 0, 0, number, 1, 0)
    reflected.close()
    found = carried(plan(one), tmp_path)
    assert found == {one.paths[0].id: 4 + 2, one.paths[1].id: 1}


def test_no_log_is_nothing(tmp_path: Path) -> None:
    one = session("s")
    assert carried(plan(one), tmp_path) == {one.paths[0].id: 0, one.paths[1].id: 0}
