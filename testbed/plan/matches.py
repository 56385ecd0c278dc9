"""Which packets belong to a session or a load, in each direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from testbed.net.matches import TCP, UDP
from testbed.net.paths import Carried, Path
from testbed.net.tables import Match
from testbed.plan.model import Load, Session
from testbed.traffic.kinds import KINDS

DISCARD_PORT = 9
"""Where the packets of a message go that are not its STAMP packet: none is answered (RFC 863)."""

_PROTOCOLS = {"udp": UDP, "tcp": TCP}


def session_matches(session: Session) -> Iterator[tuple[Path, Match]]:
    """The STAMP packets both ways, and the other packets of a message forward."""
    ends = (session.sender_port, session.reflector_port)
    there, back = session.paths
    yield there, _match(session.sender_ip, session.reflector_ip, UDP, *ends)
    if session.fragments > 1:
        others = _match(
            session.sender_ip, session.reflector_ip, UDP, session.sender_port, DISCARD_PORT
        )
        yield there, others
    yield back, _match(session.reflector_ip, session.sender_ip, UDP, *ends[::-1])


def load_matches(load: Load) -> Iterator[tuple[Path, Match]]:
    """Everything to the load's port, and everything that answers."""
    protocol = _PROTOCOLS[KINDS[load.kind].protocol]
    there, back = load.paths
    yield there, _match(load.src_ip, load.dst_ip, protocol, None, load.port)
    yield back, _match(load.dst_ip, load.src_ip, protocol, load.port, None)


def carried(sessions: Iterable[Session], loads: Iterable[Load]) -> tuple[Carried, ...]:
    """Every path of planned traffic with the packets that take it."""
    found: list[Carried] = []
    for session in sessions:
        found += _both(session, tuple(session_matches(session)))
    for load in loads:
        found += _both(load, tuple(load_matches(load)))
    return tuple(found)


def _both(of: Session | Load, taken: Sequence[tuple[Path, Match]]) -> Iterator[Carried]:
    for path in of.paths:
        mine = tuple(match for owner, match in taken if owner.cookie == path.cookie)
        yield Carried(path=path, matches=mine, dscp=of.dscp)


def _match(src: str, dst: str, protocol: int, src_port: int | None, dst_port: int | None) -> Match:
    return Match(
        ipv4_src=src, ipv4_dst=dst, ip_proto=protocol, src_port=src_port, dst_port=dst_port
    )
