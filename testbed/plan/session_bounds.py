"""The delay bound of each session and direction, and the backlog bound of each queue.

Every flow of the plan becomes a token bucket on its path, or one that nothing holds:

    first leg         a message at once, every interval, up to LATE_NS late; Poisson
                      arrivals keep to no bucket
    later legs        an answer to each STAMP packet, as it arrives
    frer              a second flow, from the first switch on; both may be answered. The
                      first copy counts; where copies may be lost, that is the slower way's
    udp               a packet at a time, up to LATE_NS late
    flood             its rate, and FLOOD_DEBT_NS of it at once
    tcp               iperf3's own pace: nothing holds it but its host's link
    background        at every port anew: its burst, every period
    BFD               a packet at every interval, on the links that run it
    policed           what the slice's policers let through, if that is known only

What is assumed of them is kept with each bound, in words. The bounds are those of the
plan's paths: while a link is down, packets take others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec

from testbed.errors import PlanError
from testbed.frames import FULL_FRAME_BYTES, SMALLEST_TCP_BYTES, label_bytes
from testbed.net.legs import DelayBound, Leg
from testbed.net.paths import Path
from testbed.plan.model import BacklogBound, Load, Plan, Session
from testbed.plan.traffic import modelled
from testbed.plan.wiring import Wiring
from testbed.port.curves import Bucket
from testbed.port.pipeline import Port
from testbed.scenario.model import Slice
from testbed.slices.bounds import Bound, Endless, Flow, Hop, bounds
from testbed.slices.policy import LATE_NS
from testbed.slices.sent import Traffic
from testbed.traffic.kinds import KINDS
from testbed.units import least_ns, show_bps, show_bytes, show_ns

BFD_BYTES = 66
"""Ethernet, IPv4, UDP and a BFD control packet without authentication (RFC 5880, RFC 5881)."""
_ANY = Traffic(
    rate_bps=0, burst_bytes=None, largest_bytes=FULL_FRAME_BYTES, smallest_bytes=SMALLEST_TCP_BYTES
)
"""Of a flow that is not known: from an empty TCP segment to a full frame."""
_NAMED = 3
"""Flows that an assumption names, at most."""


def with_bounds(
    wiring: Wiring,
    sessions: Sequence[Session],
    loads: Iterable[Load],
    traffic: Mapping[str, Traffic | None],
    more: Iterable[Flow] = (),
) -> tuple[tuple[Session, ...], tuple[BacklogBound, ...]]:
    """The sessions with their bounds, and the bounds of the queues they pass.

    `wiring` has the ports with their queues and background; `traffic` is by path,
    `more` are flows of the network itself.
    """
    flows = [*more, *flows_of(wiring, sessions, loads, traffic)]
    asked = [flow.id for session in sessions for flow in _session(wiring, session, traffic)]
    found = bounds({port.name: port for port in wiring.ports}, flows, asked)
    known = {flow.id: flow for flow in flows}
    crossing: dict[str, list[Flow]] = {}
    for flow in flows:
        for hop in flow.hops:
            crossing.setdefault(hop.port, []).append(flow)

    def told(path: Path) -> DelayBound:
        flow, bound = known[path.id], found[path.id]
        said = _told(flow, bound, crossing)
        if path.protection != "frer" or isinstance(bound, Endless):
            return said
        copies = [found[_copy(path, n)] for n, _ in enumerate(path.backups, start=1)]
        if not _lossy(wiring, path, [bound, *copies]):
            return said
        return _either(said, _entered_ns(wiring, flow, bound), copies)

    def bounded(leg: Leg) -> Leg:
        return msgspec.structs.replace(leg, bound=told(leg.path))

    found_ = tuple(msgspec.structs.replace(s, legs=tuple(map(bounded, s.legs))) for s in sessions)
    return found_, _backlogs(sessions, known, found)


def flows_of(
    wiring: Wiring,
    sessions: Iterable[Session],
    loads: Iterable[Load],
    traffic: Mapping[str, Traffic | None],
) -> Iterator[Flow]:
    """All planned traffic: sessions, loads, and modelled background at each port."""
    for session in sessions:
        yield from _session(wiring, session, traffic)
    for load in loads:
        yield from _load(wiring, load, traffic)
    for port in wiring.ports:
        yield from _background(port)


def hold_delays(sessions: Iterable[Session], slices: Mapping[str, Slice]) -> None:
    """Raises PlanError where a packet may take longer than its slice promises."""
    for session in sessions:
        for path, bound in ((leg.path, leg.bound) for leg in session.legs):
            slo = slices[path.slice].promised(path.src, path.dst)
            most_ns = None if slo is None else slo.delay_ns
            if most_ns is None or bound is None:
                continue
            worst_ns = bound.latency_ns
            if worst_ns is None or worst_ns > most_ns:
                raise PlanError(
                    f"slice {path.slice} cannot be promised a delay of {show_ns(most_ns)}",
                    where=f"{path.id}: {'; '.join(bound.assumptions)}",
                    expected="no packet that may take longer, by network calculus",
                    remedy="" if worst_ns is None else f"promise {least_ns(worst_ns)} or more",
                )


def watching(plan: Plan) -> Iterator[Flow]:
    """BFD on the links that run it: Open vSwitch sends up to a quarter of the interval
    early (RFC 5880 clause 6.8.7), and answers a change at once."""
    interval_ns = plan.recovery.bfd_ns
    if interval_ns is None:
        return
    traffic = Traffic(
        rate_bps=-(-8 * BFD_BYTES * 4_000_000_000 // (3 * interval_ns)),
        burst_bytes=2 * BFD_BYTES,
        burst_packets=2,
        largest_bytes=BFD_BYTES,
        smallest_bytes=BFD_BYTES,
    )
    guarded = plan.guarded()
    for port in plan.ports:
        if frozenset((port.node, port.peer_node)) in guarded:
            hop = Hop(port.name, extra_bits=8 * port.transmitter.overhead_bytes)
            yield _flow(f"BFD of {port.name}", (hop,), traffic)


def _session(
    wiring: Wiring, session: Session, traffic: Mapping[str, Traffic | None]
) -> Iterator[Flow]:
    times, after = 1, ""
    for path in session.paths:
        sent = traffic[path.id] or _ANY
        sent = msgspec.structs.replace(sent, rate_bps=times * sent.rate_bps)
        hops = path_hops(wiring, path.nodes, path)
        yield _flow(path.id, hops, sent, times=times, late_ns=LATE_NS, after=after)
        yield from _copies(wiring, path, sent)
        times, after = times * (1 + (path.protection == "frer")), path.id


def _load(wiring: Wiring, load: Load, traffic: Mapping[str, Traffic | None]) -> Iterator[Flow]:
    kind = KINDS[load.kind]
    if not kind.elastic:
        known = traffic[load.path.id] or _ANY
        hops = path_hops(wiring, load.path.nodes, load.path)
        late_ns = LATE_NS if kind.timed else 0
        yield _flow(load.path.id, hops, known, late_ns=late_ns)
        yield from _copies(wiring, load.path, known)
        return  # its sink does not answer
    for path in load.paths:
        yield _flow(path.id, path_hops(wiring, path.nodes, path), _ANY)
        yield from _copies(wiring, path, _ANY)


def _copies(wiring: Wiring, path: Path, traffic: Traffic) -> Iterator[Flow]:
    if path.protection == "frer":
        for number, backup in enumerate(path.backups, start=1):
            hops = path_hops(wiring, backup.nodes, path)[1:]
            copy = _flow(_copy(path, number), hops, traffic, after=path.id)
            yield replace(copy, told_bits=copy.largest_bits)  # any packet may be the last to come


def _copy(path: Path, number: int) -> str:
    return f"{path.id}.copy{number}"


def _lossy(wiring: Wiring, path: Path, found: Iterable[Bound | Endless]) -> bool:
    """Whether a copy may be lost, on either way."""
    ways = [path.nodes, *(backup.nodes for backup in path.backups)]
    ports = [wiring.port(*hop) for nodes in ways for hop in pairwise(nodes)]
    return any(port.may_drop(path.queue) for port in ports) or any(
        isinstance(one, Endless) or any(at.full for at in one.ports) for one in found
    )


def _entered_ns(wiring: Wiring, flow: Flow, bound: Bound) -> int:
    """What its packets take to the first switch, where they are copied, at most."""
    port = next(port for port in wiring.ports if port.name == flow.hops[0].port)
    sent_ns = port.transmitter.sent_ns(flow.largest_bits // 8)
    return bound.ports[0].wait_ns + sent_ns + port.delay_ns


def _either(said: DelayBound, entered_ns: int, copies: Iterable[Bound | Endless]) -> DelayBound:
    """The bound of packets of which only a copy may arrive."""
    most_ns = said.latency_ns
    for copy in copies:
        if isinstance(copy, Endless) or most_ns is None:
            most_ns = None
        else:
            most_ns = max(most_ns, entered_ns + copy.latency_ns)
    why = "one of two copies may be lost" if most_ns is not None else "none for a copy"
    return msgspec.structs.replace(said, latency_ns=most_ns, assumptions=(*said.assumptions, why))


def _background(port: Port) -> Iterator[Flow]:
    if port.rate_bps is None:
        return
    for source in port.sources:
        hops = (Hop(port.name, source.queue, 8 * port.transmitter.overhead_bytes),)
        yield _flow(f"{source.id} at {port.name}", hops, modelled(source))


def path_hops(wiring: Wiring, nodes: Sequence[str], path: Path) -> tuple[Hop, ...]:
    """The ports of a way that a path's packets take, with the queue they wait in."""
    found = []
    for number, hop in enumerate(pairwise(nodes)):
        port = wiring.port(*hop)
        queue = path.queue if path.queue in {queue.id for queue in port.queues} else 0
        label = label_bytes(number, nodes, path.label is not None)
        found.append(
            Hop(
                port.name,
                queue,
                8 * (label + port.transmitter.overhead_bytes),
                port.policer(path.queue),
            )
        )
    return tuple(found)


def _flow(
    id_: str,
    hops: tuple[Hop, ...],
    traffic: Traffic,
    *,
    times: int = 1,
    late_ns: int = 0,
    after: str = "",
) -> Flow:
    burst = traffic.burst_bytes
    return Flow(
        id=id_,
        hops=hops,
        burst=None if burst is None else Bucket(8 * burst * times, traffic.rate_bps),
        packets=traffic.burst_packets * times,
        largest_bits=8 * traffic.largest_bytes,
        smallest_bits=8 * traffic.smallest_bytes,
        told_bits=8 * traffic.smallest_bytes,
        late_ns=late_ns,
        after=after,
    )


def _told(flow: Flow, bound: Bound | Endless, crossing: Mapping[str, Sequence[Flow]]) -> DelayBound:
    if isinstance(bound, Endless):
        beside = [other.id for other in crossing[bound.port] if other.burst is None]
        why = f"{_named(beside)} kept to nothing" if beside else "more comes than it can send"
        return DelayBound(latency_ns=None, assumptions=(f"none at {bound.port}: {why}",))
    others = {o.id: o for hop in flow.hops for o in crossing[hop.port] if o.id != flow.id}
    loose = sorted(id_ for id_, other in others.items() if other.burst is None)
    kept = len(others) - len(loose)
    assumed = []
    if flow.burst is None:
        assumed.append("its own packets keep to no token bucket")
    elif flow.after:
        assumed.append(f"each packet answers one, at most {show_ns(flow.late_ns)} later")
    else:
        assumed.append(
            f"at most {show_bytes(flow.burst.bits // 8)} at once and "
            f"{show_bps(flow.burst.bps)}, at most {show_ns(flow.late_ns)} late"
        )
    if kept:
        flows = "another flow keeps" if kept == 1 else f"{kept} other flows keep"
        assumed.append(f"{flows} to token buckets")
    if loose:
        assumed.append(f"{_named(loose)} held by links and queues only")
    full = [at.port for at in bound.ports if at.full]
    if full:
        assumed.append(f"behind full buffers at {_named(full)}, lost packets aside")
    return DelayBound(
        latency_ns=bound.latency_ns,
        concatenated=bound.concatenated,
        lossless=all(at.lossless for at in bound.ports),
        assumptions=tuple(assumed),
    )


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _backlogs(
    sessions: Iterable[Session], flows: Mapping[str, Flow], found: Mapping[str, Bound | Endless]
) -> tuple[BacklogBound, ...]:
    least: dict[tuple[str, int], int] = {}
    for session in sessions:
        for path in session.paths:
            bound = found[path.id]
            if isinstance(bound, Endless):
                continue
            for hop, at in zip(flows[path.id].hops, bound.ports, strict=True):
                if at.backlog_bits:
                    least[hop.port, hop.queue] = -(-at.backlog_bits // 8)
    return tuple(
        BacklogBound(port=port, queue=queue, bytes=size) for (port, queue), size in least.items()
    )
