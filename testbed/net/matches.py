"""The packets of a path, by their OpenFlow fields."""

from __future__ import annotations

import msgspec

from testbed.net.tables import Match

IPV4, MPLS = 0x0800, 0x8847
"""EtherTypes (IANA)."""
TCP, UDP = 6, 17
EPHEMERAL_PORT = 40_000
"""Stands, in examples, for the port of a load that the kernel picks."""


def oxm(match: Match) -> dict[str, int | str]:
    """The match by its OpenFlow 1.3 field names (OXM, clause 7.2.3.7)."""
    fields: dict[str, int | str] = {
        "eth_type": IPV4,
        "ipv4_src": match.ipv4_src,
        "ipv4_dst": match.ipv4_dst,
    }
    if match.dscp is not None:
        fields["ip_dscp"] = match.dscp
    if match.ip_proto is None:
        return fields
    fields["ip_proto"] = match.ip_proto
    protocol = {TCP: "tcp", UDP: "udp"}[match.ip_proto]
    if match.src_port is not None:
        fields[f"{protocol}_src"] = match.src_port
    if match.dst_port is not None:
        fields[f"{protocol}_dst"] = match.dst_port
    return fields


def example(match: Match) -> dict[str, int | str]:
    """A packet that the match is for, by its OpenFlow field names."""
    ports = {name: getattr(match, name) or EPHEMERAL_PORT for name in ("src_port", "dst_port")}
    return oxm(msgspec.structs.replace(match, ip_proto=match.ip_proto or UDP, **ports))


def overlap(a: Match, b: Match) -> bool:
    """Whether a packet can fit both."""
    pairs = ((getattr(a, name), getattr(b, name)) for name in Match.__struct_fields__)
    return all(one is None or other is None or one == other for one, other in pairs)


def rank(match: Match) -> int:
    """How much it says of packets between two hosts: ports before DSCP."""
    told = match.ip_proto is not None
    return 2 * told + (match.dscp is not None)
