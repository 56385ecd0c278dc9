"""What is read of the probes' logs while they grow."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from testbed.net.paths import Placed
from testbed.northbound.conformance import Probed
from testbed.plan.admission import Admission
from testbed.plan.model import Plan
from testbed.probes.events import (
    LEADING_RX,
    RECEIVED_FILE,
    REFLECTED_FILE,
    REFLECTOR_RX,
    SENT,
    SENT_FILE,
    EventLog,
)
from testbed.scenario.model import Slice
from tests.northbound.asking import late
from tests.plan.networks import MS, S, probe
from tests.plan.ordered import admission, admitted

NOW_NS = 1_000 * S


@pytest.fixture
def here() -> Admission:
    """A probe of best effort with the DSCP 46 of its class."""
    return admission(probes=(probe(slice="best-effort"),))


def _placed(here: Admission, order: Slice) -> Placed:
    (placed,) = admitted(here, here.first, order).book.placed
    return placed


def _plan(here: Admission) -> Plan:
    assert isinstance(here.first, Plan)
    return here.first


def _logged(folder: Path, delays_ns: list[int | None], since_ns: int) -> None:
    """Packets every ms, with these one-way delays."""
    folder.mkdir()
    sent = EventLog(folder / SENT_FILE, ["p"])
    reflected = EventLog(folder / REFLECTED_FILE, ["p"])
    EventLog(folder / RECEIVED_FILE, ["p"]).close()
    for number, delay_ns in enumerate(delays_ns):
        at_ns = since_ns + number * MS
        sent.add(SENT, 0, 0, number, 0, at_ns)
        if delay_ns is not None:
            reflected.add(REFLECTOR_RX, 0, 0, number, at_ns + delay_ns, 0)
    sent.close()
    reflected.close()


def _there(here: Admission, folder: Path, placed: Placed, since_ns: int) -> dict[str, object]:
    row: dict[str, object] = Probed(_plan(here), folder)(placed, since_ns)["conformance"][0]
    return row


def test_delays_are_held_against_the_promise(
    here: Admission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS + 2 * S)
    _logged(tmp_path / "s", [9 * MS, 2 * MS, 3 * MS, None], NOW_NS)
    kept = _placed(here, late(dscp=(46,), delay_ns=3 * MS))
    row = _there(here, tmp_path / "s", kept, NOW_NS + MS)
    assert (row["messages"], row["lost"], row["slo"]) == (3, 1, "met")
    assert (row["one-way-min-delay-ns"], row["one-way-max-delay-ns"]) == (2 * MS, 3 * MS)
    assert row["one-way-delay-variation-ns"] == MS
    row = _there(here, tmp_path / "s", kept, NOW_NS)
    assert (row["slo"], row["broken"]) == ("broken", ["one-way-delay-maximum"])
    strict = _placed(here, late(dscp=(46,), loss=0.1))
    assert _there(here, tmp_path / "s", strict, NOW_NS)["broken"] == ["one-way-packet-loss"]


def test_a_packet_that_may_still_come_is_not_lost(
    here: Admission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _logged(tmp_path / "s", [2 * MS, None], NOW_NS)
    placed = _placed(here, late(dscp=(46,)))
    for after_ns, messages, lost in ((1500 * MS, 1, 0), (1501 * MS, 2, 1)):  # sent at 1 ms
        monkeypatch.setattr(time, "time_ns", lambda now_ns=NOW_NS + after_ns: now_ns)
        row = _there(here, tmp_path / "s", placed, NOW_NS)
        assert (row["messages"], row["lost"]) == (messages, lost)


def test_a_message_has_arrived_when_all_of_it_has(
    here: Admission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS + 2 * S)
    folder = tmp_path / "s"
    _logged(folder, [2 * MS, 2 * MS, 2 * MS], NOW_NS)
    log = EventLog(folder / RECEIVED_FILE, ["p"])
    for number, index, copy, delay_ns in (
        *((0, 0, 0, MS), (0, 1, 0, 5 * MS)),
        *((1, 0, 0, MS), (1, 0, 0, MS), (1, 1, 1, MS)),
        *((2, 0, 0, MS), (2, 1, 0, MS)),
    ):
        log.add(LEADING_RX, copy, 0, number, NOW_NS + number * MS + delay_ns, index)
    log.close()
    (session,) = _plan(here).sessions
    several = msgspec.structs.replace(session, fragments=3)
    plan = msgspec.structs.replace(_plan(here), sessions=(several,))
    placed = _placed(here, late(dscp=(46,)))
    row = Probed(plan, folder)(placed, NOW_NS)["conformance"][0]
    assert (row["messages"], row["lost"]) == (3, 1)
    assert (row["one-way-min-delay-ns"], row["one-way-max-delay-ns"]) == (2 * MS, 5 * MS)


def test_what_was_read_is_not_read_again(
    here: Admission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS + 9 * S)
    folder = tmp_path / "s"
    _logged(folder, [9 * MS, 2 * MS, 3 * MS, None, 4 * MS], NOW_NS)
    placed = _placed(here, late(dscp=(46,)))
    logs = [folder / name for name in (SENT_FILE, REFLECTED_FILE)]
    whole = [log.read_bytes() for log in logs]
    fresh = Probed(_plan(here), folder)(placed, NOW_NS)["conformance"]
    assert fresh[0]["messages"] == 5
    grown = Probed(_plan(here), folder)
    for percent in range(0, 101, 7):  # half an event at the end, mostly
        for log, raw in zip(logs, whole, strict=True):
            log.write_bytes(raw[: len(raw) * percent // 100])
        assert grown(placed, NOW_NS)["conformance"][0]["messages"] <= 5
    for log, raw in zip(logs, whole, strict=True):
        log.write_bytes(bytes(len(raw) // 2) + raw[len(raw) // 2 :])
    assert grown(placed, NOW_NS)["conformance"] == fresh


def test_packets_of_others_do_not_count(here: Admission, tmp_path: Path) -> None:
    _logged(tmp_path / "s", [2 * MS], NOW_NS)
    row = _there(here, tmp_path / "s", _placed(here, late(dscp=(10,))), NOW_NS)
    assert (row["messages"], row["slo"]) == (0, "not-measured")


def test_before_the_probes_have_begun_nothing_is_measured(here: Admission, tmp_path: Path) -> None:
    placed = _placed(here, late(dscp=(46,)))
    assert _there(here, tmp_path / "none", placed, NOW_NS)["slo"] == "not-measured"
    log = EventLog(tmp_path / SENT_FILE, ["p"])
    log.close()
    whole = (tmp_path / SENT_FILE).read_bytes()
    for size in range(len(whole)):  # its header is being written
        (tmp_path / SENT_FILE).write_bytes(whole[:size])
        assert _there(here, tmp_path, placed, NOW_NS)["slo"] == "not-measured"
