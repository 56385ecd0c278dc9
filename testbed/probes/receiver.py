"""The process that reads what comes back: replies, and transmit stamps of requests.

It is in no hurry, since the kernel stamps arrivals: between reads it pauses, so that
many packets share a system call.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

from testbed.probes.batches import Inbox
from testbed.probes.child import read_job, say_ready
from testbed.probes.clock import Stop, become_pacer
from testbed.probes.events import RECEIVED_FILE, SENDER_RX, SENDER_TX, EventLog, pack_arrival
from testbed.probes.stamp import BASE_BYTES

_REPLY_SEQS = Struct("!I20xI16x")
"""Reflector's and sender's sequence number in a reply without TLVs."""
_PAUSE_NS = 10_000_000
_IDLE_S = 0.1
_KEEP_NS = 1_000_000_000
"""What was read is written at least so often."""


class Receiver:
    """Reads the sender sockets `fd -> session index`."""

    def __init__(self, sessions: Mapping[int, int], log: EventLog) -> None:
        self._sessions, self._log = sessions, log
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
        for fd in self._sessions:
            poll.register(fd, select.EPOLLIN)
        kept_ns = time.monotonic_ns()
        while not stop:
            ready = poll.poll(_IDLE_S)
            for fd, _ in ready:
                self.read(fd)
            now_ns = time.monotonic_ns()
            if not ready or now_ns - kept_ns >= _KEEP_NS:
                self._log.flush()
                kept_ns = now_ns
            if ready:
                time.sleep(pause_ns / 1e9)
        for fd in self._sessions:
            self.read(fd)


def run_job() -> None:
    """Read for an engine until SIGTERM."""
    job = read_job()
    become_pacer()
    stop = Stop()
    log = EventLog(Path(job["folder"]) / RECEIVED_FILE, job["ids"])
    receiver = Receiver({row["fd"]: row["index"] for row in job["sessions"]}, log)
    say_ready()
    try:
        receiver.run(stop, max(_PAUSE_NS, job["ahead_ns"]))
    finally:
        log.close()


if __name__ == "__main__":
    run_job()
