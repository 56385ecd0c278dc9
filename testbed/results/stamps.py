"""When probes left the ports of their ways: the captures of `testbed run --hops`, read.

A packet is captured when it leaves a port's channel, which is when it is at the next node.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from testbed.errors import ResultError
from testbed.plan.model import Plan
from testbed.probes.messages import PRIMING
from testbed.results.folder import CAPTURES, CONTROL, RunFolder

_MAGIC = 0xA1B23C4D
"""Of a pcap file with nanoseconds."""
_FILE, _RECORD = struct.Struct("<I20x"), struct.Struct("<IIII")
_ETHERTYPE, _PORTS, _NUMBER = struct.Struct("!H"), struct.Struct("!HH"), struct.Struct("!I")
_MPLS, _IPV4 = 0x8847, 0x0800
_UDP = 17
_LEAST = 14 + 4 + 60 + 8
"""Bytes: Ethernet, a label, IPv4 with all its options, UDP."""
_ASKED, _ANSWERED = 0, 24
"""Where the sender's number is in a STAMP packet and in its reply (RFC 8762)."""


def stamps(run: RunFolder) -> pd.DataFrame | None:
    """A row for each STAMP packet and port that it left, in order of time: `session`, `reply`,
    `seq` of its message, `port` as the place in the plan's ports, and `at_ns` from the start of
    traffic. None: the run took none. Raises ResultError."""
    plan = run.planned
    places = {(port.node, port.peer_node): place for place, port in enumerate(plan.ports)}
    control = run.record(CONTROL)
    files = [
        (places[one.node, one.peer], file)
        for one in plan.captures
        if one.probes and (file := run.path / CAPTURES / one.file).exists()
    ]
    began_ns = control.get("began_realtime_ns") if isinstance(control, dict) else None
    if not files or not isinstance(began_ns, int):
        return None
    rows = [
        (session, reply, seq, place, at_ns - began_ns)
        for place, file in files
        for session, reply, seq, at_ns in _packets(file, plan)
    ]
    found = pd.DataFrame(rows, columns=["session", "reply", "seq", "port", "at_ns"])
    return found.sort_values("at_ns", kind="stable", ignore_index=True)


def _packets(file: Path, plan: Plan) -> Iterator[tuple[str, bool, int, int]]:
    """Session, whether it is a reply, the message's number, and CLOCK_REALTIME in ns."""
    there = {(s.sender_port, s.reflector_port): s.id for s in plan.sessions}
    try:
        data = file.read_bytes()
        if len(data) < _FILE.size:
            return  # of a capture that ended before it began
        if _FILE.unpack_from(data)[0] != _MAGIC:
            raise ResultError("a capture has no nanoseconds", where=str(file))
        at = _FILE.size
        while at + _RECORD.size <= len(data):
            seconds, ns, length, _ = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            packet = data[at : at + length]
            at += length
            if len(packet) < length or (found := _stamp(packet)) is None:
                continue  # torn, or of somebody else
            ports, payload = found
            for reply, ends, place in ((False, ports, _ASKED), (True, ports[::-1], _ANSWERED)):
                if ends in there and len(payload) >= place + _NUMBER.size:
                    (number,) = _NUMBER.unpack_from(payload, place)
                    if number != PRIMING:
                        yield there[ends], reply, number, seconds * 1_000_000_000 + ns
    except (OSError, struct.error) as error:
        raise ResultError(
            f"a capture cannot be read: {error}", where=str(file), remedy="run it again"
        ) from error


def _stamp(packet: bytes) -> tuple[tuple[int, int], bytes] | None:
    """UDP ports and payload; None: no UDP, or torn."""
    if len(packet) < _LEAST:
        return None
    at = 12
    (kind,) = _ETHERTYPE.unpack_from(packet, at)
    at += 2
    if kind == _MPLS:
        at += 4
    elif kind != _IPV4:
        return None
    if packet[at + 9] != _UDP:
        return None
    at += 4 * (packet[at] & 15)
    return _PORTS.unpack_from(packet, at), packet[at + 8 :]
