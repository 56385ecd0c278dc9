"""Event logs in, one table a session out: delays, losses, duplicates, order."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import ResultError
from testbed.probes import events
from testbed.probes.arrivals import MISSING
from testbed.probes.events import EventLog, pack_arrival
from testbed.probes.samples import Logs, Samples, read_events, read_samples
from tests.searching import examples

MS = 1_000_000
START = 5_000 * MS
OFFSET = 1_700_000_000 * 10**9
EVERY = 10 * MS
SECOND = 1000 * MS


class Fate(NamedTuple):
    """What happens to one message; delays in ns, None is lost."""

    late: int = 0
    forward: int | None = MS
    turn: int = 1000
    reverse: int | None = 2 * MS


def write(
    folder: Path, fates: list[Fate], drift: int = 0, *, step: tuple[int, int] | None = None
) -> Path:
    """The logs of session "one" (index 1), among those of a session "zero".

    `drift`: ns by which the last pair of clocks, read in as long, differs from the first.
    `step`: the message before which the clock is set, and by how many ns; pairs are a
    second apart then.
    """
    logs = {
        name: EventLog(folder / name, ["zero", "one"])
        for name in (events.SENT_FILE, events.RECEIVED_FILE, events.REFLECTED_FILE)
    }
    sent, received, reflected = logs.values()
    sent.add(events.START, 0, 0, 0, START, 0)
    end = START + (len(fates) + 1) * EVERY
    set_at, by = step or (len(fates), 0)
    sent.add(events.CLOCK, 0, 0, abs(drift), START, START + OFFSET)
    for at in range(START + SECOND, end if step else START, SECOND):
        sent.add(events.CLOCK, 0, 0, 0, at, at + OFFSET + by * (at > START + set_at * EVERY))
    sent.add(events.CLOCK, 0, 0, abs(drift), end, end + OFFSET + by + drift)
    arrivals: list[tuple[int, int]] = []
    back: list[tuple[int, int, int]] = []
    for seq, fate in enumerate(fates):
        due = START + seq * EVERY
        t1 = due + OFFSET + fate.late + by * (seq >= set_at)
        sent.add(events.SENT, 0, 1, seq, due, t1 - 50)
        sent.add(events.SENT, 0, 0, seq, due, t1 - 40)
        received.add(events.SENDER_TX, 0, 1, seq, t1, 0)
        if fate.forward is not None:
            arrivals.append((t1 + fate.forward, seq))
    for own, (t2, seq) in enumerate(sorted(arrivals)):
        t3 = t2 + fates[seq].turn
        reflected.add(events.REFLECTOR_RX, 0, 1, seq, t2, pack_arrival(own, 184, 62))
        reflected.add(events.REFLECTOR_TX, 0, 1, seq, t3, own)
        delay = fates[seq].reverse
        if delay is not None:
            back.append((t3 + delay, seq, own))
    for t4, seq, own in sorted(back):
        received.add(events.SENDER_RX, 0, 1, seq, t4, pack_arrival(own, 184, 61))
    for log in logs.values():
        log.end()
        log.close()
    return folder


delays = st.one_of(st.none(), st.integers(1, 8 * MS))
fates = st.lists(
    st.builds(Fate, st.integers(0, MS), delays, st.integers(0, 5000), delays), max_size=30
)


@given(fates)
@settings(max_examples=examples(40), deadline=None)
def test_what_happened_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Fate]
) -> None:
    table = read_samples(write(tmp_path_factory.mktemp("logs"), happened), "one")
    assert len(table) == len(happened)
    for seq, (row, fate) in enumerate(zip(table, happened, strict=True)):
        assert row["seq"] == seq
        assert row["intended_ns"] == seq * EVERY
        assert row["sent_ns"] == seq * EVERY + fate.late
        assert row["schedule_error_ns"] == fate.late
        arrived = fate.forward is not None
        returned = arrived and fate.reverse is not None
        assert row["lost_forward"] == (not arrived)
        assert row["lost_reverse"] == (arrived and not returned)
        assert row["received"] == returned
        if fate.forward is not None:
            assert row["forward_ns"] == fate.forward
            assert row["forward_intended_ns"] == fate.forward + fate.late
            assert row["tos_forward"] == 184
        else:
            assert row["forward_ns"] == MISSING
        if fate.forward is not None and fate.reverse is not None:
            assert row["reverse_ns"] == fate.reverse
            assert row["rtt_ns"] == fate.forward + fate.reverse
            assert row["rtt_intended_ns"] == fate.forward + fate.reverse + fate.late
        else:
            assert row["rtt_ns"] == MISSING


PACKETS = 4

packet = st.one_of(st.none(), st.lists(st.integers(1, 30 * MS), min_size=1, max_size=2))
"""Delays of the copies of a packet that arrive."""
bursts = st.lists(st.tuples(*[packet] * PACKETS), min_size=1, max_size=12)


@given(bursts)
@settings(max_examples=examples(60), deadline=None)
def test_messages_of_several_packets(
    tmp_path_factory: pytest.TempPathFactory, happened: list[tuple[list[int] | None, ...]]
) -> None:
    """Against what RFC 4737 and the rule say of each message, told packet by packet."""
    folder = tmp_path_factory.mktemp("logs")
    names = (events.SENT_FILE, events.RECEIVED_FILE, events.REFLECTED_FILE)
    sent, received, reflected = (EventLog(folder / name, ["m"], [PACKETS]) for name in names)
    sent.add(events.START, 0, 0, 0, START, 0)
    sent.add(events.CLOCK, 0, 0, 0, START, START + OFFSET)
    came: list[tuple[int, int, int]] = []
    for seq, message in enumerate(happened):
        due = START + seq * EVERY
        sent.add(events.SENT, 0, 0, seq, due, due + OFFSET)
        received.add(events.SENDER_TX, 0, 0, seq, due + OFFSET, 0)
        for index, delays_ns in enumerate(message):
            came += [(due + OFFSET + one, seq, index) for one in delays_ns or ()]
    for at, seq, index in sorted(came):
        if index < PACKETS - 1:
            received.add(events.LEADING_RX, 0, 0, seq, at, pack_arrival(index, 0, 60))
        else:
            reflected.add(events.REFLECTOR_RX, 0, 0, seq, at, pack_arrival(seq, 0, 60))
    for log in (sent, received, reflected):
        log.end()
        log.close()

    table = read_samples(folder, "m")
    seen: set[tuple[int, int]] = set()
    highest, late = (-1, -1), [0] * len(happened)
    for _, seq, index in sorted(came):
        if (seq, index) not in seen:
            late[seq] += (seq, index) < highest
            highest = max(highest, (seq, index))
            seen.add((seq, index))
    whole = [None if None in m else max(min(one or ()) for one in m) for m in happened]
    ends = [(w + seq * EVERY, seq) for seq, w in enumerate(whole) if w is not None]
    for seq, (row, message) in enumerate(zip(table, happened, strict=True)):
        assert row["packets"] == PACKETS
        assert row["arrived"] == sum(one is not None for one in message)
        assert row["answered"] == (message[-1] is not None)
        assert row["lost_forward"] == (whole[seq] is None)
        assert row["forward_ns"] == (MISSING if whole[seq] is None else whole[seq])
        assert row["copies_forward"] == max(len(one or ()) for one in message)
        assert row["reordered_packets"] == late[seq]
        overtaken = {at for at, other in ends if other > seq}
        mine = {at for at, other in ends if other == seq}
        assert row["reordered_forward"] == (bool(mine and overtaken) and min(overtaken) < max(mine))


def one(
    folder: Path, happened: list[Fate], drift: int = 0, *, step: tuple[int, int] | None = None
) -> Samples:
    return read_samples(write(folder, happened, drift, step=step), "one")


def test_overtaken_on_the_way_there(tmp_path: Path) -> None:
    table = one(tmp_path, [Fate(), Fate(forward=25 * MS), Fate(), Fate()])
    assert list(table["reordered_forward"]) == [False, True, False, False]
    assert not table["reordered_reverse"].any()  # replies came back as they left


def test_overtaken_on_the_way_back(tmp_path: Path) -> None:
    table = one(tmp_path, [Fate(), Fate(reverse=25 * MS), Fate(), Fate()])
    assert list(table["reordered_reverse"]) == [False, True, False, False]
    assert not table["reordered_forward"].any()


def test_duplicates_are_counted_and_the_first_copy_judged(tmp_path: Path) -> None:
    write(tmp_path, [Fate(), Fate()])
    with (tmp_path / events.REFLECTED_FILE).open("ab") as log:
        late = START + OFFSET + 9 * MS
        log.write(events.EVENT.pack(events.REFLECTOR_RX, 0, 1, 0, late, pack_arrival(2, 0, 1)))
    table = read_samples(tmp_path, "one")
    assert list(table["copies_forward"]) == [2, 1]
    assert list(table["forward_ns"]) == [MS, MS]


def test_clock_drift_is_taken_out_of_the_schedule_only(tmp_path: Path) -> None:
    """REALTIME gains 3 us on MONOTONIC; stamps are REALTIME's, intended times MONOTONIC's."""
    table = one(tmp_path, [Fate()] * 5, drift=3000)
    assert set(table["forward_ns"]) == {MS}
    error = table["schedule_error_ns"]
    assert list(np.diff(error)) == [-500] * 4
    assert error[0] == 0


@pytest.mark.parametrize("by", [3600 * SECOND, -3600 * SECOND, 50 * MS, -2 * MS, 5_000])
def test_messages_around_a_set_clock_are_left_out_and_all_others_right(
    by: int, tmp_path: Path
) -> None:
    table = one(tmp_path, [Fate(late=7)] * 1200, step=(850, by))
    gone = set(range(1200)) - set(table["seq"].tolist())
    assert gone == set(range(300, 901))  # from 5 s before the pair before it to the pair after
    assert set(table["forward_ns"]) == {MS}
    assert set(table["reverse_ns"]) == {2 * MS}
    assert set(table["schedule_error_ns"]) == {7}


def test_refused_message_is_lost_and_shifts_nobody(tmp_path: Path) -> None:
    log = EventLog(tmp_path / events.SENT_FILE, ["one"])
    log.add(events.START, 0, 0, 0, START, 0)
    log.add(events.CLOCK, 0, 0, 0, START, START + OFFSET)
    received = EventLog(tmp_path / events.RECEIVED_FILE, ["one"])
    for seq in range(3):
        due = START + seq * EVERY
        log.add(events.SENT, seq == 1, 0, seq, due, due + OFFSET)
        if seq != 1:  # its number in the kernel may or may not be used up
            received.add(events.SENDER_TX, 0, 0, seq - (seq > 1), due + OFFSET + 100, 0)
    for each in (log, received, EventLog(tmp_path / events.REFLECTED_FILE, ["one"])):
        each.end()
        each.close()
    table = read_samples(tmp_path, "one")
    assert list(table["not_sent"]) == [False, True, False]
    assert list(table["schedule_error_ns"]) == [100, MISSING, 100]
    assert table["lost_forward"].all()


class Cut(NamedTuple):
    """Up to which moment after the start each log is kept; None: to its end."""

    sent: int | None = None
    received: int | None = None
    reflected: int | None = None


def cut(folder: Path, moments: Cut) -> Samples:
    """The table of a run whose logs end so."""
    for name, moment in zip(
        (events.SENT_FILE, events.RECEIVED_FILE, events.REFLECTED_FILE), moments, strict=True
    ):
        if moment is None:
            continue
        whole, rows = read_events(folder / name)
        happened = rows["a"] - np.where(rows["a"] > OFFSET, OFFSET, 0)
        kept = rows[(happened < START + moment) & (rows["kind"] != events.END)]
        (folder / name).unlink()
        log = EventLog(folder / name, whole.sessions)
        for row in kept:
            log.add(*(int(value) for value in row))
        log.cover(START + moment)
        log.close()
    return Logs(folder).samples("one", GRACE)


GRACE = 50 * MS


@pytest.mark.parametrize(
    "moments",
    [
        Cut(sent=200 * MS, received=200 * MS, reflected=200 * MS),
        Cut(sent=300 * MS, received=240 * MS, reflected=200 * MS),
        Cut(sent=300 * MS, received=200 * MS, reflected=280 * MS),
        Cut(received=200 * MS),
        Cut(reflected=200 * MS),
    ],
)
def test_nothing_is_lost_that_the_logs_do_not_cover(tmp_path: Path, moments: Cut) -> None:
    table = cut(write(tmp_path, [Fate()] * 40), moments)
    assert len(table) == 20  # those due before the least of the moments
    assert not table["lost_forward"].any()
    assert not table["lost_reverse"].any()
    assert table["received"][:-1].all()


def test_what_was_lost_while_all_logs_were_kept_stays_lost(tmp_path: Path) -> None:
    happened = [Fate()] * 40
    happened[3], happened[5] = Fate(forward=None), Fate(reverse=None)
    happened[17] = Fate(forward=None)  # its time to arrive is not over at the end
    happened[18] = Fate(reverse=None)
    table = cut(write(tmp_path, happened), Cut(sent=200 * MS, received=200 * MS))
    assert list(np.flatnonzero(table["lost_forward"])) == [3]
    assert list(np.flatnonzero(table["lost_reverse"])) == [5]
    assert list(np.flatnonzero(~table["received"])) == [3, 5, 17, 18]
    assert table["forward_ns"][17] == table["rtt_ns"][18] == MISSING
    assert table["forward_ns"][18] == MS


def test_what_was_refused_never_left(tmp_path: Path) -> None:
    write(tmp_path, [Fate()] * 3)
    with (tmp_path / events.SENT_FILE).open("r+b") as log:
        log.seek(-events.EVENT.size, 2)  # before END
        due = START + 3 * EVERY
        log.write(events.EVENT.pack(events.SENT, 1, 1, 3, due, due + OFFSET))
    table = cut(tmp_path, Cut(sent=39 * MS, received=39 * MS))
    assert list(table["lost_forward"]) == [False, False, False, True]


def test_a_whole_run_is_covered_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, [Fate()] * 40)
    assert Logs(tmp_path).traffic_ns is None
    cut(tmp_path, Cut(reflected=200 * MS))
    assert Logs(tmp_path).traffic_ns == 200 * MS


def test_half_an_event_at_the_end_is_ignored(tmp_path: Path) -> None:
    """A killed run's last block may be cut anywhere."""
    write(tmp_path, [Fate()] * 40)
    cut(tmp_path, Cut(200 * MS, 200 * MS, 200 * MS))
    for name in (events.SENT_FILE, events.RECEIVED_FILE, events.REFLECTED_FILE):
        with (tmp_path / name).open("ab") as log:
            log.write(b"half an event")
    assert len(read_samples(tmp_path, "one")) == 20


def test_a_full_disk_tears_no_event(tmp_path: Path) -> None:
    """What could be written of a block is not written again."""
    log = EventLog(tmp_path / "log", ["one"])
    header = (tmp_path / "log").stat().st_size
    for number in range(100):
        log.add(events.SENT, 0, 0, number, 0, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (header + 1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.close()
    assert list(read_events(tmp_path / "log")[1]["number"]) == list(range(100))


def test_more_than_one_block_is_written(tmp_path: Path) -> None:
    assert len(one(tmp_path, [Fate()] * 3000)) == 3000


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="cannot be read"):
        Logs(tmp_path)
    write(tmp_path, [Fate()])
    with pytest.raises(ResultError, match="no session 'two'") as caught:
        read_samples(tmp_path, "two")
    assert "zero, one" in caught.value.expected
    (tmp_path / events.SENT_FILE).write_bytes(b"something else entirely")
    with pytest.raises(ResultError, match="not an event log"):
        Logs(tmp_path)
