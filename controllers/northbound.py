"""Changes of rules that another process of this machine asks for, over a Unix socket.

One line of JSON asks, one answers when every switch has confirmed:

    {"add": [rule, ...], "delete": [rule, ...]}        {"error": ""}

Only this user may connect. A connection that ends before the answer changes nothing of
what is carried out.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from testbed.net.tables import Rule

LOG = logging.getLogger("northbound")

CHANGE_S = 20.0
"""Switches have so long to confirm."""

Change = Callable[[Sequence[Rule], Sequence[Rule], float], str]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line."""

    add: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()


def listen(path: Path, change: Change) -> None:
    """Serve `change` at `path` in a thread of its own, from now on."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    threading.Thread(target=_serve, args=(server, change), daemon=True).start()


def _serve(server: socket.socket, change: Change) -> None:
    while True:
        connection, _ = server.accept()
        with connection, suppress(OSError), connection.makefile("rwb") as lines:
            lines.write(msgspec.json.encode({"error": _answer(lines.readline(), change)}) + b"\n")


def _answer(line: bytes, change: Change) -> str:
    try:
        asked = msgspec.json.decode(line, type=Asked)
        return change(asked.add, asked.delete, CHANGE_S)
    except Exception as error:  # one request must not end the thread
        LOG.exception("a change failed")
        return f"{type(error).__name__}: {error}"
