"""The process that reads what needs no answer: replies, transmit stamps of requests, and
the leading packets of messages where they arrive.

It is in no hurry, since the kernel stamps arrivals: between reads it pauses, so that
many packets share a system call.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from struct import Struct
from typing import Any

from testbed.probes.batches import NAME_BYTES, Inbox, name_of
from testbed.probes.child import read_job, say_ready
from testbed.probes.clock import Stop, become_pacer
from testbed.probes.eliminator import HISTORY, Eliminator
from testbed.probes.events import (
    KEEP_NS,
    LEADING_RX,
    RECEIVED_FILE,
    SENDER_RX,
    SENDER_TX,
    EventLog,
    pack_arrival,
)
from testbed.probes.messages import HEAD, PRIMING
from testbed.probes.stamp import BASE_BYTES

_REPLY_SEQS = Struct("!I20xI16x")
"""Reflector's and sender's sequence number in a reply without TLVs."""
_SLOTS = 256
"""Leading packets a system call."""
_PAUSE_NS = 10_000_000
_IDLE_S = 0.1


class Arriving:
    """A socket at which the leading packets of sessions arrive.

    Args:
        row: of the job; its senders with their addresses, the packets of their messages,
            and whether these come in copies.
    """

    def __init__(self, row: Mapping[str, Any], log: EventLog) -> None:
        self.fd: int = row["fd"]
        self._log = log
        self._inbox = Inbox(_SLOTS, HEAD.size)
        senders = row["senders"]
        self._sessions = {name_of(s["ip"], s["port"])[:8]: s["index"] for s in senders}
        self._leading = {s["index"]: s["packets"] - 1 for s in senders}
        self._eliminators = {
            s["index"]: Eliminator(HISTORY * self._leading[s["index"]])
            for s in senders
            if s["doubled"]
        }

    def read(self) -> None:
        inbox, add = self._inbox, self._log.add
        while count := inbox.read(self.fd):
            for i, ((size, time_ns, tos, ttl), (number, index)) in enumerate(
                zip(
                    inbox.arrivals(count),
                    HEAD.iter_unpack(inbox.data[: count * HEAD.size]),
                    strict=True,
                )
            ):
                at = i * NAME_BYTES
                session = self._sessions.get(bytes(inbox.names[at : at + 8]))
                if session is None or size < HEAD.size or number == PRIMING:
                    continue
                eliminator, gone = self._eliminators.get(session), False
                if eliminator is not None:
                    position = number * self._leading[session] + index
                    gone = not eliminator.first(position, time_ns)
                add(LEADING_RX, gone, session, number, time_ns, pack_arrival(index, tos, ttl))
            if count < inbox.slots:
                return


class Receiver:
    """Reads the sender sockets `fd -> session index`, and those of leading packets."""

    def __init__(
        self, sessions: Mapping[int, int], log: EventLog, arriving: Iterable[Arriving] = ()
    ) -> None:
        self._sessions, self._log = sessions, log
        self._arriving = {one.fd: one for one in arriving}
        self._replies = Inbox(payload_bytes=BASE_BYTES)
        self._stamps = Inbox(payload_bytes=0)
        self._stamped = dict.fromkeys(sessions, -1)
        """Highest packet id whose first stamp was seen; later stamps of it are other hops'."""

    def read(self, fd: int) -> None:
        session, add = self._sessions[fd], self._log.add
        highest = self._stamped[fd]
        for number, time_ns in self._stamps.read_stamps(fd):
            if number > highest:
                highest = number
                add(SENDER_TX, 0, session, number, time_ns, 0)
        self._stamped[fd] = highest
        replies = self._replies
        while count := replies.read(fd):
            for (size, time_ns, tos, ttl), (reflector_seq, seq) in zip(
                replies.arrivals(count),
                _REPLY_SEQS.iter_unpack(replies.data[: count * BASE_BYTES]),
                strict=True,
            ):
                if size == BASE_BYTES:  # or more, of which no more is read
                    arrival = pack_arrival(reflector_seq, tos, ttl)
                    add(SENDER_RX, 0, session, seq, time_ns, arrival)
            if count < replies.slots:
                return

    def run(self, stop: Stop, pause_ns: int = _PAUSE_NS) -> None:
        poll = select.epoll()
        for fd in (*self._sessions, *self._arriving):
            poll.register(fd, select.EPOLLIN)
        kept_ns = asked_ns = time.monotonic_ns()
        while not stop:
            ready = poll.poll(_IDLE_S, max(1, len(self._sessions) + len(self._arriving)))
            for fd, _ in ready:
                self._take(fd)
            now_ns = time.monotonic_ns()
            if now_ns - kept_ns >= KEEP_NS:
                self._log.cover(asked_ns)  # what has come since may not have been read
                kept_ns = now_ns
            asked_ns = now_ns
            if ready:
                time.sleep(pause_ns / 1e9)
        for fd in (*self._sessions, *self._arriving):
            self._take(fd)

    def _take(self, fd: int) -> None:
        if fd in self._arriving:
            self._arriving[fd].read()
        else:
            self.read(fd)


def run_job() -> None:
    """Read for an engine until SIGTERM."""
    job = read_job()
    become_pacer()
    stop = Stop()
    log = EventLog(Path(job["folder"]) / RECEIVED_FILE, job["ids"])
    receiver = Receiver(
        {row["fd"]: row["index"] for row in job["sessions"]},
        log,
        [Arriving(row, log) for row in job["arriving"]],
    )
    say_ready()
    try:
        receiver.run(stop, max(_PAUSE_NS, job["ahead_ns"]))
        log.end()
    finally:
        log.close()


if __name__ == "__main__":
    run_job()
