"""Who may ask, how much and how often; nothing of it hangs the service."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from testbed.errors import EmulationError, InputError
from testbed.northbound.address import BASE, ENTRY
from testbed.northbound.journal import Journal
from testbed.northbound.server import Bucket, Limits, Server
from testbed.northbound.service import Service
from testbed.scenario.orders.schema import LIST
from tests.northbound.asking import Wires, document, late, serving
from tests.plan.ordered import intake

TOKEN = "0123456789abcdef"  # noqa: S105


def _service(folder: Path) -> Service:
    here = intake()
    return Service(here, Journal(folder / "journal.json"), Wires(here))


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "", "example.org"])  # noqa: S104
def test_others_may_ask_only_with_a_token(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="open to others"):
        Server(_service(tmp_path), address, 0)


def test_a_token_is_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short"):
        Server(_service(tmp_path), token="secret")  # noqa: S106


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, service, _), pytest.raises(EmulationError, match="listen"):
        Server(service, "127.0.0.1", client.address[1])


def test_a_token_is_asked_for_before_anything_else(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as (client, service, _):
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            told = client.ask("POST", BASE, document(late()), wrong)
            assert (told.status, told.errors[0]["error-tag"]) == (401, "access-denied")
            assert told.headers["www-authenticate"] == "Bearer"
        assert service.book.placed == ()
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.ask("POST", BASE, document(late()), right).status == 201


def test_large_bodies_are_refused_unread(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body_bytes=10_000)) as (client, _, _):
        for length in ("10001", "9" * 18, "9" * 400):
            with socket.create_connection(client.address, timeout=10) as raw:
                head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                raw.sendall(head.encode())
                assert b"HTTP/1.1 413 " in raw.recv(65536)
        assert client.post(late()).status == 201


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Length: -1", 400),
        ("Content-Length: many", 400),
        ("Content-Length: \u0661", 400),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_lengths_that_are_none(tmp_path: Path, header: str, status: int) -> None:
    with (
        serving(tmp_path) as (client, _, _),
        socket.create_connection(client.address, timeout=10) as raw,
    ):
        raw.sendall(f"POST {BASE} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
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


def test_idle_connections_are_closed_and_do_not_take_the_place_of_others(tmp_path: Path) -> None:
    limits = Limits(connections=2, patience_s=0.3)
    with serving(tmp_path, limits=limits) as (client, _, _):
        idle = [socket.create_connection(client.address, timeout=10) for _ in range(2)]
        with socket.create_connection(client.address, timeout=10) as third:
            assert b" 503 " in third.recv(65536)
        for one in idle:
            assert one.recv(100) == b""  # closed by the server
            one.close()
        assert client.ask("GET", BASE).status == 200


def test_ten_thousand_orders_at_once_are_answered(tmp_path: Path) -> None:
    limits = Limits(requests_per_s=1e6, burst=100_000, connections=32)
    with serving(tmp_path, limits=limits, most=20) as (client, service, _):
        body = document(late())

        def send(worker: int) -> None:
            for number in range(worker, 10_000, 8):
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
        assert counted.count(409) == 9_999
        assert len(service.book.placed) == 1
        assert client.ask("GET", BASE).status == 200


def test_a_document_of_ten_thousand_orders_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body_bytes=20_000_000)) as (client, service, _):
        one = document(late())[LIST][0]
        told = client.ask("POST", BASE, {LIST: [{**one, "id": f"s{n}"} for n in range(10_000)]})
        assert told.status == 400
        assert service.book.placed == ()
