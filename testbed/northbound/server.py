"""The HTTP server: one thread waits for all connections, others carry requests out.

A connection reads a request, works, writes the answer and reads again; each phase but the
work has its time. A client that is slow, silent or half gone costs a place among many and
no thread, and where places run out the slowest gives way, so it keeps nobody waiting.
Changes go one after the other in a thread of their own; reading goes on beside them.

Nothing wakes up while nothing is open: a lab's clock may stand until something happens.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal

from testbed.errors import EmulationError, InputError
from testbed.northbound.address import PORT
from testbed.northbound.limits import Doorkeeper, Limits, loopback
from testbed.northbound.problem import Fault, ProblemError
from testbed.northbound.restconf import Answer, Request, answer, refusal
from testbed.northbound.service import Service
from testbed.northbound.wire import CONTINUE, Head, Reader, WireError, written

_CHUNK = 65_536
_BACKLOG = 1024
_READERS = 4
_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_QUEUE_S = 60.0
"""A change that waited so long for others is not begun."""
_LINGER_S = 1.0
"""After a refusal, what still comes is read past for so long, so that it is not lost."""
_TAGS = {408: "operation-failed", 413: "too-big", 414: "too-big", 431: "too-big"}
_TAGS |= {501: "operation-not-supported", 505: "operation-not-supported"}

Phase = Literal["idle", "reading", "working", "writing", "lingering"]

_log = logging.getLogger(__name__)


class _Connection:
    """One client's socket and how far it is."""

    def __init__(self, sock: socket.socket, client: str, limits: Limits, now: float) -> None:
        self.sock, self.client = sock, client
        self.own = str(sock.getsockname()[0])
        self.reader = Reader(limits.head_bytes, limits.body_bytes)
        self.head: Head | None = None
        self.out = b""
        self.ended = False
        """The client sends no more."""
        self.close = False
        """After the answer."""
        self.phase: Phase = "idle"
        self.since = now
        """When the phase began."""


class Server:
    """Listens from creation on; `serve` answers until `stop`."""

    def __init__(
        self,
        service: Service,
        address: str = "127.0.0.1",
        port: int = PORT,
        *,
        token: str | None = None,
        limits: Limits | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        """`names` are further ones that clients may call the server by.

        Raises InputError for an address open to others without a token, EmulationError
        where it cannot listen.
        """
        self._service, self._limits = service, limits or Limits()
        if token is not None and len(token) < 16:
            raise InputError("the token is too short", expected="16 characters or more")
        if not loopback(address) and token is None:
            raise InputError(
                f"the northbound service would be open to others at {address}",
                where="--listen",
                expected="127.0.0.1, or a token that every request has to show",
                remedy="--token-file FILE",
            )
        self._door = Doorkeeper(self._limits, token, names)
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self._listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise EmulationError(
                f"the northbound service cannot listen: {error.strerror or error}",
                where=f"{address}:{port}",
                expected="an address of this machine and a free port",
            ) from error
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._listener.setblocking(False)
        self._bell, self._ringer = socket.socketpair()
        self._ringer.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._open: dict[socket.socket, _Connection] = {}
        self._readers = ThreadPoolExecutor(_READERS, "read")
        self._changer = ThreadPoolExecutor(1, "change")
        self._done: deque[tuple[_Connection, Answer]] = deque()
        self._stopped = False

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in list(self._open.values()):
            self._drop(connection)
        for pool in (self._readers, self._changer):
            pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        for sock in (self._listener, self._bell, self._ringer):
            sock.close()

    def serve(self) -> None:
        """Answer until stop() is called."""
        while not self._stopped:
            for key, _ in self._selector.select(self._next_s()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._bell:
                    self._bell.recv(_CHUNK)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._ready(self._open.get(key.fileobj))
            while self._done:
                self._answer(*self._done.popleft())
            self._expire()

    def stop(self) -> None:
        """End serve(), from any thread."""
        self._stopped = True
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or nobody listens any more
            self._ringer.send(b".")

    # Connections

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, client = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if len(self._open) >= self._limits.connections and not self._make_room():
                    fault = Fault("resource-denied", f"{len(self._open)} requests are under way")
                    told = refusal(503, fault, headers={"Retry-After": "1"})
                    with suppress(OSError):
                        sock.send(written(503, told.headers, told.body, bare=False, close=True))
                    sock.close()
                    continue
                connection = _Connection(sock, str(client[0]), self._limits, time.monotonic())
                self._open[sock] = connection
                self._selector.register(sock, selectors.EVENT_READ)

    def _make_room(self) -> bool:
        """Drop who keeps the server waiting longest, of the client with most connections."""
        share = Counter(one.client for one in self._open.values())
        waits = [one for one in self._open.values() if one.phase != "working"]
        if not waits:
            return False
        self._drop(min(waits, key=lambda one: (-share[one.client], one.since)))
        return True

    def _drop(self, connection: _Connection) -> None:
        if self._open.pop(connection.sock, None) is not None:
            with suppress(KeyError, ValueError):  # not watched while it works
                self._selector.unregister(connection.sock)
            connection.sock.close()

    def _enter(self, connection: _Connection, phase: Phase) -> None:
        """Begin a phase, and watch for what it waits for."""
        connection.phase, connection.since = phase, time.monotonic()
        event = {"working": 0, "writing": selectors.EVENT_WRITE}.get(phase, selectors.EVENT_READ)
        watched = connection.sock in self._selector.get_map()
        if not event:
            if watched:
                self._selector.unregister(connection.sock)
        elif watched:
            self._selector.modify(connection.sock, event)
        else:
            self._selector.register(connection.sock, event)

    def _limit_s(self, connection: _Connection) -> float | None:
        """How long the phase may take."""
        limits = self._limits
        return {
            "idle": limits.patience_s,
            "reading": limits.request_s,
            "working": None,
            "writing": limits.request_s,
            "lingering": min(_LINGER_S, limits.request_s),
        }[connection.phase]

    def _next_s(self) -> float | None:
        """Until the next phase is over its time; None: no phase has one."""
        ends = [
            one.since + limit
            for one in self._open.values()
            if (limit := self._limit_s(one)) is not None
        ]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _expire(self) -> None:
        now = time.monotonic()
        for one in list(self._open.values()):
            limit = self._limit_s(one)
            if limit is None or now < one.since + limit:
                continue
            if one.phase == "reading":
                message = f"no whole request within {limit:g} s"
                self._refuse(one, 408, Fault(_TAGS[408], message))
            else:
                self._drop(one)

    # Phases

    def _ready(self, connection: _Connection | None) -> None:
        if connection is None:
            return
        try:
            if connection.phase == "writing":
                self._write(connection)
            else:
                self._read(connection)
        except OSError:  # the client is gone
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        if connection.phase == "lingering":
            if not data:
                self._drop(connection)
            return
        connection.ended = not data
        connection.reader.feed(data)
        self._advance(connection)

    def _advance(self, connection: _Connection) -> None:
        """Read on in what has come: to a whole request, or to more that is needed."""
        reader = connection.reader
        came = connection.head is None
        """The head has, if there is one."""
        try:
            if came:
                connection.head = reader.head()
                if connection.head is not None:
                    self._door.admit(connection.head, connection.client, connection.own)
            body = None if connection.head is None else reader.body()
        except WireError as error:
            fault = Fault(_TAGS.get(error.status, "malformed-message"), error.message)
            self._refuse(connection, error.status, fault)
            return
        except ProblemError as problem:
            self._refuse(connection, problem.status, *problem.faults, fields=problem.fields)
            return
        if connection.head is not None and body is not None:
            self._work(connection, connection.head, body)
        elif connection.ended:
            if reader.begun:
                fault = Fault("malformed-message", "the connection ended before the request did")
                self._refuse(connection, 400, fault)
            else:
                self._drop(connection)
        else:
            if connection.phase == "idle" and reader.begun:
                self._enter(connection, "reading")
            if came and connection.head is not None and connection.head.expects and reader.waiting:
                connection.sock.send(CONTINUE)

    def _work(self, connection: _Connection, head: Head, body: bytes) -> None:
        request = Request(head.method, head.path, head.query, head.fields, body)
        connection.close = not head.keep
        self._enter(connection, "working")
        pool = self._changer if head.method in _CHANGES else self._readers
        due = time.monotonic() + _QUEUE_S
        future = pool.submit(self._carried_out, request, due)
        future.add_done_callback(lambda done: self._hand_back(connection, done))

    def _carried_out(self, request: Request, due: float) -> Answer:
        """In a thread of its own."""
        if time.monotonic() > due:
            return refusal(503, Fault("in-use", "other changes take their time"))
        try:
            return answer(self._service, request)
        except Exception as error:  # one request must not end the service
            _log.exception("%s %s", request.method, request.path)
            return refusal(500, Fault("operation-failed", f"{type(error).__name__}: {error}"))

    def _hand_back(self, connection: _Connection, done: Future[Answer]) -> None:
        if not done.cancelled():
            self._done.append((connection, done.result()))
            self._ring()

    def _refuse(
        self, connection: _Connection, status: int, *faults: Fault, fields: Any = None
    ) -> None:
        """Answer, and read no further request: where it would begin is not known."""
        connection.close = True
        self._answer(connection, refusal(status, *faults, headers=fields))

    def _answer(self, connection: _Connection, told: Answer) -> None:
        if connection.sock not in self._open:
            return
        bare = connection.head is not None and connection.head.method == "HEAD"
        connection.close |= connection.ended
        connection.out = written(
            told.status, told.headers, told.body, bare=bare, close=connection.close
        )
        self._enter(connection, "writing")
        try:
            self._write(connection)
        except OSError:
            self._drop(connection)

    def _write(self, connection: _Connection) -> None:
        with suppress(BlockingIOError):
            connection.out = connection.out[connection.sock.send(connection.out) :]
        if connection.out:
            return
        connection.head = None
        if not connection.close:
            self._enter(connection, "idle")
            self._advance(connection)  # another request may have come with the last
        elif connection.ended:
            self._drop(connection)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            self._enter(connection, "lingering")
