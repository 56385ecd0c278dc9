"""Which packets belong to a session or a load, in each direction."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from testbed.plan.model import Load, Match, Path, Plan, Session

IPV4, MPLS = 0x0800, 0x8847
"""EtherTypes (IANA)."""
TCP, UDP = 6, 17
DISCARD_PORT = 9
"""Where the packets of a message go that are not its STAMP packet: none is answered (RFC 863)."""
EPHEMERAL_PORT = 40_000
"""Stands, in examples, for the port of a load that the kernel picks."""

_PROTOCOLS = {"udp": UDP, "tcp": TCP, "flood": UDP}


def session_matches(session: Session) -> Iterator[tuple[Path, Match]]:
    """The STAMP packets both ways, and the other packets of a message forward."""
    ends = (session.sender_port, session.reflector_port)
    yield session.forward, _match(session.sender_ip, session.reflector_ip, UDP, *ends)
    if session.fragments > 1:
        others = _match(
            session.sender_ip, session.reflector_ip, UDP, session.sender_port, DISCARD_PORT
        )
        yield session.forward, others
    yield session.reverse, _match(session.reflector_ip, session.sender_ip, UDP, *ends[::-1])


def load_matches(load: Load) -> Iterator[tuple[Path, Match]]:
    """Everything to the load's port, and everything that answers."""
    protocol = _PROTOCOLS[load.kind]
    yield load.forward, _match(load.src_ip, load.dst_ip, protocol, None, load.port)
    yield load.reverse, _match(load.dst_ip, load.src_ip, protocol, load.port, None)


def plan_matches(plan: Plan) -> Iterator[tuple[Path, Match]]:
    """Every path of the plan with the packets that take it."""
    for session in plan.sessions:
        yield from session_matches(session)
    for load in plan.loads:
        yield from load_matches(load)


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


def _match(src: str, dst: str, protocol: int, src_port: int | None, dst_port: int | None) -> Match:
    return Match(
        ipv4_src=src, ipv4_dst=dst, ip_proto=protocol, src_port=src_port, dst_port=dst_port
    )
