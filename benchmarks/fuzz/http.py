"""Requests of any bytes to a northbound server on the loopback interface."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.fuzz import inputs
from benchmarks.fuzz.found import HANG_S, Found
from testbed.northbound.address import BASE, ENTRY, MEDIA
from testbed.northbound.limits import Limits
from tests.northbound.asking import Client, document, late, serving


def http(rng: random.Random, count: int) -> bool:
    found = Found("http")
    limits = Limits(requests_per_s=1e9, burst=10**9, connections=64, request_s=5.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), limits=limits) as (client, service, _),
    ):
        slow: list[socket.socket] = []
        for n in range(count):
            data = _request(rng)
            found.judge(data, partial(_asked, client, data, rng))
            if not n % 50:  # a sender that stops in the midst
                slow.append(socket.create_connection(client.address))
                with contextlib.suppress(OSError):
                    slow[-1].send(data[: rng.randrange(1, 60)])
                found.judge("an honest client", partial(_honest, client))
        for placed in service.state.book.placed:
            service.remove(placed.slice.id)
        found.judge("after all", partial(_honest, client))
        for one in slow:
            one.close()
    return found.report(count)


def _request(rng: random.Random) -> bytes:
    """Half of them by the letter, but for what they ask."""
    letter = rng.random() < 0.5
    method = rng.choice(("GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
    target = rng.choice(_TARGETS)
    fields, version = ["Host: localhost"], "HTTP/1.1"
    good = ("If-Match: *", 'If-None-Match: "x"', "Accept: */*", "If-None-Match: *")
    fields += rng.choices(good, k=rng.choice((0, 0, 1)))
    if not letter:
        target = rng.choice((target, "*", "http://[x", "", "http://a@b/", BASE + "#x", "x" * 9_000))
        version = rng.choice((version, version, version, "HTTP/1.0", "HTTP/2", ""))
        method = rng.choice((method, method, method, "BREW", "get", ""))
        fields[0] = rng.choice((fields[0], fields[0], "Host: x", "Host : localhost", "Host: [::1"))
        fields += rng.choices(_BAD, k=rng.choice((0, 1, 2)))
    body = b""
    if method in ("POST", "PUT", "PATCH"):
        asked = document(late(rng.choice(("late", "s1")), dscp=(rng.randrange(64),)))
        asked = asked if rng.random() < 0.4 else inputs.changed(asked, rng)
        body = inputs.text_of(asked, rng)
        fields += [f"Content-Type: {MEDIA}"]
        if rng.random() < 0.2:
            fields.append("Transfer-Encoding: chunked")
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        else:
            fields.append(f"Content-Length: {len(body)}")
    data = "\r\n".join((f"{method} {target} {version}", *fields, "", "")).encode() + body
    if letter:
        return data * rng.choice((1, 1, 1, 3))
    if rng.random() < 0.03:
        return rng.randbytes(rng.choice((1, 100, 30_000)))
    return inputs.bent(data, rng) if rng.random() < 0.5 else data


_TARGETS = (
    *(BASE, BASE, f"{ENTRY}late", f"{ENTRY}gold", f"{ENTRY}s1", f"{ENTRY}%2f", f"{ENTRY}%zz"),
    *(f"{BASE}?content=config", f"{BASE}?content=x", f"{ENTRY}s1?depth=1", "/restconf/data"),
    *("/", "/restconf", "/.well-known/host-meta", "http://localhost/restconf"),
)
_BAD = (
    *("Accept: text/html", "Accept: */*;q=0", "Accept: application/json;q=0.5,,;", "X"),
    *("If-Match: bad", "If-Unmodified-Since: yesterday", "Expect: x", "Expect: 100-continue"),
    *("Connection: close", "Connection: keep-alive, x", "Transfer-Encoding: chunked", ": x"),
    *("Content-Length: 2", "Content-Length: 99999999999", "Content-Length: -1", "Host: localhost"),
    *("Content-Type: ;;;", "X: " + "y" * 9_000, "If-Modified-Since: Thu, 99 Foo 99999 9:9:9 GMT"),
)


def _asked(client: Client, data: bytes, rng: random.Random) -> str:
    """Send a request, whole or in pieces, and no more after it; the statuses that came."""
    with socket.create_connection(client.address, timeout=HANG_S) as raw:
        with contextlib.suppress(ConnectionError):  # it may have been refused before its end
            cut = rng.randrange(len(data) + 1) if rng.random() < 0.2 else len(data)
            for part in (data[:cut], data[cut:]):
                raw.sendall(part)
            if rng.random() < 0.05:  # gone without a word
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return "gone"
            raw.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while more := raw.recv(65536):
                answer += more
        except ConnectionResetError:
            answer = answer or b"HTTP/1.1 000 "
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)
    if not statuses and not data.strip(b"\r\n"):
        return "nothing asked"
    if not statuses or b"500" in statuses:
        return f"CRASH answered {answer[:300]!r}"
    return str(statuses[0].decode())


def _honest(client: Client) -> str:
    status = client.ask("GET", BASE).status
    return "honest" if status == 200 else f"CRASH an honest client was told {status}"
