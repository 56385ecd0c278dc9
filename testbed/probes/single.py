"""One session to any RFC 8762 reflector, from the command line.

Times of the far end are its own: one-way delays hold the clocks' difference, the
round trip does not.
"""

from __future__ import annotations

import socket
import statistics
import sys
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import NamedTuple

from testbed.errors import TestbedError
from testbed.probes.batches import Inbox, Train, name_of
from testbed.probes.clock import become_pacer, sleep_until
from testbed.probes.schedule import send_times
from testbed.probes.sockets import open_udp
from testbed.probes.stamp import BASE_BYTES, PORT, ReflectorPacket, request_head, request_of_size
from testbed.units import show_ns, size_bytes, time_ns

_LARGEST_BYTES = 9216
_LAST_PORT = 65535


class RoundTrip(NamedTuple):
    """What one reply says; ns."""

    rtt_ns: int
    forward_ns: int
    reverse_ns: int


class Session:
    """Sends on a schedule while a thread reads; `trips` fills up by sequence number."""

    def __init__(self, sock: socket.socket, to: tuple[str, int], packet_bytes: int) -> None:
        self._sock = sock
        name = self._to = name_of(*to)
        self._count = 0
        self._train = Train((0, name), (request_of_size(packet_bytes), name))
        self.refused: set[int] = set()
        """Sequence numbers of packets that the kernel did not take."""
        self._sent: dict[int, int] = {}
        self._replies: dict[int, tuple[ReflectorPacket, int]] = {}
        self._done = threading.Event()

    def run(self, interval_ns: int, count: int, arrivals: str, seed: int, wait_ns: int) -> None:
        self._count = count
        reader = threading.Thread(target=self._read)
        reader.start()
        try:
            start_ns = time.monotonic_ns()
            for seq, due_ns in enumerate(send_times(start_ns, interval_ns, count, arrivals, seed)):
                sleep_until(due_ns)
                self._train.put(0, seq, request_head(seq, time.time_ns()))
                if self._train.send(self._sock.fileno(), 1) != [True]:
                    self.refused.add(seq)
            deadline_ns = time.monotonic_ns() + wait_ns
            expected = count - len(self.refused)
            while len(self._replies) < expected and time.monotonic_ns() < deadline_ns:
                time.sleep(0.01)
        finally:
            self._done.set()
            reader.join()

    @property
    def trips(self) -> dict[int, RoundTrip]:
        """Replied sequence numbers, with kernel stamps on our side.

        A refused packet may or may not have used up a stamp's number: then the time of
        sending is that in the packets.
        """
        found = {}
        for seq, (reply, back_ns) in self._replies.items():
            stamp_ns = None if self.refused else self._sent.get(seq)
            sent_ns = reply.sender_sent_ns if stamp_ns is None else stamp_ns
            forward_ns, reverse_ns = reply.received_ns - sent_ns, back_ns - reply.sent_ns
            found[seq] = RoundTrip(forward_ns + reverse_ns, forward_ns, reverse_ns)
        return found

    def _read(self) -> None:
        replies, stamps = Inbox(payload_bytes=_LARGEST_BYTES), Inbox(payload_bytes=0)
        fd = self._sock.fileno()
        while not self._done.wait(0.002):
            for number, time_stamp_ns in stamps.read_stamps(fd):
                self._sent.setdefault(number, time_stamp_ns)
            while (count := replies.read(fd)) and not self._done.is_set():
                for i in range(count):
                    data = bytes(replies.payload(i, replies.size(i)))
                    if bytes(replies.name(i)[:8]) != self._to[:8] or len(data) < BASE_BYTES:
                        continue  # not from the reflector, or no reply
                    reply = ReflectorPacket.unpack(data)
                    if reply.sender_seq < self._count:
                        self._replies.setdefault(reply.sender_seq, (reply, replies.arrival(i)[0]))


def _quantity(parse: Callable[[object], int]) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            return parse(text)
        except TestbedError as error:
            raise ArgumentTypeError(f"{error.what}; expected {error.expected}") from error

    return convert


def run_alone(argv: Sequence[str]) -> int:
    """Measure, print a summary; 0 if a reply came."""
    parser = ArgumentParser(prog="python -m testbed.probes.sender", description=__doc__)
    parser.add_argument("--to", required=True, help="IPv4 address of the reflector")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--source", default="0.0.0.0", help="IPv4 address to send from")  # noqa: S104 - any
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--interval", type=_quantity(time_ns), default=10_000_000)
    parser.add_argument("--size", type=_quantity(size_bytes), default=BASE_BYTES)
    parser.add_argument("--arrivals", choices=("periodic", "poisson"), default="periodic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dscp", type=int, choices=range(64), metavar="0..63", default=0)
    parser.add_argument("--wait", type=_quantity(time_ns), default=1_000_000_000)
    options = parser.parse_args(argv)
    if not BASE_BYTES <= options.size <= _LARGEST_BYTES:
        parser.error(f"--size: a STAMP packet has {BASE_BYTES} to {_LARGEST_BYTES} B")
    if not 1 <= options.port <= _LAST_PORT:
        parser.error(f"--port: 1 to {_LAST_PORT}")
    if options.interval < 1 or options.count < 1:
        parser.error("--interval and --count: more than nothing")
    for name in ("to", "source"):
        try:
            socket.inet_pton(socket.AF_INET, getattr(options, name))
        except OSError:
            parser.error(f"--{name}: {getattr(options, name)!r} is no IPv4 address")
    try:
        sock = open_udp(options.source, 0, tos=options.dscp << 2)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    become_pacer()
    session = Session(sock, (options.to, options.port), options.size)
    session.run(options.interval, options.count, options.arrivals, options.seed, options.wait)
    trips = session.trips
    sent = options.count - len(session.refused)
    refused = f", {len(session.refused)} refused by this host's kernel" if session.refused else ""
    print(f"{sent} sent, {len(trips)} replied, {sent - len(trips)} lost{refused}")
    for name in RoundTrip._fields:
        values = sorted(getattr(trip, name) for trip in trips.values())
        if values:
            print(
                f"{name[:-3]:8} min {show_ns(values[0])}  "
                f"median {show_ns(statistics.median(values))}  max {show_ns(values[-1])}"
            )
    return 0 if trips else 1
