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

from testbed.probes.child import read_job, say_ready
from testbed.probes.clock import Stop, become_pacer
from testbed.probes.events import RECEIVED_FILE, SENDER_RX, SENDER_TX, EventLog, pack_arrival
from testbed.probes.sockets import Inbox
from testbed.probes.stamp import BASE_BYTES

_REPLY_SEQS = Struct("!I20xI")
"""Reflector's and sender's sequence number in a reply."""
_PAUSE_S = 0.01
_IDLE_S = 0.1


class Receiver:
    """Reads the sender sockets `fd -> session index`."""

    def __init__(self, sessions: Mapping[int, int], log: EventLog) -> None:
        self._sessions, self._log = sessions, log
        self._replies = Inbox(payload_bytes=BASE_BYTES)
        self._stamps = Inbox(payload_bytes=0)
        self._stamped = dict.fromkeys(sessions, -1)
        """Highest packet id whose first stamp was seen; later stamps of it are other hops'."""

    def read(self, fd: int) -> None:
        session, log = self._sessions[fd], self._log
        highest = self._stamped[fd]
        for number, time_ns in self._stamps.read_stamps(fd):
            if number > highest:
                highest = number
                log.add(SENDER_TX, 0, session, number, time_ns, 0)
        self._stamped[fd] = highest
        replies = self._replies
        while count := replies.read(fd):
            for i in range(count):
                if replies.size(i) < BASE_BYTES:
                    continue
                reflector_seq, seq = _REPLY_SEQS.unpack_from(replies.payload(i, BASE_BYTES))
                time_ns, tos, ttl = replies.arrival(i)
                log.add(SENDER_RX, 0, session, seq, time_ns, pack_arrival(reflector_seq, tos, ttl))
            if count < replies.slots:
                return

    def run(self, stop: Stop) -> None:
        poll = select.epoll()
        for fd in self._sessions:
            poll.register(fd, select.EPOLLIN)
        while not stop:
            ready = poll.poll(_IDLE_S)
            for fd, _ in ready:
                self.read(fd)
            if ready:
                time.sleep(_PAUSE_S)
            else:
                self._log.flush()
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
        receiver.run(stop)
    finally:
        log.close()


if __name__ == "__main__":
    run_job()
