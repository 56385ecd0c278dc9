"""A service without a lab, and clients that ask it over real sockets."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from testbed.errors import EmulationError
from testbed.net.deltas.install import Step, stepped
from testbed.net.state import State
from testbed.northbound.address import BASE, ENTRY, MEDIA
from testbed.northbound.journal import Journal
from testbed.northbound.limits import Limits
from testbed.northbound.server import Server
from testbed.northbound.service import Service
from testbed.plan.admission import Admission
from testbed.scenario.model import Slice
from testbed.scenario.orders.schema import LIST, ROOT
from testbed.scenario.orders.write import to_ietf
from tests.plan.ordered import admission, order


class Wires:
    """Carries steps to switches in memory; `fail_at` counts down to a failure."""

    def __init__(self, here: Admission) -> None:
        self.state: State = here.first
        """What switches have."""
        self.fail_at = -1
        self.down = False
        self.gate = threading.Event()
        """Steps wait for it."""
        self.gate.set()

    def __call__(self, step: Step) -> None:
        self.gate.wait(10)
        if self.down:
            raise EmulationError("the controller is away", where="test")
        self.fail_at -= 1
        if self.fail_at == 0:
            # half of the step is done
            half = Step(add=step.add[:1], delete=step.delete[:1], ports=step.ports[:1])
            self.state = stepped(self.state, half)
            raise EmulationError("the controller ended before it confirmed", where="test")
        self.state = stepped(self.state, step)


class Told(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def errors(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.body["ietf-restconf:errors"]["error"]
        return found


class Client:
    """Asks one server; every request by a connection of its own."""

    def __init__(self, server: Server) -> None:
        self.address = server.address

    def ask(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Told:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        given = {"Content-Type": MEDIA} if body is not None else {}
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, target, sent, given | dict(headers or {}))
        return told(connection)

    def post(self, slice_: Slice) -> Told:
        return self.ask("POST", BASE, document(slice_))

    def put(self, slice_: Slice) -> Told:
        return self.ask("PUT", ENTRY + slice_.id, document(slice_))


def told(connection: http.client.HTTPConnection) -> Told:
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    json_ = headers.get("content-type", "").endswith("json")
    return Told(response.status, headers, json.loads(raw) if raw and json_ else raw)


def document(slice_: Slice) -> dict[str, Any]:
    """The body that orders a slice."""
    return {LIST: to_ietf([slice_])[0][ROOT]["slice-service"]}


def late(id_: str = "late", **given: Any) -> Slice:
    """An order that the triangle has room for, beside its slice gold."""
    return order(id_, **({"dscp": (10,)} | given))


@contextmanager
def serving(
    folder: Path, here: Admission | None = None, wires: Wires | None = None, **given: Any
) -> Iterator[tuple[Client, Service, Wires]]:
    """A server on a free port of the loopback interface, until the end."""
    here = here or admission()
    wires = wires or Wires(here)
    most = given.pop("most", 1000)
    service = Service(here, Journal(folder / "journal.json"), wires, most=most)
    limits = given.pop("limits", Limits())
    with Server(service, "127.0.0.1", 0, limits=limits, **given) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield Client(server), service, wires
        finally:
            server.stop()
            thread.join()
