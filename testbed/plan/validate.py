"""Refuses what cannot be planned: each error says what, where and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import networkx as nx

from testbed.errors import InputError, PlanError, unknown
from testbed.links.kinds import AnyLink
from testbed.links.link import Way
from testbed.plan.pacing import check_clocks, check_load, check_probe
from testbed.plan.traffic import MAX_PAYLOAD_BYTES
from testbed.scenario.model import Background, Flow, Probe, Slice
from testbed.scenario.promise import contradictions
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import BEST_EFFORT
from testbed.topology.model import Network, Node
from testbed.traffic.classes import AppClass
from testbed.traffic.kinds import KINDS
from testbed.units import show_bps, show_ns

MIN_RATE_BPS = 8_000
"""Slowest port: netem and HTB count in whole bytes per second."""

MAX_BACKGROUND_BPS = 10**13
"""Of one source; the lab's port counts up to here."""
_MAX_GAP_S = 100_000
"""Between a source's bursts, on average: the lab's port counts in picoseconds."""
_SIZES = 4

MIN_INTERVAL_NS = 1_000
"""Between a probe's messages: small frames fill a port of 1 Gbit/s at one each 0.7 us."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SD = re.compile(r"[0-9A-Fa-f]{6}")


def validate_network(network: Network) -> None:
    """Raises InputError or PlanError unless the network can be wired."""
    where = f"topology {network.name!r}"
    nodes = {node.name: node for node in network.nodes}
    _unique("node", [node.name for node in network.nodes], where)
    for node in network.nodes:
        _name("node", node.name, where)
        _require(node.forwarding_ns >= 0, "forwarding delay is negative", f"node {node.name}")
    pairs = [tuple(sorted((link.a, link.b))) for link in network.links]
    _unique("link", [f"{a}-{b}" for a, b in pairs], where)
    for link in network.links:
        for end in (link.a, link.b):
            if end not in nodes:
                raise unknown("node", end, nodes, where=f"link {link.a}-{link.b}")
        _require(link.a != link.b, f"node {link.a} is linked to itself", where)
        for src, dst in ((link.a, link.b), (link.b, link.a)):
            at = f"link {src} -> {dst}"
            _require(min(link.parts(src)) >= 0, "delay is negative", at, "0 ns or more")
            _way(link.way(src), at)
        _alone(link)
    neighbours = nx.Graph(pairs)
    neighbours.add_nodes_from(nodes)
    for node in network.nodes:
        if node.role == "host":
            _attached(node, sorted(neighbours[node.name]), nodes)
    _connected(neighbours, where)


def _alone(link: AnyLink) -> None:
    for src in (link.a, link.b):
        medium = link.medium(src)
        _require(
            not medium,
            f"several ports share medium {medium!r}",
            f"link {link.a}-{link.b}",
            "links whose ends send whenever they have something to send",
        )


def _way(d: Way, where: str) -> None:
    _require(0 <= d.loss <= 1, f"loss is {d.loss}", where, "a probability from 0 to 1")
    _require(d.buffer_packets >= 1, f"buffer is {d.buffer_packets} packets", where, "1 or more")
    _require(
        d.rate_bps is None or d.rate_bps >= MIN_RATE_BPS,
        f"rate is {d.rate_bps} bit/s",
        where,
        f"{MIN_RATE_BPS} bit/s or more, or none for a port that is not shaped",
    )


def _attached(host: Node, peers: Sequence[str], nodes: Mapping[str, Node]) -> None:
    switches = [peer for peer in peers if nodes[peer].role == "switch"]
    if len(peers) != 1 or len(switches) != 1:
        raise PlanError(
            f"host {host.name} is linked to {', '.join(peers) or 'nothing'}",
            where="topology",
            expected="each host on exactly one switch",
            remedy="put a switch between them, or remove links of the host",
        )


def _connected(graph: nx.Graph, where: str) -> None:
    parts = sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    if len(parts) > 1:
        raise PlanError(
            f"the network is in {len(parts)} parts",
            where=where,
            expected="a connected graph",
            remedy=f"link {min(parts[1])} or its neighbours to the rest, such as {min(parts[0])}",
        )


MAX_FLOW_BPS = 100_000_000_000
"""Faster than any lab sends packet by packet."""


def validate_scenario(
    scenario: Scenario, network: Network, apps: Mapping[str, AppClass]
) -> dict[str, Slice]:
    """The slices by id, best effort included. Raises InputError for anything wrong."""
    _bounded(msgspec.to_builtins(scenario), "scenario")
    _unique("slice", [slice_.id for slice_ in scenario.slices], "scenario")
    nodes = {node.name for node in network.nodes}
    for slice_ in scenario.slices:
        _slice(slice_)
        _sdps(slice_, nodes)
    ids = [probe.id for probe in scenario.probes] + [flow.id for flow in scenario.flows]
    _unique("probe or flow", ids, "scenario")
    hosts = {node.name for node in network.nodes if node.role == "host"}
    slices = {BEST_EFFORT: Slice(id=BEST_EFFORT, sst=1, priority=127)}
    slices |= {slice_.id: slice_ for slice_ in scenario.slices}
    check_clocks(scenario.clock_drift_ppb, "clocks")
    for probe in scenario.probes:
        where = f"probe {probe.id}"
        if probe.app not in apps:
            raise unknown("application class", probe.app, apps, where=where)
        _probe(probe, scenario.warmup_ns)
        check_probe(probe, apps[probe.app], scenario.warmup_ns)
        _ends(where, probe.terminal, probe.server, hosts, probe.slice, slices)
    for flow in scenario.flows:
        _flow(flow)
        check_load(flow)
        _ends(f"flow {flow.id}", flow.src, flow.dst, hosts, flow.slice, slices)
    _unique("background", [background.id for background in scenario.backgrounds], "scenario")
    for background in scenario.backgrounds:
        _background(background)
        where = f"background {background.id}"
        _ends(where, background.src, background.dst, hosts, background.slice, slices)
    _links(scenario, network)
    return slices


def _bounded(value: object, where: str) -> None:
    """Numbers have 64 bits, as in the kernel."""
    if isinstance(value, int):
        _require(abs(value) < 2**63, "a number has more than 64 bits", where, "less than 2^63")
    elif isinstance(value, dict | list | tuple):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            _bounded(each, f"{where}, {key}")


def _slice(slice_: Slice) -> None:
    where = f"slice {slice_.id}"
    _name("slice", slice_.id, where)
    _require(
        1 <= slice_.sst <= 255, f"sst is {slice_.sst}", where, "1 to 255 (TS 23.003 clause 28.4.2)"
    )
    _require(bool(_SD.fullmatch(slice_.sd)), f"sd is {slice_.sd!r}", where, "6 hex digits")
    _require(1 <= slice_.priority <= 127, f"priority is {slice_.priority}", where, "1 to 127")
    for _, what, expected in contradictions(slice_):
        raise InputError(what, where=where, expected=expected)


def _sdps(slice_: Slice, nodes: Iterable[str]) -> None:
    for sdp in slice_.sdps:
        if sdp.node is not None and sdp.node not in nodes:
            raise unknown("node", sdp.node, nodes, where=f"slice {slice_.id}, sdp {sdp.id}")


def _probe(probe: Probe, warmup_ns: int) -> None:
    where = f"probe {probe.id}"
    _name("probe", probe.id, where)
    _span(probe, where)
    for name in ("interval_ns", "size_bytes", "deadline_ns"):
        value = getattr(probe, name)
        _require(value is None or value > 0, f"{name} is {value}", where, "more than 0")
    if probe.interval_ns is not None and probe.interval_ns < MIN_INTERVAL_NS:
        raise InputError(
            f"interval is {show_ns(probe.interval_ns)}",
            where=where,
            expected=f"{show_ns(MIN_INTERVAL_NS)} or more between an application's messages",
            remedy="Experiment.flow() and background() make load",
        )
    if probe.start_ns + probe.duration_ns <= warmup_ns:
        raise InputError(
            f"it ends {show_ns(probe.start_ns + probe.duration_ns)} after traffic starts, within "
            f"the warm-up of {show_ns(warmup_ns)}, whose messages are not judged",
            where=where,
            expected="an end after the warm-up",
            remedy="a longer duration=, or a shorter self.warmup() in build()",
        )


def _flow(flow: Flow) -> None:
    where = f"flow {flow.id}"
    _name("flow", flow.id, where)
    _span(flow, where)
    _require(
        0 < flow.rate_bps <= MAX_FLOW_BPS,
        f"rate is {show_bps(flow.rate_bps)}",
        where,
        f"more than 0, at most {show_bps(MAX_FLOW_BPS)} of real packets; "
        "Experiment.background() models more",
    )
    _require(
        not KINDS[flow.kind].elastic or flow.duration_ns % 1_000_000_000 == 0,
        f"lasts {show_ns(flow.duration_ns)}",
        where,
        "whole seconds, which is what iperf3 takes (udp and flood may last any time)",
    )
    _require(0 <= flow.dscp <= 63, f"dscp is {flow.dscp}", where, "0 to 63 (RFC 2474)")
    _require(
        1 <= flow.packet_bytes <= MAX_PAYLOAD_BYTES,
        f"packets carry {flow.packet_bytes} bytes",
        where,
        f"1 to {MAX_PAYLOAD_BYTES} bytes of UDP payload",
    )


def _background(background: Background) -> None:
    where = f"background {background.id}"
    _name("background", background.id, where)
    _span(background, where)
    _require(
        0 < background.rate_bps <= MAX_BACKGROUND_BPS,
        f"rate is {background.rate_bps} bit/s",
        where,
        f"more than 0, at most {MAX_BACKGROUND_BPS}",
    )
    _require(
        1 <= len(background.sizes) <= _SIZES,
        f"{len(background.sizes)} packet sizes",
        where,
        f"1 to {_SIZES}",
    )
    for size, weight in background.sizes:
        _require(64 <= size <= 9000, f"packets of {size} bytes", where, "64 to 9000 bytes")
        _require(1 <= weight <= 10_000, f"{size} bytes have weight {weight}", where, "1 to 10000")
    _require(
        1 <= background.burst <= 10_000,
        f"bursts of {background.burst} packets",
        where,
        "1 to 10000",
    )
    bits = sum(8 * size * weight for size, weight in background.sizes) * background.burst
    gap_s = bits / sum(weight for _, weight in background.sizes) / background.rate_bps
    _require(
        gap_s < _MAX_GAP_S,
        f"{gap_s:.0f} s between bursts",
        where,
        f"less than {_MAX_GAP_S} s: a higher rate, smaller packets or bursts",
    )


def _span(item: Probe | Flow | Background, where: str) -> None:
    _require(item.start_ns >= 0, f"starts at {item.start_ns} ns", where, "0 ns or later")
    _require(item.duration_ns > 0, f"lasts {item.duration_ns} ns", where, "more than 0 ns")


def _ends(
    where: str, a: str, b: str, hosts: Iterable[str], slice_: str, slices: Iterable[str]
) -> None:
    for end in (a, b):
        if end not in hosts:
            raise unknown("host", end, hosts, where=where)
    _require(a != b, f"both ends are {a}", where, "two different hosts")
    if slice_ not in slices:
        raise unknown("slice", slice_, slices, where=where)


def _links(scenario: Scenario, network: Network) -> None:
    """Captures name links that are there, and events come while traffic flows."""
    peers: dict[str, set[str]] = {node.name: set() for node in network.nodes}
    for link in network.links:
        peers[link.a].add(link.b)
        peers[link.b].add(link.a)
    named = [(f"capture {c.node}:{c.peer}", c.node, c.peer) for c in scenario.captures]
    for where, a, b in named:
        if a not in peers:
            raise unknown("node", a, peers, where=where)
        if b not in peers[a]:
            raise unknown(f"neighbour of {a}", b, peers[a], where=where)
    ends = [probe.start_ns + probe.duration_ns for probe in scenario.probes]
    ends += [flow.start_ns + flow.duration_ns for flow in scenario.flows]
    last_ns = max(ends, default=0)
    for event in scenario.events:
        _require(
            0 <= event.at_ns < last_ns,
            f"event at {show_ns(event.at_ns)}",
            event.text,
            f"while traffic flows, before {show_ns(last_ns)}",
        )


def _name(kind: str, name: str, where: str) -> None:
    _require(
        bool(_NAME.fullmatch(name)),
        f"{kind} name {name!r}",
        where,
        "letters, digits, '_', '.' and '-', the first a letter or digit",
    )


def _unique(kind: str, names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        _require(name not in seen, f"{kind} {name!r} is there twice", where, "each name once")
        seen.add(name)


def _require(fine: bool, what: str, where: str, expected: str = "") -> None:
    if not fine:
        raise InputError(what, where=where, expected=expected)
