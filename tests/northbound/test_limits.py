"""Who may ask, how much and how often; nothing of it hangs the service."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from testbed.errors import EmulationError, InputError
from testbed.northbound.address import BASE, ENTRY
from testbed.northbound.journal import Journal
from testbed.northbound.limits import Bucket, Limits
from testbed.northbound.server import Server
from testbed.northbound.service import Service
from testbed.scenario.orders.schema import LIST
from tests.northbound.asking import Wires, document, late, serving
from tests.plan.ordered import admission

TOKEN = "0123456789abcdef"


def _service(folder: Path) -> Service:
    here = admission()
    return Service(here, Journal(folder / "journal.json"), Wires(here))


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "", "example.org"])
def test_others_may_ask_only_with_a_token(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="open to others"):
        Server(_service(tmp_path), address, 0)


def test_a_token_is_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short"):
        Server(_service(tmp_path), token="secret")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, service, _), pytest.raises(EmulationError, match="listen"):
        Server(service, "127.0.0.1", client.address[1])


def test_a_token_is_asked_for_before_anything_else(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as (client, service, _):
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            told = client.ask("POST", BASE, document(late()), wrong)
            assert (told.status, told.errors[0]["error-tag"]) == (401, "access-denied")
            assert told.headers["www-authenticate"] == "Bearer"
        assert service.state.book.placed == ()
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.ask("POST", BASE, document(late()), right).status == 201


def test_large_bodies_are_refused_unread(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body_bytes=10_000)) as (client, _, _):
        for length in ("10001", "9" * 18, "9" * 400):
            with socket.create_connection(client.address, timeout=10) as raw:
                head = (
                    f"POST {BASE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
                )
                raw.sendall(head.encode())
                assert b"HTTP/1.1 413 " in raw.recv(65536)
        assert client.post(late()).status == 201


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Length: -1", 400),
        ("Content-Length: many", 400),
        ("Content-Length: \u0661", 400),
        ("Content-Length: 2, 2", 400),
        ("Content-Length: 2\r\nContent-Length: 2", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
    ],
)
def test_lengths_that_are_none(tmp_path: Path, header: str, status: int) -> None:
    with (
        serving(tmp_path) as (client, _, _),
        socket.create_connection(client.address, timeout=10) as raw,
    ):
        raw.sendall(f"POST {BASE} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
        assert f"HTTP/1.1 {status} ".encode() in raw.recv(65536)


def test_requests_come_no_faster_than_allowed(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(requests_per_s=0.001, burst=3)) as (client, _, _):
        found = [client.ask("GET", BASE).status for _ in range(5)]
        assert found == [200, 200, 200, 429, 429]


def test_a_bucket_fills_at_its_rate() -> None:
    now = [0.0]
    bucket = Bucket(2.0, 3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_so_many_slices_and_no_more(tmp_path: Path) -> None:
    with serving(tmp_path, most=2) as (client, _, _):
        found = [client.post(late(f"s{n}", dscp=(n,))) for n in range(3)]
        assert [told.status for told in found] == [201, 201, 409]
        assert "at most 2" in found[2].errors[0]["error-message"]
        assert client.ask("DELETE", f"{ENTRY}s0").status == 204
        assert client.post(late("s3", dscp=(3,))).status == 201


def test_idle_connections_are_closed(tmp_path: Path) -> None:
    with (
        serving(tmp_path, limits=Limits(patience_s=0.05)) as (client, _, _),
        socket.create_connection(client.address, timeout=10) as idle,
    ):
        assert idle.recv(100) == b""


def test_a_request_has_its_time_however_it_drips(tmp_path: Path) -> None:
    """One byte after the other, each in time: head or body, the whole has one limit."""
    heads = (
        b"GET / HTTP/1.1\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n",
    )
    for head in heads:
        with (
            serving(tmp_path, limits=Limits(request_s=0.1)) as (client, _, _),
            socket.create_connection(client.address, timeout=10) as slow,
        ):
            slow.sendall(head)
            begun = time.monotonic()
            found = b""
            slow.settimeout(0.02)
            while not found:
                with contextlib.suppress(TimeoutError):
                    found = slow.recv(65536)
                slow.send(b"x")
            assert time.monotonic() - begun < 5
            assert b"HTTP/1.1 408 " in found


def test_a_client_that_does_not_read_its_answers_is_left(tmp_path: Path) -> None:
    limits = Limits(request_s=0.1, requests_per_s=1e9, burst=10**9)
    with serving(tmp_path, limits=limits) as (client, _, _), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.settimeout(10)
        deaf.connect(client.address)
        request = f"GET {BASE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with pytest.raises(ConnectionError):
            deaf.sendall(request * 200_000)
        assert client.ask("GET", BASE).status == 200


def test_slow_senders_lock_nobody_out(tmp_path: Path) -> None:
    """More of them than there are places, none of them over its time."""
    with serving(tmp_path, limits=Limits(connections=8)) as (client, _, _):
        slow = [socket.create_connection(client.address, timeout=10) for _ in range(24)]
        for one in slow:
            with contextlib.suppress(OSError):  # it had to make room already
                one.send(b"POST / HTTP/1.1\r\nContent-")
        assert [client.ask("GET", BASE).status for _ in range(20)] == [200] * 20
        assert client.post(late()).status == 201
        for one in slow:
            one.close()


def test_readers_do_not_wait_for_a_change(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _, wires):
        wires.gate.clear()
        change = threading.Thread(target=client.post, args=(late(),))
        change.start()
        assert [client.ask("GET", BASE).status for _ in range(8)] == [200] * 8
        wires.gate.set()
        change.join()


def test_a_client_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _, _):
        for sent in (b"", b"GET", f"GET {BASE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 50):
            with socket.create_connection(client.address, timeout=10) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.send(sent)
        assert client.ask("GET", BASE).status == 200


@pytest.mark.thorough
def test_two_thousand_orders_at_once_are_answered(tmp_path: Path) -> None:
    limits = Limits(requests_per_s=1e6, burst=100_000, connections=32)
    with serving(tmp_path, limits=limits, most=20) as (client, service, _):
        body = document(late())

        def send(worker: int) -> None:
            for number in range(worker, 2_000, 8):
                body_ = {LIST: [{**body[LIST][0], "id": f"s{number}"}]}
                counted.append(client.ask("POST", BASE, body_).status)

        counted: list[int] = []
        workers = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        # all ask for the same packets, which are one slice's
        assert counted.count(201) == 1
        assert counted.count(409) == 1_999
        assert len(service.state.book.placed) == 1
        assert client.ask("GET", BASE).status == 200


@pytest.mark.thorough
def test_a_document_of_ten_thousand_orders_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body_bytes=20_000_000)) as (client, service, _):
        one = document(late())[LIST][0]
        told = client.ask("POST", BASE, {LIST: [{**one, "id": f"s{n}"} for n in range(10_000)]})
        assert told.status == 400
        assert service.state.book.placed == ()
