"""Probes to STAMP sessions, flows to loads.

    direction  sender    judged
    UL         terminal  forward
    DL         server    forward
    UL+DL      terminal  forward and reverse
    U2U        terminal  forward and reverse (the "server" is the other terminal)
    DC         terminal  forward (both are data centres)

A class judged by round trip is judged by rtt whatever its direction. A reflector
returns one packet for each STAMP packet, so a class that sends messages of several
packets both ways becomes two sessions, <probe>.ul and <probe>.dl (or .out and .back),
each judged forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from testbed.errors import PlanError
from testbed.frames import UDP_HEADERS_BYTES
from testbed.net.legs import RTT, Direction, Home, Leg, Reflector
from testbed.plan.budget import path_budget
from testbed.plan.model import Load, Session
from testbed.plan.pacing import (
    count,
    derived_seed,
    drift_ppb,
    fastest_ppb,
    period_ns,
    phase_ns,
    rate_by_clock,
    stretched,
)
from testbed.plan.routing import Router
from testbed.plan.wiring import Wiring
from testbed.port.background import Source
from testbed.scenario.model import Background, Flow, Probe, Slice
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Demand
from testbed.slices.sent import Traffic
from testbed.traffic.classes import AppClass
from testbed.traffic.kinds import KINDS

MAX_PAYLOAD_BYTES = 1448
"""UDP payload of a full packet: 1476 bytes of IP, so a label or more fits in 1500."""
STAMP_BYTES = 44
"""Smallest STAMP packet (RFC 8762 clause 4.2.1)."""
UNANSWERED = Traffic(rate_bps=0, burst_bytes=0, largest_bytes=1, smallest_bytes=1)
"""What comes back of a flow whose sink does not answer: nothing."""
FIRST_SENDER_PORT = 50_000
FIRST_LOAD_PORT = 5201
LAST_PORT = 65_535


class _Role(NamedTuple):
    """Which way one session of a probe looks."""

    suffix: str
    from_terminal: bool
    forward: str
    reverse: str
    judged: tuple[Direction, ...]


def sessions(
    scenario: Scenario, wiring: Wiring, router: Router, apps: Mapping[str, AppClass]
) -> tuple[Session, ...]:
    """Raises PlanError if there are more sessions than ports."""
    ip = {host.name: host.ip for host in wiring.hosts}
    wanted = _wanted(scenario, apps)
    _enough_ports("sessions", len(wanted), FIRST_SENDER_PORT)
    return tuple(
        _session(scenario, probe, app, role, FIRST_SENDER_PORT + number, ip, wiring, router)
        for number, (probe, app, role) in enumerate(wanted)
    )


def _wanted(
    scenario: Scenario, apps: Mapping[str, AppClass]
) -> list[tuple[Probe, AppClass, _Role]]:
    """The sessions there will be."""
    return [
        (probe, apps[probe.app], role)
        for probe in scenario.probes
        for role in _roles(apps[probe.app], probe.size_bytes)
    ]


def demands(
    scenario: Scenario, slices: Mapping[str, Slice], apps: Mapping[str, AppClass]
) -> list[Demand]:
    """Every path that sessions, loads and modelled background will ask for."""
    found: list[Demand] = []

    def ask(
        id_: str, slice_: str, src: str, dst: str, traffic: Traffic | None, after: str = ""
    ) -> None:
        slo = slices[slice_].promised(src, dst)
        found.append(
            Demand(
                id=id_,
                slice=slices[slice_],
                src=src,
                dst=dst,
                delay_ns=None if slo is None else slo.delay_ns,
                traffic=traffic,
                after=after,
            )
        )

    for probe, app, role in _wanted(scenario, apps):
        id_, (sender, reflector) = probe.id + role.suffix, _ends(probe, role)
        payloads = packets(probe.size_bytes or app.size_bytes)
        interval_ns = probe.interval_ns or app.interval_ns
        interval_ns = max(1, stretched(interval_ns, fastest_ppb(scenario, probe)))
        paced = app.arrivals == "periodic"
        ask(f"{id_}.forward", probe.slice, sender, reflector, train(payloads, interval_ns, paced))
        answer = train(payloads[-1:], interval_ns, paced)
        ask(f"{id_}.reverse", probe.slice, reflector, sender, answer, f"{id_}.forward")
    for flow in scenario.flows:
        fastest = steady(flow, fastest_ppb(scenario, flow))
        ask(f"{flow.id}.forward", flow.slice, flow.src, flow.dst, fastest)
        answers = None if KINDS[flow.kind].elastic else UNANSWERED
        ask(f"{flow.id}.reverse", flow.slice, flow.dst, flow.src, answers)
    for b in scenario.backgrounds:
        ask(background_id(b), b.slice, b.src, b.dst, modelled(b))
    return found


def train(payloads: Sequence[int], interval_ns: int, periodic: bool) -> Traffic:
    """Packets with these UDP payloads, together, every `interval_ns`."""
    sizes = [payload + UDP_HEADERS_BYTES for payload in payloads]
    return Traffic(
        rate_bps=-(-8 * sum(sizes) * 1_000_000_000 // interval_ns),
        burst_bytes=sum(sizes) if periodic else None,
        burst_packets=len(sizes),
        largest_bytes=max(sizes),
        smallest_bytes=sizes[-1],
        message_packets=len(sizes),
    )


def steady(flow: Flow, drift_ppb: int = 0) -> Traffic:
    """A packet at a time, and what the kind still sends of a time in which it was held up; what
    is elastic keeps to no burst."""
    kind = KINDS[flow.kind]
    size = flow.packet_bytes + UDP_HEADERS_BYTES
    paced_bps = rate_by_clock(flow.rate_bps, drift_ppb)
    rate_bps = -(-paced_bps * size // flow.packet_bytes)
    burst = 1 - (-paced_bps * kind.debt_ns // (8_000_000_000 * flow.packet_bytes))
    return Traffic(
        rate_bps=rate_bps,
        burst_bytes=None if kind.elastic else burst * size,
        burst_packets=burst,
        largest_bytes=size,
        smallest_bytes=size,
    )


def modelled(background: Background | Source) -> Traffic:
    """At each port anew. Periodic bursts of random sizes may all be of the largest."""
    sizes = [size for size, _ in background.sizes]
    weights = sum(weight for _, weight in background.sizes)
    mean = sum(size * weight for size, weight in background.sizes)
    periodic = background.arrivals == "periodic"
    return Traffic(
        rate_bps=-(-background.rate_bps * max(sizes) * weights // mean)
        if periodic
        else background.rate_bps,
        burst_bytes=background.burst * max(sizes) if periodic else None,
        burst_packets=background.burst,
        largest_bytes=max(sizes),
        smallest_bytes=min(sizes),
    )


def background_id(background: Background) -> str:
    """Of its demand: a probe or flow may have the same name."""
    return f"{background.id}.background"


def _ends(probe: Probe, role: _Role) -> tuple[str, str]:
    """Sender and reflector."""
    ends = (probe.terminal, probe.server)
    return ends if role.from_terminal else ends[::-1]


def _roles(app: AppClass, size_bytes: int | None) -> Iterator[_Role]:
    out, back = {"U2U": ("U2U out", "U2U back"), "DC": ("DC out", "DC back")}.get(
        app.direction, ("UL", "DL")
    )
    if app.direction == "DL":
        yield _Role("", False, back, out, (RTT,) if app.judged == "rtt" else ("forward",))
    elif app.judged == "rtt":
        yield _Role("", True, out, back, (RTT,))
    elif app.direction in ("UL", "DC"):
        yield _Role("", True, out, back, ("forward",))
    elif (size_bytes or app.size_bytes) <= MAX_PAYLOAD_BYTES:
        yield _Role("", True, out, back, ("forward", "reverse"))
    else:
        yield _Role("." + out.split()[-1].lower(), True, out, back, ("forward",))
        yield _Role("." + back.split()[-1].lower(), False, back, out, ("forward",))


def _session(
    scenario: Scenario,
    probe: Probe,
    app: AppClass,
    role: _Role,
    port: int,
    ip: Mapping[str, str],
    wiring: Wiring,
    router: Router,
) -> Session:
    id_ = probe.id + role.suffix
    sender, reflector = _ends(probe, role)
    payloads = packets(probe.size_bytes or app.size_bytes)
    interval_ns = probe.interval_ns or app.interval_ns
    there, back = router.path(f"{id_}.forward"), router.path(f"{id_}.reverse")
    late_ns, slow_ppb = 0, drift_ppb(scenario, probe, sender)
    if app.arrivals == "periodic":
        within_ns = min(interval_ns, probe.duration_ns)
        late_ns = phase_ns(scenario, id_, probe.phase_ns, within_ns)
    return Session(
        id=id_,
        app=app.name,
        slice=probe.slice,
        sender=sender,
        reflector=reflector,
        sender_ip=ip[sender],
        reflector_ip=ip[reflector],
        sender_port=port,
        dscp=app.dscp,
        size_bytes=payloads[-1],
        fragments=len(payloads),
        fragment_bytes=MAX_PAYLOAD_BYTES if len(payloads) > 1 else 0,
        start_ns=probe.start_ns + late_ns,
        interval_ns=interval_ns,
        drift_ppb=slow_ppb,
        count=count(probe.duration_ns, late_ns, interval_ns, slow_ppb),
        arrivals=app.arrivals,
        seed=derived_seed(scenario.seed, id_),
        warmup_ns=scenario.warmup_ns,
        deadline_ns=probe.deadline_ns or app.deadline_ns,
        deadline_kind=app.judged,
        judged=role.judged,
        reliability=app.reliability,
        survival_ns=app.survival_ns,
        legs=(
            Leg(
                name="forward",
                called=role.forward,
                path=there,
                budget=path_budget(wiring, there, payloads),
                end=Reflector(),
            ),
            Leg(
                name="reverse",
                called=role.reverse,
                path=back,
                budget=path_budget(wiring, back, payloads[-1:]),
                end=Home(),
            ),
        ),
        source=app.source,
    )


def packets(message_bytes: int) -> tuple[int, ...]:
    """UDP payloads of the packets of one message; the last is the STAMP packet."""
    full = (message_bytes - 1) // MAX_PAYLOAD_BYTES
    rest = message_bytes - full * MAX_PAYLOAD_BYTES
    return (MAX_PAYLOAD_BYTES,) * full + (max(STAMP_BYTES, rest),)


def loads(scenario: Scenario, wiring: Wiring, router: Router) -> tuple[Load, ...]:
    """Raises PlanError if there are more flows than ports."""
    ip = {host.name: host.ip for host in wiring.hosts}
    _enough_ports("flows", len(scenario.flows), FIRST_LOAD_PORT)
    return tuple(
        _load(scenario, flow, FIRST_LOAD_PORT + number, ip, router)
        for number, flow in enumerate(scenario.flows)
    )


def _load(scenario: Scenario, flow: Flow, port: int, ip: Mapping[str, str], router: Router) -> Load:
    period = period_ns(flow)
    late_ns = 0
    if period is not None:
        within_ns = min(period, flow.duration_ns)
        late_ns = phase_ns(scenario, f"flow {flow.id}", flow.phase_ns, within_ns)
    return Load(
        id=flow.id,
        slice=flow.slice,
        kind=flow.kind,
        src=flow.src,
        dst=flow.dst,
        src_ip=ip[flow.src],
        dst_ip=ip[flow.dst],
        port=port,
        rate_bps=flow.rate_bps,
        packet_bytes=flow.packet_bytes,
        dscp=flow.dscp,
        start_ns=flow.start_ns + late_ns,
        duration_ns=flow.duration_ns,
        drift_ppb=drift_ppb(scenario, flow, flow.src),
        paths=(router.path(f"{flow.id}.forward"), router.path(f"{flow.id}.reverse")),
    )


def _enough_ports(what: str, wanted: int, first: int) -> None:
    room = LAST_PORT - first + 1
    if wanted > room:
        raise PlanError(f"{wanted} {what}", where="scenario", expected=f"at most {room}")
