"""A switch that speaks OpenFlow 1.3 by the specification, with tables but no packets.

It is written from OpenFlow 1.3.5 section 7, not with the controller's library, so that
one checks the other.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PORT_STATUS, PORT_MODIFIED, LINK_DOWN, LIVE = 12, 2, 1, 4
FLOW_MOD, GROUP_MOD = 14, 15
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 18, 19, 20, 21
DELETE, DELETE_STRICT, DELETE_GROUP = 3, 4, 2
FLOW_STATS, PORT_STATS, PORT_DESC = 1, 4, 13
FULL_MESSAGE = 60_000
"""Largest multipart body sent in one message, of the 64 KiB there could be."""


class FakeSwitch(threading.Thread):
    """Connects to 127.0.0.1:`port`, and serves until the controller closes or `leave`.

    Args:
        refuse: index of a rule -> (error type, error code) to answer it with.
        mute: never answer a barrier.
    """

    def __init__(
        self,
        dpid: int,
        port: int,
        *,
        refuse: dict[int, tuple[int, int]] | None = None,
        mute: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self.dpid, self.port, self.refuse, self.mute = dpid, port, refuse or {}, mute
        self.rules: list[bytes] = []
        """Flow mods that added something, since the last that deleted all."""
        self.groups: list[bytes] = []
        """Group mods likewise."""
        self.deletions = self.barriers = 0
        """Deletions of all flows; barriers asked for."""
        self.xids: list[int] = []
        """Of the barriers."""
        self.steps = ""
        """Every change in order: d deletes all flows, x one, D all groups, g adds a group, f a
        flow, | is a barrier; of equals in a row, one."""
        self.packets = 0
        """What every rule says it counted."""
        self._socket = socket.socket()

    def run(self) -> None:
        for _ in range(200):
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.port))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self._send(HELLO, 0)
        with suppress(ConnectionError), self._socket.makefile("rb") as stream:
            while len(header := stream.read(8)) == 8:
                _, kind, length, xid = struct.unpack("!BBHI", header)
                self._handle(kind, xid, header + stream.read(length - 8))

    def leave(self) -> None:
        """Close the connection."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join(5)

    def tell(self, number: int, *, live: bool) -> None:
        """Tell the controller what became of a port (clause 7.4.3)."""
        state = LIVE if live else LINK_DOWN
        port = struct.pack("!I4x6s2x16sII24x", number, bytes(6), b"", 0, state)
        self._send(PORT_STATUS, 0, struct.pack("!B7x", PORT_MODIFIED) + port)

    def _handle(self, kind: int, xid: int, message: bytes) -> None:
        if kind == FEATURES_REQUEST:
            self._send(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", self.dpid, 0, 254, 0, 0, 0))
        elif kind == ECHO_REQUEST:
            self._send(ECHO_REPLY, xid, message[8:])
        elif kind == FLOW_MOD:
            self._flow_mod(xid, message)
        elif kind == GROUP_MOD:
            self._group_mod(message)
        elif kind == BARRIER_REQUEST:
            self.barriers += 1
            self.xids.append(xid)
            self._step("|")
            if not self.mute:
                self._send(BARRIER_REPLY, xid)
        elif kind == MULTIPART_REQUEST:
            (part,) = struct.unpack_from("!H", message, 8)
            body = {FLOW_STATS: self._flows, PORT_STATS: self._ports}.get(part, lambda: [b""])()
            self._multipart(part, xid, body)

    def _flow_mod(self, xid: int, message: bytes) -> None:
        command = message[25]
        if command == DELETE:
            self.rules.clear()
            self.deletions += 1
            self._step("d")
            return
        if command == DELETE_STRICT:
            self.rules = [rule for rule in self.rules if _identity(rule) != _identity(message)]
            self._step("x")
            return
        self._step("f")
        if xid - 1 in self.refuse:
            self._send(ERROR, xid, struct.pack("!HH", *self.refuse[xid - 1]) + message[:64])
        else:
            self.rules.append(message)

    def _group_mod(self, message: bytes) -> None:
        (command,) = struct.unpack_from("!H", message, 8)
        if command == DELETE_GROUP:
            self.groups.clear()
            self._step("D")
        else:
            self.groups.append(message)
            self._step("g")

    def _step(self, step: str) -> None:
        if not self.steps.endswith(step):
            self.steps += step

    def _flows(self) -> list[bytes]:
        """struct ofp_flow_stats of every rule: what the flow mod said, and counters."""
        found = []
        for message in self.rules:
            cookie, _, table, _, idle, hard, priority = struct.unpack_from("!QQBBHHH", message, 8)
            rest = message[48:]
            head = struct.pack(
                "!HBxIIHHHH4xQQQ",
                *(48 + len(rest), table, 1, 0, priority, idle, hard, 0),
                *(cookie, self.packets, 100 * self.packets),
            )
            found.append(head + rest)
        return found

    def _ports(self) -> list[bytes]:
        return [struct.pack("!I4x12QII", port, *range(12), 1, 0) for port in (1, 2, 0xFFFFFFFE)]

    def _multipart(self, part: int, xid: int, bodies: list[bytes]) -> None:
        """In as many messages as it takes; all but the last say that more follow."""
        parts = [b""]
        for body in bodies:
            if len(parts[-1]) + len(body) > FULL_MESSAGE:
                parts.append(b"")
            parts[-1] += body
        for number, body in enumerate(parts, start=1):
            more = int(number < len(parts))
            self._send(MULTIPART_REPLY, xid, struct.pack("!HH4x", part, more) + body)

    def _send(self, kind: int, xid: int, body: bytes = b"") -> None:
        self._socket.sendall(struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body)


def _identity(flow_mod: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Cookie, table, priority and match (clause 7.3.4.1)."""
    (length,) = struct.unpack_from("!H", flow_mod, 50)
    return flow_mod[8:16], flow_mod[24:25], flow_mod[30:32], flow_mod[48 : 48 + length]
