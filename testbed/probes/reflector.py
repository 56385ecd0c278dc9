"""The process that answers STAMP requests, for all reflectors of a run or standalone.

    python -m testbed.probes.reflector --bind ADDRESS [--port 862] [--stateful]

Any RFC 8762 or TWAMP-Light sender may be pointed at it. A reply has the request's
size and TOS, and its TLVs flagged as RFC 8972 says.

Where the kernel keeps a packet until the moment it names, every reply leaves a constant
`hold_ns` after its request arrived, exactly: the process collects requests that long and
answers them together, and replies are spaced as their requests were. Round trips are net
of the reflector's time (RFC 8762 clause 4.3). Elsewhere `hold_ns` is 0, and every request
is answered at once.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from testbed.errors import TestbedError
from testbed.probes.batches import Inbox, Outbox, name_of
from testbed.probes.child import read_job, say_ready
from testbed.probes.clock import Stop, become_pacer, clock_pair
from testbed.probes.eliminator import Eliminator
from testbed.probes.events import (
    KEEP_NS,
    NO_SESSION,
    REFLECTED_FILE,
    REFLECTOR_RX,
    REFLECTOR_TX,
    EventLog,
    pack_arrival,
)
from testbed.probes.sockets import open_answering_pair, restart_ids
from testbed.probes.stamp import PORT, TWAMP_REQUEST_BYTES, reply

_IDLE_S = 0.1
_LAST_S = 5.0
"""At most so long are requests answered that wait when the end is asked for."""
_STAMPS_WAITING = 32
"""So many unread transmit stamps are read even if requests keep coming."""
_LARGEST_BYTES = 9216
_STRANGERS = 4096


class _Sent(NamedTuple):
    session: int
    seq: int
    own_seq: int


class Endpoint:
    """One address and port that is answered."""

    def __init__(
        self,
        inbound: socket.socket,
        outbound: socket.socket,
        sessions: Mapping[bytes, int],
        doubled: Iterable[int] = (),
    ) -> None:
        self.inbound, self.outbound, self.sessions = inbound, outbound, sessions
        """Session index of a sender's socket address (family, port, address)."""
        self.eliminators = {session: Eliminator() for session in doubled}
        """Of the sessions whose requests come in copies: one of each is answered."""
        self.counters: dict[bytes, int] = {}
        """Requests answered, by sender."""
        self.strangers: dict[bytes, int] = {}
        """The same for senders of no session: those who asked last, of whom there may be any
        number."""
        self.waiting: dict[int, _Sent] = {}
        """Replies by stamp id whose transmit stamp was not read yet."""
        self.next_id = 0

    def count(self, name: bytes, session: int) -> int:
        """One more request of a sender; how many there were before."""
        counters = self.strangers if session == NO_SESSION else self.counters
        before = counters.pop(name, 0)
        counters[name] = before + 1
        if len(self.strangers) > _STRANGERS:
            del self.strangers[next(iter(self.strangers))]
        return before


class Reflector:
    """Answers on endpoints until stopped.

    Args:
        stateful: replies carry the reflector's own counter for each sender
            (RFC 8762 clause 4.3), else the sender's sequence number.
        log: where known sessions' events go, or None.
        hold_ns: from a request's arrival to its reply; 0 is at once. More takes
            endpoints whose outbound socket is timed.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        stateful: bool,
        log: EventLog | None,
        hold_ns: int = 0,
    ) -> None:
        self._endpoints = {endpoint.inbound.fileno(): endpoint for endpoint in endpoints}
        self._stateful, self._log, self._hold_ns = stateful, log, hold_ns
        self._requests = Inbox(payload_bytes=_LARGEST_BYTES)
        self._replies = Outbox(payload_bytes=_LARGEST_BYTES, timed=hold_ns > 0)
        self._stamps = Inbox(payload_bytes=0)
        self._offset_ns = self._kept_ns = 0
        """CLOCK_REALTIME - CLOCK_MONOTONIC, and when the log was written."""

    def run(self, stop: Stop) -> None:
        poll = select.epoll()
        for fd in self._endpoints:
            poll.register(fd, select.EPOLLIN)
        self.settle()
        asked_ns = covered_ns = self._kept_ns
        while not stop:
            ready = poll.poll(_IDLE_S, max(1, len(self._endpoints)))
            now_ns = time.time_ns()
            unread = False
            for fd, _ in ready:
                endpoint = self._endpoints[fd]
                while full := self.answer(endpoint, now_ns) == self._requests.slots:
                    if stop or not self._hold_ns:  # others must not wait for their answers
                        break
                unread |= full
                if len(endpoint.waiting) >= _STAMPS_WAITING:
                    self.read_stamps(endpoint)
            if not unread:
                covered_ns = asked_ns  # what has come since may not have been read
            asked_ns = now_ns
            if not ready or now_ns - self._kept_ns >= KEEP_NS:
                self.settle(covered_ns)
            if ready and self._hold_ns:
                time.sleep(self._hold_ns / 1e9)
        until = time.monotonic() + _LAST_S
        for endpoint in self._endpoints.values():
            while self.answer(endpoint, time.time_ns()) and time.monotonic() < until:
                self.read_stamps(endpoint)
        time.sleep(self._hold_ns / 1e9)
        self.settle()

    def settle(self, covered_ns: int | None = None) -> None:
        """Read all stamps, write the log, compare the clocks.

        Args:
            covered_ns: all arrivals before this moment (CLOCK_REALTIME) have been read.
        """
        for endpoint in self._endpoints.values():
            if endpoint.waiting:
                self.read_stamps(endpoint)
        if self._log is not None and covered_ns is not None:
            self._log.cover(covered_ns - self._offset_ns)
        now = clock_pair()
        self._kept_ns, self._offset_ns = now.realtime_ns, now.offset_ns

    def answer(self, endpoint: Endpoint, now_ns: int) -> int:
        """Answer the requests that are waiting, at most one batch; how many there were."""
        requests, replies, log = self._requests, self._replies, self._log
        count = requests.read(endpoint.inbound.fileno())
        sent: list[_Sent] = []
        for i, (size, stamp_ns, tos, ttl) in enumerate(requests.arrivals(count)):
            if size < TWAMP_REQUEST_BYTES:
                continue
            received_ns = stamp_ns or now_ns  # a kernel's first packet may have no stamp
            request = bytes(requests.payload(i, size))
            name = bytes(requests.name(i))
            seq = int.from_bytes(request[:4], "big")
            session = endpoint.sessions.get(name[:8], NO_SESSION)
            eliminator = endpoint.eliminators.get(session)
            if eliminator is not None and not eliminator.first(seq, received_ns):
                if log is not None:
                    arrival = pack_arrival(endpoint.counters[name] - 1 & 0xFFFF_FFFF, tos, ttl)
                    log.add(REFLECTOR_RX, 0, session, seq, received_ns, arrival)
                continue
            own_seq = endpoint.count(name, session)
            leaves_ns = received_ns + self._hold_ns
            answer = reply(
                request,
                seq=own_seq if self._stateful else None,
                received_ns=received_ns,
                sent_ns=max(now_ns, leaves_ns),
                ttl=ttl,
            )
            if log is not None:
                arrival = pack_arrival(own_seq & 0xFFFF_FFFF, tos, ttl)
                log.add(REFLECTOR_RX, 0, session, seq, received_ns, arrival)
            replies.put(len(sent), answer, name, tos, leaves_ns - self._offset_ns)
            sent.append(_Sent(session, seq, own_seq))
        if sent:
            self._send(endpoint, sent)
        return count

    def _send(self, endpoint: Endpoint, sent: Sequence[_Sent]) -> None:
        at = 0
        while at < len(sent):
            taken = self._replies.send(endpoint.outbound.fileno(), len(sent), at)
            for row in sent[at : at + taken]:
                endpoint.waiting[endpoint.next_id] = row
                endpoint.next_id += 1
            at += taken
            if at < len(sent):  # a refused reply may have used up an id: number anew
                self.read_stamps(endpoint)
                endpoint.waiting.clear()
                endpoint.next_id = 0
                restart_ids(endpoint.outbound)
                at += 1

    def read_stamps(self, endpoint: Endpoint) -> None:
        log = self._log
        for number, time_ns in self._stamps.read_stamps(endpoint.outbound.fileno()):
            row = endpoint.waiting.pop(number, None)  # None: another hop's stamp
            if row is not None and log is not None:
                log.add(REFLECTOR_TX, 0, row.session, row.seq, time_ns, row.own_seq)


def run_job() -> None:
    """Answer for an engine until SIGTERM."""
    job = read_job()
    become_pacer(first=True)
    stop = Stop()
    log = EventLog(Path(job["folder"]) / REFLECTED_FILE, job["ids"])
    endpoints = [
        Endpoint(
            socket.socket(fileno=row["inbound"]),
            socket.socket(fileno=row["outbound"]),
            {name_of(s["ip"], s["port"])[:8]: s["index"] for s in row["senders"]},
            [s["index"] for s in row["senders"] if s["doubled"]],
        )
        for row in job["endpoints"]
    ]
    say_ready()
    try:
        Reflector(endpoints, stateful=True, log=log, hold_ns=job["hold_ns"]).run(stop)
        log.end()
    finally:
        log.close()


def run_alone(argv: Sequence[str]) -> int:
    """Answer on one address until SIGINT or SIGTERM."""
    parser = ArgumentParser(prog="python -m testbed.probes.reflector", description=__doc__)
    parser.add_argument("--bind", required=True, help="IPv4 address to answer on")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--stateful", action="store_true", help="count replies for each sender")
    options = parser.parse_args(argv)
    try:
        inbound, outbound = open_answering_pair(options.bind, options.port)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    become_pacer()
    stop = Stop()
    print(f"answering STAMP on {options.bind}:{options.port}", flush=True)
    Reflector([Endpoint(inbound, outbound, {})], stateful=options.stateful, log=None).run(stop)
    return 0


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(run_alone(sys.argv[1:]))
    run_job()
