"""The event logs of a run as one table a session (host side).

    samples = read_samples(job / "samples", "surgery-up")
    samples["forward_ns"][samples["received"]]

One row for each message that was meant to be sent, in order. Times are int64 ns;
what is not known is MISSING. Columns:

    seq                  sequence number, from 0
    intended_ns          when it was meant to be sent, from the start of traffic
    packets              IP packets of the message
    arrived              how many of them reached the reflector, copies not counted
    sent_ns              when the kernel took its first packet (T1), from the start of traffic
    schedule_error_ns    sent_ns - intended_ns
    forward_ns           one-way delay, T2 - T1: from its first packet's leaving to the arrival
                         of the last of its packets to come
    forward_intended_ns  T2 - intended
    reverse_ns           one-way delay of the reply, T4 - T3
    rtt_ns               forward_ns + reverse_ns: round trip net of the reflector's time
    rtt_intended_ns      rtt_ns + schedule_error_ns
    answered             its STAMP packet, the last one, reached the reflector, which replied
    received             the reply came back
    not_sent             the kernel refused it, or a part of it; it counts as lost forward
    lost_forward         not all of its packets reached the reflector
    lost_reverse         it was answered, but the reply never came back
    copies_forward       how often it arrived: of its packets, the one that came most often
    copies_reverse       how often its reply arrived
    reordered_forward    a later message had arrived before it (RFC 4737 clause 3)
    reordered_reverse    a later reply had arrived before its reply
    reordered_packets    its packets before which one that left later had arrived (RFC 4737)
    tos_forward          TOS octet as the reflector saw it
    tos_reverse          TOS octet as the sender saw it

All stamps are of one clock (namespaces share the kernel's), so one-way delays have no
clock error. Kernel stamps are CLOCK_REALTIME, the schedule is CLOCK_MONOTONIC; pairs
of both, logged every second, join them. Where a pair shows that a program has set the
clock, the messages around have no row: which of their stamps are older, nobody knows.

A run that was cut short ends with the last message that was due while all three logs
were kept. One whose time to arrive or come back was not over then was not lost: if it had
not, it is neither, and what is not known of it is MISSING.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.errors import ResultError
from testbed.probes import events
from testbed.probes.arrivals import MISSING, Arrivals, Messages, first_times
from testbed.probes.clocks import READABLE_NS
from testbed.probes.events_read import Reader

_UNDERWAY_NS = 5_000_000_000
"""As long as a run waits for a message at most."""

_ALL_NS = int(np.iinfo(np.int64).max)

Samples = NDArray[np.void]

SAMPLE = np.dtype(
    [
        ("seq", "u4"),
        ("packets", "u4"),
        ("arrived", "u4"),
        ("reordered_packets", "u4"),
        *(
            (name, "i8")
            for name in (
                "intended_ns",
                "sent_ns",
                "schedule_error_ns",
                "forward_ns",
                "forward_intended_ns",
                "reverse_ns",
                "rtt_ns",
                "rtt_intended_ns",
            )
        ),
        *(
            (name, "?")
            for name in (
                "answered",
                "received",
                "not_sent",
                "lost_forward",
                "lost_reverse",
                "reordered_forward",
                "reordered_reverse",
            )
        ),
        *(
            (name, "u1")
            for name in ("copies_forward", "copies_reverse", "tos_forward", "tos_reverse")
        ),
    ]
)
EVENT = np.dtype(
    [
        ("kind", "u1"),
        ("flag", "u1"),
        ("session", "<u2"),
        ("number", "<u4"),
        ("a", "<i8"),
        ("b", "<i8"),
    ]
)


def read_events(path: Path) -> tuple[Reader, NDArray[np.void]]:
    """A log, with the ids of its sessions, and all its events. Raises ResultError."""
    log = Reader(path)
    try:
        raw = log.more()
    except OSError as error:
        raise ResultError(
            f"event log cannot be read: {error.strerror}",
            where=str(path),
            expected="a file written by a probe process",
        ) from error
    if not log.begun:
        raise ResultError(
            "the event log's header is damaged", where=str(path), expected="JSON with the ids"
        )
    return log, np.frombuffer(raw, EVENT)


def read_samples(folder: Path, session: str) -> Samples:
    """One session's table from the three logs in `folder`. Raises ResultError."""
    return Logs(folder).samples(session)


class Logs:
    """The three logs of a run, read once for any number of sessions. Raises ResultError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        log, self._sent = read_events(folder / events.SENT_FILE)
        self.ids, self.packets = log.sessions, log.packets
        """Of a message of each session."""
        _, self._received = read_events(folder / events.RECEIVED_FILE)
        _, self._reflected = read_events(folder / events.REFLECTED_FILE)
        start = self._sent[self._sent["kind"] == events.START]
        clock = self._sent[self._sent["kind"] == events.CLOCK]
        if not len(start) or not len(clock):
            raise ResultError(
                "traffic never started",
                where=str(folder / events.SENT_FILE),
                expected="a start and a pair of clock readings",
            )
        self._start_ns = int(start["a"][0])
        logs = (self._sent, self._received, self._reflected)
        self._covered_ns = min(map(_covered_ns, logs))
        self._mono_ns, self._offset_ns = clock["a"], clock["b"] - clock["a"]
        width = clock["number"].astype(np.int64)
        readable = (width[:-1] + width[1:]) // 2 + READABLE_NS
        self._set = np.flatnonzero(np.abs(np.diff(self._offset_ns)) > readable)
        """Pairs after which the clock was set, before the next."""

    @property
    def traffic_ns(self) -> int | None:
        """How much of the traffic is covered if it was cut short; None: all of it."""
        if self._covered_ns == _ALL_NS:
            return None
        return max(0, self._covered_ns - self._start_ns)

    def samples(self, session: str, grace_ns: int = 1_000_000_000) -> Samples:
        """One session's table. Raises ResultError.

        Args:
            grace_ns: what a reply may take. Matters where the run was cut short.
        """
        if session not in self.ids:
            raise ResultError(
                f"no session {session!r} in this run",
                where=str(self._folder),
                expected="one of " + ", ".join(self.ids),
            )
        index = self.ids.index(session)
        sent = _pick(self._sent, events.SENT, index)
        t1 = _first_stamps(sent, _pick(self._received, events.SENDER_TX, index))
        count = int(np.count_nonzero(sent["a"] < self._covered_ns))
        sent, t1 = sent[:count], t1[:count]
        table = np.zeros(count, SAMPLE)
        table["seq"] = sent["number"]
        table["not_sent"] = sent["flag"] != 0
        intended = sent["a"] + self._offset_at(sent["a"])
        last = Arrivals(_pick(self._reflected, events.REFLECTOR_RX, index), count)
        reverse = Arrivals(_pick(self._received, events.SENDER_RX, index), count, replies=True)
        t4 = reverse.time_ns
        t3 = first_times(_pick(self._reflected, events.REFLECTOR_TX, index), count)
        answered = (last.time_ns != MISSING) | (t4 != MISSING)
        packets = self.packets[index]
        if packets == 1:
            forward: Arrivals | Messages = last
            table["arrived"] = answered
            table["reordered_packets"] = last.reordered
        else:
            leading = _pick(self._received, events.LEADING_RX, index)
            forward = messages = Messages(last, answered, leading, packets)
            table["arrived"] = messages.arrived
            table["reordered_packets"] = messages.reordered_packets
        t2 = forward.time_ns

        table["packets"] = packets
        table["intended_ns"] = sent["a"] - self._start_ns
        table["schedule_error_ns"] = _minus(t1, intended)
        table["sent_ns"] = _plus(table["intended_ns"], table["schedule_error_ns"])
        table["forward_ns"] = _minus(t2, t1)
        table["forward_intended_ns"] = _minus(t2, intended)
        table["reverse_ns"] = _minus(t4, t3)
        table["rtt_ns"] = _plus(table["forward_ns"], table["reverse_ns"])
        table["rtt_intended_ns"] = _plus(table["rtt_ns"], table["schedule_error_ns"])
        table["answered"] = answered
        table["received"] = t4 != MISSING
        decided = np.ones(count, bool)
        if self.traffic_ns is not None:
            decided = table["not_sent"] | (sent["a"] < self._covered_ns - grace_ns)
        table["lost_forward"] = (table["arrived"] < packets) & decided
        table["lost_reverse"] = answered & ~table["received"] & decided
        for name, side in (("forward", forward), ("reverse", reverse)):
            table[f"reordered_{name}"] = side.reordered
            table[f"copies_{name}"] = np.minimum(side.copies, 255)
        table["tos_forward"], table["tos_reverse"] = last.tos, reverse.tos
        return table[~self._around_a_step(sent["a"])]

    def _around_a_step(self, mono_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which moments are so near to one at which the clock was set that a stamp before it
        may be compared with one after it."""
        near = np.zeros(len(mono_ns), bool)
        for at in self._set:
            begin, end = self._mono_ns[at] - _UNDERWAY_NS, self._mono_ns[at + 1]
            near |= (begin <= mono_ns) & (mono_ns <= end)
        return near

    def _offset_at(self, mono_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """CLOCK_REALTIME - CLOCK_MONOTONIC at each moment, between the logged pairs.

        Where the clock was set, what was before the step holds until just before the pair
        that shows it.
        """
        base = self._offset_ns[0]
        at = np.insert(self._mono_ns, self._set + 1, self._mono_ns[self._set + 1] - 1)
        offset = np.insert(self._offset_ns, self._set + 1, self._offset_ns[self._set])
        drift = np.interp(
            (mono_ns - self._mono_ns[0]).astype(float),
            (at - self._mono_ns[0]).astype(float),
            (offset - base).astype(float),
        )
        return np.asarray(base + np.rint(drift).astype(np.int64), np.int64)


def _covered_ns(rows: NDArray[np.void]) -> int:
    """Up to which moment (CLOCK_MONOTONIC) nothing is missing in a log."""
    if (rows["kind"] == events.END).any():
        return _ALL_NS
    return int(rows["a"][rows["kind"] == events.COVERED].max(initial=0))


def _pick(rows: NDArray[np.void], kind: int, session: int) -> NDArray[np.void]:
    picked: NDArray[np.void] = rows[(rows["kind"] == kind) & (rows["session"] == session)]
    return picked


def _first_stamps(sent: NDArray[np.void], rows: NDArray[np.void]) -> NDArray[np.int64]:
    """T1 of each message, by the number of its stamp.

    A refused message may or may not have used up a number. Where there is one, stamps are
    joined by time: a message's is the one taken after it was begun, before the next was.
    """
    if not (sent["flag"] != 0).any():
        return first_times(rows, len(sent))
    times = np.full(len(sent), MISSING, np.int64)
    seq = np.searchsorted(sent["b"], rows["a"], side="right") - 1
    sound = seq >= 0
    times[seq[sound][::-1]] = rows["a"][sound][::-1]
    return times


def _minus(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    known = (a != MISSING) & (b != MISSING)
    return np.where(known, np.where(known, a, 0) - np.where(known, b, 0), MISSING)


def _plus(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    known = (a != MISSING) & (b != MISSING)
    return np.where(known, np.where(known, a, 0) + np.where(known, b, 0), MISSING)
