"""JSON-RPC over a Unix socket, as Open vSwitch's database and daemons speak it.

RFC 7047 (OVSDB) section 4; the daemons' control sockets (ovs-appctl) use the same
framing: JSON objects one after the other.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from testbed.errors import EmulationError

Row = dict[str, Any]


def lab_memory_remedy() -> str:
    """What to do when Open vSwitch is late, with the memory that this lab has left."""
    rows = dict(row.split(":") for row in Path("/proc/meminfo").read_text().splitlines())
    total, left = (int(rows[name].split()[0]) >> 10 for name in ("MemTotal", "MemAvailable"))
    if left < total / 8:
        return f'{left} of {total} MiB of memory are left: --memory "{2 * total} MiB"'
    return f"a smaller network; memory is not short, {left} of {total} MiB are left"


class JsonRpc:
    """One connection, one call at a time. Raises OSError if the peer is not there."""

    def __init__(self, path: Path, timeout_s: float = 120) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._text = ""
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, *params: Any) -> Any:
        """The result. Raises EmulationError with the peer's own words."""
        request = {"id": 1, "method": method, "params": list(params)}
        try:
            self._socket.sendall(json.dumps(request).encode())
            while (answer := self._next()).get("id") != 1 or "method" in answer:
                if answer.get("method") == "echo":
                    reply = {"id": answer["id"], "result": answer["params"], "error": None}
                    self._socket.sendall(json.dumps(reply).encode())
        except OSError as error:
            raise EmulationError(
                f"Open vSwitch did not answer {method}: {error}",
                where="its logs are in its working folder",
                remedy=lab_memory_remedy(),
            ) from None
        if answer.get("error"):
            raise EmulationError(f"Open vSwitch refused {method}: {answer['error']}")
        return answer["result"]

    def _next(self) -> Row:
        while True:
            try:
                message, end = json.JSONDecoder().raw_decode(self._text)
            except ValueError:
                data = self._socket.recv(1 << 20)
                if not data:
                    raise ConnectionError("it closed the connection") from None
                self._text += data.decode()
                self._text = self._text.lstrip()
            else:
                self._text = self._text[end:].lstrip()
                assert isinstance(message, dict)
                return message


class Database:
    """The Open_vSwitch database."""

    def __init__(self, path: Path) -> None:
        self._rpc = JsonRpc(path)

    def close(self) -> None:
        self._rpc.close()

    def transact(self, *operations: Row) -> list[Row]:
        """Carry out operations (RFC 7047 section 5.2), all or none. Raises EmulationError."""
        results = self._rpc.call("transact", "Open_vSwitch", *operations)
        for result in results:
            if result and result.get("error"):
                raise EmulationError(
                    f"the Open vSwitch database refused: {result['error']}",
                    expected=result.get("details", ""),
                )
        assert isinstance(results, list)
        return results


def select(table: str, *columns: str) -> Row:
    return {"op": "select", "table": table, "where": [], "columns": list(columns)}


def insert(table: str, name: str, row: Row) -> Row:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def mutate(table: str, *mutations: list[Any]) -> Row:
    return {"op": "mutate", "table": table, "where": [], "mutations": list(mutations)}


def named(*names: str) -> list[Any]:
    """References to rows inserted in the same transaction."""
    return ["set", [["named-uuid", name] for name in names]]


def mapping(**values: str) -> list[Any]:
    return ["map", [[key.replace("_", "-"), value] for key, value in values.items()]]
