"""Batches and sockets: what the kernel takes, refuses, drops and stamps. No lab."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from testbed.probes import sockets
from testbed.probes.batches import Inbox, Outbox, Train, name_of
from testbed.probes.clock import clock_pair
from testbed.probes.messages import leading_packet
from testbed.probes.sockets import dropped, keeps_moments, open_udp
from tests.probes.plans import A_IP, B_IP, MS

SINK = name_of("127.0.0.1", 9)
NOWHERE = name_of("255.255.255.255", 9)
"""Refused: the sockets may not broadcast."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with open_udp(A_IP, 20_010) as a, open_udp(B_IP, 20_011, tos=0x28) as b:
        yield a, b


def arrived(sock: socket.socket) -> list[bytes]:
    inbox = Inbox(slots=4)
    found = []
    while count := inbox.read(sock.fileno()):
        rows = list(inbox.arrivals(count))
        assert [row[1:] for row in rows] == [inbox.arrival(i) for i in range(count)]
        found += [bytes(inbox.payload(i, size)) for i, (size, *_) in enumerate(rows)]
    return found


def test_a_train_keeps_its_order(pair: tuple[socket.socket, socket.socket]) -> None:
    a, b = pair
    to = name_of(B_IP, 20_011)
    train = Train((9, to), (b"?: last", to), packets=3, most=4)
    for i in range(3):
        train.put(i, 7 + i, bytes([ord("a") + i]))
    assert train.send(a.fileno(), 3) == [True] * 3
    assert arrived(b) == [
        packet
        for number, letter in ((7, b"a"), (8, b"b"), (9, b"c"))
        for packet in (
            leading_packet(number, 0, 9),
            leading_packet(number, 1, 9),
            letter + b": last",
        )
    ]
    assert leading_packet(9, 1, 9) == bytes([0, 0, 0, 9, 0, 0, 0, 1, 0])
    stamps = list(Inbox().read_stamps(a.fileno()))
    assert [number for number, _ in stamps] == [0, 1, 2]
    assert all(abs(time_ns - time.time_ns()) < 60 * 10**9 for _, time_ns in stamps)


@pytest.mark.parametrize(("fill", "last"), [(SINK, NOWHERE), (NOWHERE, SINK), (NOWHERE, NOWHERE)])
def test_each_refused_message_is_told(fill: bytes, last: bytes) -> None:
    with open_udp(A_IP, 0) as sock:
        train = Train((8, fill), (b"last", last), packets=2, most=3)
        assert train.send(sock.fileno(), 3) == [False] * 3
        kept = Train((8, SINK), (b"last", SINK), packets=2, most=3)
        assert kept.send(sock.fileno(), 2) == [True] * 2


def test_more_packets_than_a_call_takes() -> None:
    with open_udp(A_IP, 0) as sock:
        train = Train((8, SINK), (b"last", SINK), packets=1500, most=2)
        assert train.send(sock.fileno(), 2) == [True] * 2


def test_arrivals_say_tos_ttl_and_time(pair: tuple[socket.socket, socket.socket]) -> None:
    a, b = pair
    out = Outbox(slots=2)
    out.put(0, b"one", name_of(A_IP, 20_010), 0x50)
    out.put(1, b"three", name_of(A_IP, 20_010), 0xB8)
    before_ns = time.time_ns()
    assert out.send(b.fileno(), 2) == 2
    inbox = Inbox(payload_bytes=4)
    rows = list(inbox.arrivals(inbox.read(a.fileno())))
    assert [(size, tos, ttl) for size, _, tos, ttl in rows] == [(3, 0x50, 255), (4, 0xB8, 255)]
    assert all(before_ns <= time_ns <= time.time_ns() for _, time_ns, _, _ in rows)


def test_what_finds_the_buffer_full_is_counted(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    a, b = pair
    b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(100):
        a.sendto(bytes(1000), (B_IP, 20_011))
    assert len(arrived(b)) + dropped(b) == 100
    assert dropped(b) > 0
    assert dropped(a) == 0


def test_this_kernel_keeps_no_moments() -> None:
    """Stock kernels send at once: nobody may rely on them to wait."""
    assert not keeps_moments()


def test_a_send_that_is_held_up_until_its_moment_shows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class HeldUp(Train):
        def put(self, i: int, number: int, head: bytes, moment_ns: int = 0) -> None:
            super().put(i, number, head, moment_ns)
            while time.monotonic_ns() < moment_ns - 700_000:
                pass

    monkeypatch.setattr(sockets, "Train", HeldUp)
    assert not keeps_moments()


def test_clocks_are_compared_while_nothing_holds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = iter([0, 30 * MS, 31 * MS, 31 * MS + 20_000])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(reads))
    monkeypatch.setattr(time, "time_ns", iter([1029 * MS, 1031 * MS + 15_000]).__next__)
    assert clock_pair() == (31 * MS + 10_000, 1031 * MS + 15_000, 20_000)
