"""What the plan tells of how a session samples the network: phases, and parts of the run.

Two senders with exact periods meet at phases that repeat: packets every T1 fall on
T2 / gcd(T1, T2) places of a period T2, and never on others. A drift between their clocks
moves them, and when it has moved them by the gcd all phases were seen. Poisson packets see
all, and a Poisson source has none. Of other senders whose packets meet on the session's
path, the phase between any two counts as well: it may make a queue that the session finds.
What TCP does between packets is not known; whether it is in step shows in the delays only.
Links lose packets whatever the phase, and how often is in the plan.

Packets may change their way while a run goes: to a backup when something fails, or to what
an order was given. They may meet whoever is on any of these, and are lost by links no less
often than on the best of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise, takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.independence import Sampling
from testbed.analysis.variation import Integers
from testbed.net.paths import Carried, Path
from testbed.net.state import Pair, State
from testbed.net.tables import Match
from testbed.plan.model import Plan, Session
from testbed.port.background import Source
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.events.node import NodeEvent
from testbed.traffic.kinds import KINDS

_LEAST = 50
"""Packets of a part."""

_Ways = Callable[[Path], Iterable[tuple[str, ...]]]
"""Nodes of all ways that a path's packets may have gone."""


class _Sender(NamedTuple):
    """Something that sends over the session's path."""

    period_ns: Fraction | None
    """None: not known."""
    drift_ppb: int
    begin_ns: int
    end_ns: int
    hops: frozenset[tuple[str, str]]


def sampling(
    plan: Plan,
    session: Session,
    paths: Iterable[Path],
    intended_ns: Integers,
    taken: Sequence[Carried] = (),
) -> Sampling:
    """Of a session's packets, due at these moments, in order, over `paths`.

    Args:
        taken: the ways that orders were given while it ran.
    """
    if not len(intended_ns):
        return Sampling(locked=False)
    begin_ns, end_ns = int(intended_ns[0]), int(intended_ns[-1])
    paths = tuple(paths)
    ways = partial(_ways, plan, taken)
    hops = _hops(ways, paths)
    beside = [
        sender._replace(hops=sender.hops & hops)
        for sender in _senders(plan, session, hops, ways)
        if sender.hops & hops and sender.begin_ns <= end_ns and sender.end_ns >= begin_ns
    ]
    seen = []
    if session.arrivals == "periodic":
        own = Fraction(session.interval_ns)
        seen = [
            _phases(own, other, session.drift_ppb, end_ns - begin_ns)
            for other in beside
            if other.period_ns is not None
        ]
    for one, other in combinations(beside, 2):
        if one.hops & other.hops and one.period_ns is not None and other.period_ns is not None:
            short, long = sorted((one, other), key=lambda sender: sender.period_ns or 0)
            seen.append(
                _phases(long.period_ns or Fraction(1), short, long.drift_ppb, end_ns - begin_ns)
            )
    known = [phases for phases in seen if phases is not None]
    unknown = any(sender.period_ns is None for sender in beside)
    return Sampling(
        phases=min(known, default=None),
        locked=unknown,
        parts=_parts(plan, beside, intended_ns + _answered_ns(session, paths)),
        loss=_loss(plan, session, paths, ways),
    )


def severed(
    plan: Plan, paths: Iterable[Path], intended_ns: Integers, longest_ns: float
) -> NDArray[np.bool_]:
    """Which of the packets due at these moments have no way to go: a link of a path that nothing
    stands in for is broken from before they are due until they would be there.

    Args:
        longest_ns: what one that arrives takes at most, from when it is due.
    """
    out = np.zeros(len(intended_ns), bool)
    state: State = plan
    known: list[tuple[int, frozenset[Pair]]] = []
    for event in sorted(plan.events, key=lambda event: event.at_ns):
        if isinstance(event, LinkEvent | NodeEvent):
            state = state + event
            known.append((event.at_ns, state.broken()))
    for path in paths:
        for hop in () if path.backups else pairwise(path.nodes):
            since_ns: int | None = None
            for at_ns, broken in known:
                if frozenset(hop) in broken:
                    since_ns = at_ns if since_ns is None else since_ns
                elif since_ns is not None:
                    out |= (intended_ns >= since_ns) & (intended_ns < at_ns - longest_ns)
                    since_ns = None
            if since_ns is not None:
                out |= intended_ns >= since_ns
    return out


def _loss(plan: Plan, session: Session, paths: Iterable[Path], ways: _Ways) -> float:
    """Least probability that links lose a packet of a message, each by chance; 0 where copies go
    another way."""
    arrives, packets = 1.0, {leg.path.id: len(session.payloads(leg)) for leg in session.legs}
    for path in paths:
        if any(way.failed is None for way in path.backups):
            return 0.0
        arrives *= (
            max(
                math.prod(1 - plan.port(*hop).loss for hop in pairwise(nodes))
                for nodes in ways(path)
            )
            ** packets[path.id]
        )
    return 1 - arrives


def _senders(
    plan: Plan, session: Session, hops: frozenset[tuple[str, str]], ways: _Ways
) -> Iterator[_Sender]:
    """All but the session itself that is not random, whatever its path."""
    for other in plan.sessions:
        if other.id != session.id and other.arrivals == "periodic":
            yield _Sender(
                Fraction(other.interval_ns),
                other.drift_ppb,
                other.start_ns,
                other.start_ns + other.count * other.interval_ns,
                _hops(ways, other.paths),
            )
    for load in plan.loads:
        kind = KINDS[load.kind]
        gap_ns = Fraction(8 * load.packet_bytes * 1_000_000_000, load.rate_bps)
        yield _Sender(
            None if kind.elastic else max(gap_ns, Fraction(kind.tick_ns)),
            load.drift_ppb,
            load.start_ns,
            load.start_ns + load.duration_ns,
            _hops(ways, load.paths),
        )
    for port in plan.ports:
        at = frozenset([(port.node, port.peer_node)])
        if not at & hops:
            continue
        for source in port.sources:
            if source.arrivals == "periodic":
                yield _Sender(_period_ns(source), 0, source.start_ns, source.stop_ns, at)
        if port.gates:
            cycle_ns = sum(gate.interval_ns for gate in port.gates)
            yield _Sender(Fraction(cycle_ns), 0, 0, plan.duration_ns, at)


def _hops(ways: _Ways, paths: Iterable[Path]) -> frozenset[tuple[str, str]]:
    return frozenset(hop for path in paths for nodes in ways(path) for hop in pairwise(nodes))


def _ways(plan: Plan, taken: Sequence[Carried], path: Path) -> Iterator[tuple[str, ...]]:
    """Nodes of a path, of what carries copies of its packets, of what stands in for it where
    links may fail, and of what its packets were given by orders."""
    yield path.nodes
    for way in path.backups:
        if way.failed is None or plan.events:
            yield way.nodes
    mine = [one for one in plan.paths if one.path.cookie == path.cookie] if taken else []
    for one in taken:
        if any(
            _covers(match, own, of.dscp)
            for of in mine
            for own in of.matches
            for match in one.matches
        ):
            yield one.path.nodes


def _covers(match: Match, own: Match, dscp: int | None) -> bool:
    """Whether an order's match may be for packets of this DSCP that have a match of their own."""
    if match.dscp is not None and dscp is not None and match.dscp != dscp:
        return False
    return all(
        None in (asked, has) or asked == has
        for asked, has in (
            (match.ipv4_src, own.ipv4_src),
            (match.ipv4_dst, own.ipv4_dst),
            (match.ip_proto, own.ip_proto),
            (match.src_port, own.src_port),
            (match.dst_port, own.dst_port),
        )
    )


def _period_ns(source: Source) -> Fraction:
    """From burst to burst, as the port counts it: whole picoseconds."""
    weights = sum(weight for _, weight in source.sizes)
    bits = sum(8 * size * weight for size, weight in source.sizes)
    return Fraction(bits * source.burst * 10**12 // (weights * source.rate_bps), 1000)


def _phases(period_ns: Fraction, other: _Sender, drift_ppb: int, span_ns: int) -> int | None:
    """Places of the other's period on which packets every `period_ns` fall; None: on all.

    >>> flow = _Sender(Fraction(200_000), 0, 0, 10**9, frozenset())
    >>> _phases(Fraction(2_000_000), flow, 0, 10**9), _phases(Fraction(3_999), flow, 0, 10**9)
    (1, 200000)
    >>> _phases(Fraction(2_000_000), flow, 100_000, 10**9), _phases(Fraction(3_999), flow, 1, 10**9)
    (1, None)
    """
    theirs_ns = other.period_ns or Fraction(1)
    common_ns = Fraction(
        math.gcd(
            period_ns.numerator * theirs_ns.denominator, theirs_ns.numerator * period_ns.denominator
        ),
        period_ns.denominator * theirs_ns.denominator,
    )
    if span_ns * abs(drift_ppb - other.drift_ppb) >= common_ns * 1_000_000_000:
        return None
    return int(theirs_ns / common_ns)


def _answered_ns(session: Session, paths: Iterable[Path]) -> int:
    """How long after its message is due a packet leaves on the first of the paths."""
    sampled = {path.id for path in paths}
    before = takewhile(lambda leg: leg.path.id not in sampled, session.legs)
    return sum(leg.budget.total_ns + leg.end.hold_ns for leg in before)


def _parts(plan: Plan, beside: Iterable[_Sender], intended_ns: Integers) -> tuple[int, ...]:
    """Packets before which something changes, by when they leave, far enough apart for an
    average of each part."""
    moments = {event.at_ns for event in plan.events}
    for sender in beside:
        moments |= {sender.begin_ns, sender.end_ns}
    for port in plan.ports:
        for source in port.sources:
            moments |= {source.start_ns, source.stop_ns}
    parts: list[int] = []
    for at in np.searchsorted(intended_ns, sorted(moments)).tolist():
        if at - (parts[-1] if parts else 0) >= _LEAST and len(intended_ns) - at >= _LEAST:
            parts.append(at)
    return tuple(parts)
