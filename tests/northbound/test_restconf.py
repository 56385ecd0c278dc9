"""Slices over HTTP: what a client is told, and what is installed then."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.net.walk import walk
from testbed.northbound.address import BASE, ENTRY, MEDIA
from testbed.northbound.service import Service
from testbed.scenario.orders.schema import LIST, ROOT
from tests.northbound.asking import Client, Wires, document, late, serving
from tests.plan.networks import MBIT
from tests.plan.ordered import admission, canonical

AT = f"/{ROOT}/slice-service[id='late']"
Asked = tuple[Client, Service, Wires]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Asked]:
    with serving(tmp_path) as found:
        yield found


def _is_installed(service: Service, wires: Wires) -> None:
    """Switches have exactly what the book says, and it holds."""
    here = admission()
    wanted = canonical(here.at_once(service.state.book))
    assert canonical(service.state) == wanted
    assert canonical(wires.state).rules == wanted.rules
    assert wires.state.ports == wanted.ports
    walk(service.state)


def test_a_slice_is_created_read_changed_and_deleted(served: Asked) -> None:
    client, service, wires = served
    made = client.post(late())
    assert made.status == 201
    assert made.headers["location"] == f"{ENTRY}late"
    _is_installed(service, wires)

    (found,) = client.ask("GET", f"{ENTRY}late").body[LIST]
    assert found["sdps"] == document(late())[LIST][0]["sdps"]
    assert found["testbed-slice:state"]["path"][0]["node"] == ["h1", "s1", "s3", "s2", "h2"]

    assert client.put(late(rate=20 * MBIT)).status == 204
    _is_installed(service, wires)
    (placed,) = service.state.book.placed
    assert placed.carried[0].guaranteed_bps == 20 * MBIT

    assert client.ask("DELETE", f"{ENTRY}late").status == 204
    assert service.state.book.placed == ()
    _is_installed(service, wires)
    assert client.ask("GET", f"{ENTRY}late").status == 404


def test_put_creates_too_and_all_are_listed(served: Asked) -> None:
    client, service, wires = served
    assert client.put(late()).status == 201
    assert client.put(late("other", dscp=(12,))).status == 201
    listed = client.ask("GET", BASE).body[ROOT]["slice-service"]
    assert [one["id"] for one in listed] == ["gold", "silver", "late", "other"]
    _is_installed(service, wires)


def test_content_says_which_part_is_read(served: Asked) -> None:
    client, *_ = served
    client.put(late())
    config = client.ask("GET", f"{ENTRY}late?content=config").body
    assert config == document(late())
    (state,) = client.ask("GET", f"{ENTRY}late?content=nonconfig").body[LIST]
    assert set(state) == {"id", "status", "testbed-slice:state"}
    assert client.ask("GET", f"{ENTRY}late?content=some").status == 400
    assert client.ask("GET", f"{ENTRY}late?depth=1").status == 400
    assert client.ask("HEAD", f"{ENTRY}late").body == b""


@pytest.mark.parametrize(
    ("verb", "id_", "status", "tag"),
    [
        ("DELETE", "nobody", 404, "data-missing"),
        ("DELETE", "gold", 409, "operation-not-supported"),
        ("GET", "nobody", 404, "invalid-value"),
    ],
)
def test_slices_that_are_not_there(
    served: Asked, verb: str, id_: str, status: int, tag: str
) -> None:
    told = served[0].ask(verb, ENTRY + id_)
    assert told.status == status
    assert told.errors[0]["error-tag"] == tag
    assert told.errors[0]["error-path"] == f"/{ROOT}/slice-service[id='{id_}']"


def test_an_id_is_given_once(served: Asked) -> None:
    client, *_ = served
    client.post(late())
    for again in (late(), late("gold")):
        told = client.post(again)
        assert (told.status, told.errors[0]["error-tag"]) == (409, "data-exists")


def test_what_the_network_cannot_give_is_refused_with_what_binds(served: Asked) -> None:
    client, service, wires = served
    told = client.post(late(rate=99 * MBIT))
    assert (told.status, told.errors[0]["error-tag"]) == (409, "resource-denied")
    metric = "metric-bound[metric-type='one-way-bandwidth']"
    assert told.errors[0]["error-path"] == f"{AT}/service-slo-sle-policy/slo-policy/{metric}"
    assert "has room for 95 Mbit/s of the 99 Mbit/s" in told.errors[0]["error-message"]
    assert service.state.book.placed == ()
    _is_installed(service, wires)


def _change(body: dict[str, Any], *steps: Any, to: Any) -> dict[str, Any]:
    here: Any = body
    for step in steps[:-1]:
        here = here[step]
    here[steps[-1]] = to
    return body


WRONG = {
    "an unknown leaf": (
        _change(document(late()), LIST, 0, "colour", to="red"),
        f"{AT}/colour",
        "unknown-element",
    ),
    "a wrong type": (
        _change(document(late()), LIST, 0, "testbed-slice:priority", to="first"),
        f"{AT}/testbed-slice:priority",
        "invalid-value",
    ),
    "one end": (
        _change(document(late()), LIST, 0, "sdps", "sdp", to=[]),
        f"{AT}/sdps/sdp",
        "invalid-value",
    ),
    "an unknown SDP": (
        _change(
            document(late()),
            *(LIST, 0, "connection-groups", "connection-group", 0),
            *("connectivity-construct", 0, "p2p-sender-sdp"),
            to="c",
        ),
        f"{AT}/connection-groups/connection-group[id='g']"
        "/connectivity-construct[id='there']/p2p-sender-sdp",
        "invalid-value",
    ),
    "an unknown node": (
        _change(document(late()), LIST, 0, "sdps", "sdp", 0, "node-id", to="h9"),
        f"{AT}/sdps/sdp[id='a']/node-id",
        "invalid-value",
    ),
    "two slices": ({LIST: [{}, {}]}, f"/{ROOT}", "malformed-message"),
    "no slice": ({}, f"/{ROOT}", "malformed-message"),
    "an array": ([], f"/{ROOT}", "malformed-message"),
    "no JSON": (b"{", f"/{ROOT}", "malformed-message"),
    "no text": (b"\xff\xfe", f"/{ROOT}", "malformed-message"),
    "a deep one": (b"[" * 100_000, f"/{ROOT}", "malformed-message"),
    "a long number": (b"1" * 10_000, f"/{ROOT}", "malformed-message"),
    "NaN": (b'{"a": NaN}', f"/{ROOT}", "malformed-message"),
}


@pytest.mark.parametrize("name", WRONG)
def test_malformed_orders_are_answered_with_the_path_of_the_fault(served: Asked, name: str) -> None:
    client, service, wires = served
    body, path, tag = WRONG[name]
    told = client.ask("POST", BASE, body)
    assert told.status == 400
    assert (told.errors[0]["error-path"], told.errors[0]["error-tag"]) == (path, tag)
    assert service.state.book.placed == ()
    _is_installed(service, wires)


def test_the_body_is_about_the_slice_of_the_request(served: Asked) -> None:
    told = served[0].ask("PUT", f"{ENTRY}other", document(late()))
    assert told.status == 400
    assert told.errors[0]["error-path"] == f"{AT}/id"


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("PATCH", f"{ENTRY}late", {}, 405),
        ("DELETE", BASE, {}, 405),
        ("POST", f"{ENTRY}late", {}, 405),
        ("GET", "/", {}, 404),
        ("GET", "/restconf/data/ietf-interfaces:interfaces", {}, 404),
        ("GET", f"{ENTRY}", {}, 404),
        ("GET", BASE, {"Accept": "text/html"}, 406),
        ("POST", BASE, {"Content-Type": "application/xml"}, 415),
        ("GET", "/restconf", {}, 200),
        ("GET", "/.well-known/host-meta", {}, 200),
    ],
)
def test_what_is_offered(
    served: Asked, method: str, target: str, headers: dict[str, str], status: int
) -> None:
    body = document(late()) if method in ("POST", "PATCH") else None
    told = served[0].ask(method, target, body, headers)
    assert told.status == status
    if status >= 400:
        assert told.errors[0]["error-message"]


def test_the_service_says_what_it_is(served: Asked) -> None:
    client, *_ = served
    api = client.ask("GET", "/restconf").body["ietf-restconf:restconf"]
    assert api == {"data": {}, "operations": {}, "yang-library-version": "2016-06-21"}
    version = client.ask("GET", "/restconf/yang-library-version").body
    assert version == {"ietf-restconf:yang-library-version": "2016-06-21"}
    assert client.ask("GET", "/restconf/operations").body == {"ietf-restconf:operations": {}}
    data = client.ask("GET", "/restconf/data").body["ietf-restconf:data"]
    names = [module["name"] for module in data["ietf-yang-library:modules-state"]["module"]]
    assert {"ietf-network-slice-service", "testbed-slice"} <= set(names)
    assert data[ROOT] == client.ask("GET", BASE).body[ROOT]
    for name in ("ietf-yang-library:modules-state", "ietf-restconf-monitoring:restconf-state"):
        assert client.ask("GET", f"/restconf/data/{name}").body == {name: data[name]}
    config = client.ask("GET", "/restconf/data?content=config").body["ietf-restconf:data"]
    assert list(config) == [ROOT]
    meta = client.ask("GET", "/.well-known/host-meta", headers={"Accept": "application/xrd+xml"})
    assert b"<Link rel='restconf' href='/restconf'/>" in meta.body
    assert meta.headers["content-type"] == "application/xrd+xml"


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        (BASE, "OPTIONS, HEAD, GET, POST"),
        (f"{ENTRY}late", "OPTIONS, HEAD, GET, PUT, DELETE"),
        ("/restconf", "OPTIONS, HEAD, GET"),
        ("*", "GET, HEAD, OPTIONS, POST, PUT, DELETE"),
    ],
)
def test_what_is_allowed_is_told(served: Asked, target: str, allow: str) -> None:
    told = served[0].ask("OPTIONS", target)
    assert (told.status, told.headers["allow"]) == (204, allow)
    if target != "*":
        told = served[0].ask("PATCH", target)
        assert (told.status, told.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    ("target", "headers", "status", "kind"),
    [
        (BASE, {"Accept": "application/json"}, 200, "application/json"),
        (BASE, {"Accept": "application/json;q=0.5, application/yang-data+json"}, 200, MEDIA),
        (BASE, {"Accept": "*/*;q=0.1, application/json"}, 200, "application/json"),
        (BASE, {"Accept": "text/html, APPLICATION/*;q=0.2"}, 200, MEDIA),
        (BASE, {"Accept": "application/xrd+xml"}, 406, MEDIA),
        (BASE, {"Accept": "application/json;q=0, application/yang-data+json;q=0.0"}, 406, MEDIA),
        ("/.well-known/host-meta", {"Accept": "application/json"}, 406, MEDIA),
    ],
)
def test_answers_are_in_a_type_that_is_accepted(
    served: Asked, target: str, headers: dict[str, str], status: int, kind: str
) -> None:
    told = served[0].ask("GET", target, headers=headers)
    assert (told.status, told.headers["content-type"]) == (status, kind)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "Application/YANG-Data+JSON; charset=UTF-8"}, 201),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_bodies_are_json_in_utf_8(served: Asked, headers: dict[str, str], status: int) -> None:
    assert served[0].ask("POST", BASE, document(late()), headers).status == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{ENTRY}gold".replace("slice", "%73lice"), 200),
        (f"{ENTRY}%67old", 200),
        (f"{ENTRY}gold%2", 400),
        (f"{ENTRY}gold%ff", 400),
        (f"{ENTRY}a%2Fb%2C%3D", 404),
        (f"{ENTRY}gold?content=config&content=config", 400),
        (f"{ENTRY}gold?%zz", 400),
        (f"{ENTRY}gold?content=%63onfig", 200),
        ("/restconf?content=all", 400),
        (f"{BASE}?", 200),
        ("http://localhost/restconf", 200),
        ("http://127.0.0.1:1/restconf", 200),
        ("http://evil.example/restconf", 421),
    ],
)
def test_targets_are_decoded(served: Asked, target: str, status: int) -> None:
    assert served[0].ask("GET", target).status == status


def test_only_its_own_names_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, names=("lab.example",)) as (client, _, _):
        hosts = {"localhost:8080": 200, "127.0.0.1": 200, "[::1]": 200, "Lab.example": 200}
        hosts |= {"evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421}
        for host, status in hosts.items():
            assert client.ask("GET", "/restconf", headers={"Host": host}).status == status, host


def test_a_body_may_be_waited_for(served: Asked) -> None:
    body = json.dumps(document(late())).encode()
    head = f"POST {BASE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MEDIA}\r\n"
    with socket.create_connection(served[0].address, timeout=10) as raw:
        raw.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(body)
        assert raw.recv(65536).startswith(b"HTTP/1.1 201 ")
        # chunked, two requests at once, and then no more
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        raw.sendall((f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk) * 2)
        raw.shutdown(socket.SHUT_WR)
        assert _all(raw).count(b"HTTP/1.1 409 ") == 2
    with socket.create_connection(served[0].address, timeout=10) as raw:  # a head in two parts
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPOST")
        assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")
        rest = f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        raw.sendall(rest.removeprefix("POST").encode())
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    with socket.create_connection(served[0].address, timeout=10) as raw:
        raw.sendall(f"{head}Content-Length: 999999\r\nExpect: 100-continue\r\n\r\n".encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_half_a_request_is_told_so(served: Asked) -> None:
    with socket.create_connection(served[0].address, timeout=10) as raw:
        raw.sendall(b"GET / HT")
        raw.shutdown(socket.SHUT_WR)
        assert _all(raw).startswith(b"HTTP/1.1 400 ")


def test_ids_are_quoted_in_paths(served: Asked) -> None:
    told = served[0].ask("GET", f"{ENTRY}it%27s%20me")
    assert told.status == 404
    assert told.errors[0]["error-path"] == f'/{ROOT}/slice-service[id="it\'s me"]'


def test_lines_that_are_no_request_end_the_connection(served: Asked) -> None:
    for line in (b"\x16\x03\x01\x02\x00\n\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(served[0].address, timeout=10) as raw:
            raw.sendall(line)
            assert b"ietf-restconf:errors" in _all(raw)


def _all(raw: socket.socket) -> bytes:
    found = b""
    while more := raw.recv(65536):
        found += more
    return found
