"""Packet captures held against the plan (host side): STAMP layout, DSCP, MPLS label and TC.

    for finding in verify_capture(job / "captures" / "h1-s1.pcap", plan):
        print(finding)

A finding says what the plan has and what was on the wire for one session, direction
and check. It is `good` if all packets agree and there was at least one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from scapy.contrib.mpls import MPLS
from scapy.contrib.stamp import (
    STAMPSessionReflectorTestUnauthenticated,
    STAMPSessionSenderTestUnauthenticated,
)
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, UDP
from scapy.utils import PcapReader

from testbed.errors import ResultError
from testbed.net import paths
from testbed.plan.matches import DISCARD_PORT, load_matches
from testbed.plan.model import Plan, Session
from testbed.probes.messages import HEAD
from testbed.probes.stamp import EXTRA_PADDING, UNRECOGNISED


class Finding(NamedTuple):
    """One check of one direction of a session."""

    session: str
    """Empty for packets that belong to none."""
    direction: str
    check: str
    """layout, size, dscp, label, tc, or unplanned."""
    planned: str
    found: str
    """Values on the wire with the number of packets that had each."""
    good: bool

    def __str__(self) -> str:
        mark = "ok " if self.good else "BAD"
        who = f"{self.session} {self.direction}".strip() or "others"
        return f"{mark} {who}: {self.check} planned {self.planned}, found {self.found}"


class _Seen(NamedTuple):
    """What one packet says, check by check."""

    layout: str
    size: str
    dscp: str
    label: str
    tc: str


def verify_capture(pcap: Path, plan: Plan) -> list[Finding]:
    """What a capture of one link says of every session whose path crosses it.

    The file's name, NODE-PEER.pcap, says which link. Raises ResultError.
    """
    link = _link_of(pcap, plan)
    flows = {key: (s, direction) for s in plan.sessions for key, direction in _keys(s)}
    seen: dict[tuple[str, str], list[_Seen]] = {}
    unplanned: Counter[str] = Counter()
    for packet in _packets(pcap):
        key = _key(packet)
        if key in flows:
            session, direction = flows[key]
            seen.setdefault((session.id, direction), []).append(_look(packet, direction))
        elif not _is_load(key, plan):
            unplanned[packet.summary()] += 1
    findings: list[Finding] = []
    for session in plan.sessions:
        directions = {leg.name: leg.path for leg in session.legs}
        if session.fragments > 1:
            directions["leading"] = session.paths[0]
        for direction, path in directions.items():
            if set(link) in [set(hop) for hop in pairwise(path.nodes)]:
                rows = seen.get((session.id, direction), [])
                findings += _findings(
                    session, direction, _planned(session, direction, path, link), rows
                )
    if unplanned:
        findings.append(Finding("", "", "unplanned", "none", _counts(unplanned), good=False))
    return findings


def _link_of(pcap: Path, plan: Plan) -> tuple[str, str]:
    for port in plan.ports:
        if pcap.stem == f"{port.node}-{port.peer_node}":
            return port.node, port.peer_node
    raise ResultError(
        f"capture {pcap.name!r} is of no link of the plan",
        where=str(pcap),
        expected="a file NODE-PEER.pcap of two neighbours",
    )


def _packets(pcap: Path) -> Iterator[Any]:
    try:
        with PcapReader(str(pcap)) as reader:
            yield from reader
    except (OSError, EOFError, Scapy_Exception) as error:
        raise ResultError(
            f"capture cannot be read: {error}", where=str(pcap), expected="a pcap file"
        ) from error


_Key = tuple[str, str, int, int, int]
"""Source, destination, protocol, ports."""


def _key(packet: Any) -> _Key | None:
    ip = packet.getlayer(IP)
    for protocol in (UDP, TCP):
        ends = packet.getlayer(protocol)
        if ip is not None and ends is not None:
            return ip.src, ip.dst, ip.proto, ends.sport, ends.dport
    return None


def _keys(session: Session) -> Iterator[tuple[_Key, str]]:
    there = (session.sender_ip, session.reflector_ip, 17)
    back = (session.reflector_ip, session.sender_ip, 17)
    yield (*there, session.sender_port, session.reflector_port), "forward"
    yield (*back, session.reflector_port, session.sender_port), "reverse"
    if session.fragments > 1:
        yield (*there, session.sender_port, DISCARD_PORT), "leading"


def _is_load(key: _Key | None, plan: Plan) -> bool:
    if key is None:
        return False
    src, dst, protocol, sport, dport = key
    return any(
        (match.ipv4_src, match.ipv4_dst, match.ip_proto) == (src, dst, protocol)
        and match.src_port in (None, sport)
        and match.dst_port in (None, dport)
        for load in plan.loads
        for _, match in load_matches(load)
    )


def _look(packet: Any, direction: str) -> _Seen:
    ip, label = packet[IP], packet.getlayer(MPLS)
    payload = bytes(packet[UDP].payload)[: packet[UDP].len - 8]
    return _Seen(
        layout=_layout(payload, direction),
        size=f"{packet[UDP].len - 8} B",
        dscp=str(ip.tos >> 2),
        label="none" if label is None else str(label.label),
        tc="none" if label is None else str(label.cos),
    )


def _layout(payload: bytes, direction: str) -> str:
    """ "STAMP" by scapy's reading of RFC 8762, "leading" for the other packets of a message
    (messages.py), or what is wrong."""
    if direction == "leading":
        return "not zeros after the index" if any(payload[HEAD.size :]) else "leading"
    if len(payload) < 44:
        return f"{len(payload)} octets"
    if direction == "forward":
        packet: Any = STAMPSessionSenderTestUnauthenticated(payload)
        zeros, flags = packet.mbz, UNRECOGNISED
    else:
        packet = STAMPSessionReflectorTestUnauthenticated(payload)
        zeros, flags = packet.mbz1 or packet.mbz2, 0
        if packet.ttl_sender != 255 or packet.ts < packet.ts_rx:
            return "wrong sender TTL or times"
    if zeros or packet.err_estimate.multiplier == 0:
        return "non-zero MBZ or zero multiplier"
    tlvs = packet.tlv_objects if len(payload) >= 48 else []
    if any((tlv.type, tlv.flags.value) != (EXTRA_PADDING, flags) for tlv in tlvs):
        return "not an Extra Padding TLV"
    return "STAMP"


def _planned(session: Session, direction: str, path: paths.Path, link: tuple[str, str]) -> _Seen:
    labelled = path.label is not None and not {path.src, path.dst} & set(link)
    leading = direction == "leading"
    return _Seen(
        layout="leading" if leading else "STAMP",
        size=f"{session.fragment_bytes if leading else session.size_bytes} B",
        dscp=str(session.dscp),
        label=str(path.label) if labelled else "none",
        tc=str(session.dscp >> 3) if labelled else "none",
    )


def _findings(
    session: Session, direction: str, planned: _Seen, rows: list[_Seen]
) -> Iterator[Finding]:
    for check, wanted in planned._asdict().items():
        found = Counter(getattr(row, check) for row in rows)
        yield Finding(
            session.id, direction, check, wanted, _counts(found), good=set(found) == {wanted}
        )


def _counts(found: Counter[str]) -> str:
    rows = [f"{value} ({count} packets)" for value, count in found.most_common(5)]
    return ", ".join(rows) or "no packet"
