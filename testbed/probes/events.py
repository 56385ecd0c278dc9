"""The log that probe processes write: fixed-size events behind a short header.

A file is 8 octets of MAGIC, the header's length (u32), the header (JSON: the session
ids in the order that events number them, and how many packets a message of each has),
then events of 24 octets, little endian:

    octet  0  kind      u8   one of the constants below
           1  flag      u8
           2  session   u16  index into the header's ids, or NO_SESSION
           4  number    u32
           8  a         i64
          16  b         i64

    kind              number               a                    b
    SENT              sequence number      intended time, mono  no later than the send
    SENDER_TX         stamp number         T1                   -
    SENDER_RX         sender's seq         T4                   reflector's seq, TOS, TTL
    REFLECTOR_RX      sender's seq         T2                   reflector's seq, TOS, TTL
    REFLECTOR_TX      sender's seq         T3                   reflector's seq
    LEADING_RX        message's number     arrival              packet's index, TOS, TTL
    CLOCK             ns it took to read   CLOCK_MONOTONIC      CLOCK_REALTIME
    START             -                    start of traffic     -
    COVERED           -                    a moment, mono       -
    END               -                    -                    -

Times are ns; T1 to T4, T1 of a message's first packet, and arrivals of leading packets
(messages.py) are kernel stamps of CLOCK_REALTIME; `mono` and START are
CLOCK_MONOTONIC. SENT with flag 1 was refused by the kernel,
LEADING_RX with flag 1 is a copy that was eliminated. A message may be logged
as sent before its moment.

Events are written every KEEP_NS, so a run that is cut short leaves all but the last.
COVERED says that all before its moment are in the log: messages due before it, in the
sender's; arrivals and stamps, in the others'. END says that there are no more. What
happened later than the least of the three logs' moments is not known. Half an event at
the end is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from struct import Struct

MAGIC = b"STAMPev2"
NO_SESSION = 0xFFFF
SENT, SENDER_TX, SENDER_RX, REFLECTOR_RX, REFLECTOR_TX, CLOCK, START, END = range(1, 9)
LEADING_RX, COVERED = 9, 10

KEEP_NS = 250_000_000
"""How often a log is written: what a kill costs at most, but where time is short."""

SENT_FILE, RECEIVED_FILE, REFLECTED_FILE = "sent.bin", "received.bin", "reflected.bin"

EVENT = Struct("<BBHIqq")
HEADER_LENGTH = Struct("<I")
_BLOCK_EVENTS = 4096


def pack_arrival(seq: int, tos: int, ttl: int) -> int:
    """Field b of an arrival."""
    return seq | tos << 32 | ttl << 40


class EventLog:
    """An event file being written.

    Args:
        packets: of a message of each session; one, if nothing is said.
    """

    def __init__(self, path: Path, sessions: Sequence[str], packets: Sequence[int] = ()) -> None:
        ids = {"sessions": list(sessions), "packets": list(packets) or [1] * len(sessions)}
        header = json.dumps(ids).encode()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._write(MAGIC + HEADER_LENGTH.pack(len(header)) + header)
        self._block = bytearray(_BLOCK_EVENTS * EVENT.size)
        self._used = 0

    def add(self, kind: int, flag: int, session: int, number: int, a: int, b: int) -> None:
        if self._used == len(self._block):
            self.flush()
        EVENT.pack_into(self._block, self._used, kind, flag, session, number, a, b)
        self._used += EVENT.size

    def flush(self) -> None:
        """Write what there is; where the disk is full, the rest is written the next time."""
        try:
            self._write(memoryview(self._block)[: self._used])
        finally:
            self._block[: self._used - self._done] = self._block[self._done : self._used]
            self._used -= self._done

    def cover(self, moment_ns: int) -> None:
        """Write what there is, which is all from before that moment (CLOCK_MONOTONIC)."""
        self.add(COVERED, 0, 0, 0, moment_ns, 0)
        self.flush()

    def end(self) -> None:
        """There are no more events."""
        self.add(END, 0, 0, 0, 0, 0)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._fd)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._done = 0
        while self._done < len(view):
            self._done += os.write(self._fd, view[self._done :])
