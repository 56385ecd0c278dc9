"""Random ports in a row and flows that keep to their token buckets, played through the
reference model: what the bounds are held against."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from testbed.port.curves import Bucket, S
from testbed.port.events import run
from testbed.port.gates import Gate
from testbed.port.pipeline import Pipeline
from testbed.port.queues import Queue
from testbed.port.stage import Arrival
from testbed.slices.bounds import Bound, Endless, Flow, Hop, bounds
from tests.ports import shaped

MBIT = 1_000_000


class Packet(NamedTuple):
    """As a flow's source sends it."""

    time_ns: int
    bytes: int


@dataclass(frozen=True)
class Case:
    """Flows over ports in a row, and all that they send."""

    ports: dict[str, Pipeline]
    flows: tuple[Flow, ...]
    sent: dict[str, list[Packet]]


class Outcome(NamedTuple):
    """Of the packets of one size of a flow."""

    flow: str
    bits: int
    most_ns: int
    bound: Bound | Endless
    lost: bool
    """Whether the flow lost any."""


def play(case: Case) -> list[Outcome]:
    """What the model's packets took, and the bounds, for each flow and packet size."""
    arrived = ways(case)
    found = []
    for bits in {8 * p.bytes for packets in case.sent.values() for p in packets}:
        asked = [replace(flow, told_bits=bits) for flow in case.flows]
        limits = bounds(case.ports, asked)
        for flow in case.flows:
            took = [
                at - packet.time_ns
                for packet, at in zip(case.sent[flow.id], arrived[flow.id], strict=True)
                if 8 * packet.bytes == bits and at is not None
            ]
            if took:
                found.append(
                    Outcome(flow.id, bits, max(took), limits[flow.id], None in arrived[flow.id])
                )
    return found


def ways(case: Case) -> dict[str, list[int | None]]:
    """When each packet is out of its flow's last port; None if it was dropped."""
    at: dict[str, list[int | None]] = {
        flow: [p.time_ns for p in packets] for flow, packets in case.sent.items()
    }
    for name, port in case.ports.items():
        here = []
        for flow in case.flows:
            for hop in flow.hops:
                if hop.port == name:
                    for n, time_ns in enumerate(at[flow.id]):
                        if time_ns is not None:
                            size = case.sent[flow.id][n].bytes + hop.extra_bits // 8
                            here.append((time_ns, flow.id, n, size, hop.queue))
        here.sort()
        fates = run(port, [Arrival(time, size, q) for time, _, _, size, q in here])
        for (_, flow_id, n, _, _), fate in zip(here, fates, strict=True):
            at[flow_id][n] = fate.delivery_ns
    return at


def conforming(
    draw: st.DrawFn, bucket: Bucket, sizes: tuple[int, ...], packets: int
) -> list[Packet]:
    """Packets as early as the bucket lets them, but for some pauses."""
    tokens, now = bucket.bits * S, draw(st.integers(0, 2_000_000))
    sent = []
    for _ in range(packets):
        size = draw(st.sampled_from(sizes))
        pause = draw(st.sampled_from([0, 0, 0, 0, 100_000, 3_000_000]))
        lack = max(0, 8 * size * S - min(bucket.bits * S, tokens + bucket.bps * pause))
        wait = pause + -(-lack // bucket.bps)
        tokens = min(bucket.bits * S, tokens + bucket.bps * wait) - 8 * size * S
        now += wait
        sent.append(Packet(now, size))
    return sent


RATES = [10 * MBIT, 20 * MBIT, 100 * MBIT]
SIZES = (100, 700, 1500)


@st.composite
def queues(
    draw: st.DrawFn, kind: str, rate_bps: int, cycle_ns: int
) -> tuple[tuple[Queue, ...], tuple[Gate, ...]]:
    """Three queues of a port, or the only one of a fifo, and the gates."""
    gates: tuple[Gate, ...] = ()
    limit = draw(st.sampled_from([3, 1000]))
    if kind == "fifo":
        return (Queue(limit_packets=limit),), gates
    levels = draw(st.permutations([0, 1, 2])) if kind != "shared" else [0, 1, 1]
    made = [Queue(id=n, level=level, limit_packets=limit) for n, level in enumerate(levels)]
    if kind == "shared":
        quanta = st.sampled_from([1514, 3000])
        made = [msgspec.structs.replace(q, quantum_bytes=draw(quanta)) for q in made]
    if kind == "htb":
        shares = st.sampled_from([0, 5, 10, 30])
        saved = st.sampled_from([3028, 20_000])
        made = [
            msgspec.structs.replace(
                q, promised_bps=rate_bps * draw(shares) // 100, burst_bytes=draw(saved)
            )
            for q in made
        ]
    if kind == "peak":
        peaks = st.sampled_from([0, rate_bps // 2, rate_bps // 5])
        made = [msgspec.structs.replace(q, peak_bps=draw(peaks)) for q in made]
    if kind == "time_aware":
        longest = -(-8 * 1600 * S // rate_bps)
        cuts = sorted(draw(st.lists(st.integers(1, 9), min_size=2, max_size=2, unique=True)))
        edges = [0, *(cut * cycle_ns // 10 for cut in cuts), cycle_ns]
        windows = list(itertools.pairwise(edges))
        mine = list(windows)
        if draw(st.booleans()):  # two share a window, and nobody has the third
            mine[1] = windows[2]
        held = zip(made, mine, strict=True)
        wide = {q.id: window for q, window in held if window[1] - window[0] > longest}
        made = [q for q in made if q.id in wide]
        gates = tuple(
            Gate(
                interval_ns=window[1] - window[0],
                open=tuple(id_ for id_, own in wide.items() if own == window),
            )
            for window in windows
        )
    return tuple(made), gates


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    """One flow over all of 1 to 5 ports, and others over some, all within their buckets."""
    count = draw(st.integers(1, 5))
    ports: dict[str, Pipeline] = {}
    for n in range(count):
        rate = draw(st.sampled_from(RATES))
        cycle = draw(st.sampled_from([6_000_000, 10_000_000])) if kind == "time_aware" else 0
        made, gates = draw(queues(kind, rate, cycle))
        if not made:
            made, gates = (Queue(),), ()
        delay = draw(st.integers(0, 50_000))
        ports[f"p{n}"] = shaped(rate, delay_ns=delay, queues=made, gates=gates)
    flows, sent = [], {}
    for n in range(draw(st.integers(1, 5))):
        first, last = (
            (0, count - 1)
            if n == 0
            else sorted((draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))))
        )
        sizes = tuple(draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=2)))
        bits = 8 * max(sizes) * draw(st.integers(1, 6))
        bucket = Bucket(bits, draw(st.sampled_from([MBIT // 2, MBIT, 3 * MBIT, 9 * MBIT])))
        wanted = draw(st.integers(0, 2))
        hops = tuple(
            Hop(name, wanted if any(q.id == wanted for q in port.queues) else port.queues[0].id)
            for name, port in list(ports.items())[first : last + 1]
        )
        known = draw(st.sampled_from([True, True, True, False])) or n == 0
        flow = Flow(
            id=f"f{n}",
            hops=hops,
            burst=bucket if known else None,
            packets=max(1, bits // (8 * min(sizes))),
            largest_bits=8 * max(sizes),
            smallest_bits=8 * min(sizes),
            told_bits=8 * min(sizes),
        )
        flows.append(flow)
        sent[flow.id] = conforming(draw, bucket, sizes, draw(st.integers(1, 25)))
    return Case(ports, tuple(flows), sent)


def tightness(outcomes: list[Outcome]) -> dict[str, list[float]]:
    """Longest delay / bound, by flow."""
    found: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        if isinstance(outcome.bound, Bound):
            found[outcome.flow].append(outcome.most_ns / outcome.bound.latency_ns)
    return found
