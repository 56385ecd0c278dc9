"""The HTTP server: who may ask, how much and how often.

Every limit is checked before anything of a request is kept: the number of connections,
the rate of requests, the length that the header tells, the time a sender takes.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from testbed.errors import EmulationError, InputError
from testbed.northbound.address import PORT
from testbed.northbound.restconf import Answer, Request, answer, refusal
from testbed.northbound.service import Fault, Service
from testbed.scenario.model import Frozen


class Limits(Frozen, frozen=True, kw_only=True):
    """What one server takes."""

    body_bytes: int = 256_000
    requests_per_s: float = 200.0
    """On average over all clients."""
    burst: int = 1000
    """Requests at once beyond that."""
    connections: int = 64
    patience_s: float = 10.0
    """How long a client may leave a connection idle."""


class Server(ThreadingHTTPServer):
    """Listens from creation on; `serve_forever` answers."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(
        self,
        service: Service,
        address: str = "127.0.0.1",
        port: int = PORT,
        *,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises InputError for an address open to others without a token, EmulationError
        where it cannot listen."""
        limits = limits or Limits()
        self.service, self.token, self.limits = service, token, limits
        self.bucket = Bucket(limits.requests_per_s, limits.burst)
        self._places = threading.BoundedSemaphore(limits.connections)
        if token is not None and len(token) < 16:
            raise InputError("the token is too short", expected="16 characters or more")
        if not _loopback(address) and token is None:
            raise InputError(
                f"the northbound service would be open to others at {address}",
                where="--listen",
                expected="127.0.0.1, or a token that every request has to show",
                remedy="--token-file FILE",
            )
        try:
            super().__init__((address, port), _Handler)
        except OSError as error:
            raise EmulationError(
                f"the northbound service cannot listen: {error.strerror or error}",
                where=f"{address}:{port}",
                expected="an address of this machine and a free port",
            ) from error

    def server_bind(self) -> None:
        """Bind, without asking for the machine's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, while there is room."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        limit = self.limits.connections
        _turn_away(request, f"{limit} connections are open")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no error of ours."""


class Bucket:
    """Tokens that come at a rate, up to a burst."""

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = float(burst), clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """One token, if there is one."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "testbed"

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.limits.patience_s)

    def _do(self) -> None:
        told = self._refused() or self._answered()
        self._send(told)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _do  # noqa: N815

    def _refused(self) -> Answer | None:
        """Why the request is not even read. The connection ends, as its body may follow."""
        limits, refused = self.server.limits, None
        if not self.server.bucket.take():
            refused = refusal(
                429,
                Fault("resource-denied", f"more than {limits.requests_per_s:g} requests a second"),
                headers={"Retry-After": "1"},
            )
        elif not self._known():
            refused = refusal(
                401,
                Fault("access-denied", "expected Authorization: Bearer TOKEN"),
                headers={"WWW-Authenticate": "Bearer"},
            )
        elif "transfer-encoding" in self.headers:
            refused = refusal(411, Fault("malformed-message", "expected a Content-Length"))
        else:
            length = self.headers.get("content-length", "0")
            if not length.isascii() or not length.isdigit():
                refused = refusal(400, Fault("malformed-message", f"Content-Length: {length}"))
            elif len(length) > 18 or int(length) > limits.body_bytes:
                refused = refusal(
                    413,
                    Fault("too-big", f"a body of {length} bytes; expected {limits.body_bytes}"),
                )
        if refused is not None:
            self.close_connection = True
        return refused

    def _known(self) -> bool:
        token = self.server.token
        if token is None:
            return True
        given = self.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    def _answered(self) -> Answer:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        try:
            return answer(self.server.service, request)
        except Exception as error:  # one request must not end the service
            self.log_error("%s %s: %r", self.command, self.path, error)
            return refusal(500, Fault("operation-failed", f"{type(error).__name__}: {error}"))

    def _send(self, told: Answer) -> None:
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        if told.status != 204:
            self.send_header("Content-Length", str(len(told.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses: a line or header that is none."""
        self.close_connection = True
        self._send(refusal(code, Fault("malformed-message", message or explain or "no request")))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged one by one."""


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _turn_away(request: socket.socket, message: str) -> None:
    told = refusal(503, Fault("resource-denied", message))
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(told.body)}\r\n"
    request.settimeout(1.0)
    with contextlib.suppress(OSError):
        request.sendall(f"{head}Retry-After: 1\r\nConnection: close\r\n\r\n".encode() + told.body)
