"""Bounds of ports in a row against the best known ones, and against the worst that a search finds.

    python -m benchmarks.tandems                    2, 5 and 10 ports; 200 random networks
    python -m benchmarks.tandems --networks 20

low    a burst of low priority over all ports, one of high priority beside it. Best known:
       pay multiplexing only once (Schmitt, Zdarsky and Fidler, 2008)
sink   at each port a flow joins that stays to the end, first in, first out. Best known, and
       exact for fluids: Lenzini, Martorini, Mingozzi and Stea, 2006
tree   random trees of switches, random ways, schedulers, rates and bursts: the largest delay
       over the bound, by flow

To each best known bound comes what any packet takes: a packet at every port but the last, its
own transmission, and delays. The search sends every flow's burst, and then packets as early
as its bucket lets them, and moves the moments at which flows begin so that one packet of the
flow asked for takes as long as can be found. It plays the event model of the ports.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

import networkx as nx
import numpy as np
from rich.console import Console

from testbed.port.curves import Bucket, S
from testbed.port.events import run
from testbed.port.pipeline import Pipeline, stages
from testbed.port.queues import Queue
from testbed.port.stage import Arrival
from testbed.slices.bounds import Bound, Flow, Hop, bounds

MBIT = 1_000_000
RATE_BPS = 100 * MBIT
ACCESS_BPS = 1000 * MBIT
FULL_BYTES = 1538
STEPS = 60
"""Moves of a search."""


@dataclass(frozen=True)
class Net:
    """Ports and flows that keep to their token buckets; the first is asked for."""

    ports: Mapping[str, Pipeline]
    flows: tuple[Flow, ...]


def port(rate_bps: int, *queues: Queue, delay_ns: int = 0) -> Pipeline:
    return Pipeline(stages=stages(rate_bps, delay_ns=delay_ns, queues=queues))


def flow(
    id_: str, names: Sequence[str], packets: int, rate_bps: int, queue: int = 0, size: int = 0
) -> Flow:
    """Packets of one size; the first port is its host's and has no queues."""
    bits = 8 * (size or FULL_BYTES)
    hops = tuple(Hop(name, queue if number else 0) for number, name in enumerate(names))
    return Flow(id_, hops, Bucket(packets * bits, rate_bps), packets, bits, bits, bits)


def low(count: int) -> Net:
    """Ten packets at 7 Mbit/s behind twenty at 25 Mbit/s of a higher level."""
    queues = Queue(id=1, level=1), Queue(id=2, level=0)
    names = [f"p{n}" for n in range(count)]
    ports = {name: port(RATE_BPS, *queues, delay_ns=5_000) for name in names}
    ports |= {f"h{n}": port(ACCESS_BPS) for n in range(2)}
    own = flow("own", ["h0", *names], 10, 7 * MBIT, 1)
    high = flow("high", ["h1", *names], 20, 25 * MBIT, 2)
    return Net(ports, (own, high))


def low_ns(net: Net) -> float:
    """The best known bound."""
    own, high = (one.burst for one in net.flows)
    assert own is not None
    assert high is not None
    ahead = own.bits + high.bits - 8 * FULL_BYTES
    return ahead * S / (RATE_BPS - high.bps) + _alone_ns(net)


def sink(count: int) -> Net:
    """At each port three packets more, with all rates together 75 % of the last."""
    names = [f"p{n}" for n in range(count)]
    ports = {name: port(RATE_BPS, delay_ns=5_000) for name in names}
    ports |= {f"h{n}": port(ACCESS_BPS) for n in range(count + 1)}
    each = 75 * MBIT // (count + 1)
    own = flow("own", ["h0", *names], 3, each)
    joining = [flow(f"f{n}", [f"h{n + 1}", *names[n:]], 3, each) for n in range(count)]
    return Net(ports, (own, *joining))


def sink_ns(net: Net) -> float:
    left, waits = RATE_BPS, 0.0
    own, *joining = (one.burst for one in net.flows)
    for burst in reversed(joining):
        assert burst is not None
        waits += burst.bits * S / left
        left -= burst.bps
    assert own is not None
    return waits + (own.bits - 8 * FULL_BYTES) * S / left + _alone_ns(net)


def _alone_ns(net: Net) -> float:
    """What a packet takes that meets no other."""
    ports = [net.ports[hop.port] for hop in net.flows[0].hops]
    return sum(8 * FULL_BYTES * S / (p.rate_bps or 1) + p.delay_ns for p in ports)


def tree(seed: int) -> Net:
    """A tree of switches, so that no port waits for itself, and flows between hosts on it."""
    draw = random.Random(seed)
    switches = nx.random_labeled_tree(draw.randint(2, 8), seed=seed)
    kind = draw.choice(("fifo", "strict_priority", "htb", "turns"))
    ports = {}
    for a, b in switches.edges:
        for tail, head in ((a, b), (b, a)):
            rate = draw.choice((1, 1, 2)) * RATE_BPS
            queues = _queues(kind, rate, draw)
            ports[f"{tail}>{head}"] = port(rate, *queues, delay_ns=draw.randint(0, 50_000))
    flows = []
    ways = [
        (a, b) for a in switches for b in switches if nx.shortest_path_length(switches, a, b) > 1
    ] or [tuple(next(iter(switches.edges)))]
    load: dict[str, int] = {}
    for number in range(draw.randint(2, 9)):
        nodes = nx.shortest_path(switches, *draw.choice(ways))
        cut = draw.randint(0, len(nodes) - 2) if number else 0
        names = [f"{tail}>{head}" for tail, head in pairwise(nodes[cut:])]
        rate = draw.choice((2, 5, 10, 20)) * MBIT
        if any(load.get(name, 0) + rate > 0.85 * RATE_BPS for name in names):
            continue
        load |= {name: load.get(name, 0) + rate for name in names}
        ports[f"h{number}"] = port(ACCESS_BPS)
        queue = 0 if kind == "fifo" else draw.randint(1, 3)
        size = draw.choice((100, 700, FULL_BYTES))
        flows.append(
            flow(f"f{number}", [f"h{number}", *names], draw.randint(1, 12), rate, queue, size)
        )
    return Net(ports, tuple(flows))


def _queues(kind: str, rate: int, draw: random.Random) -> tuple[Queue, ...]:
    if kind == "fifo":
        return ()
    levels = {"turns": (0, 0, 1)}.get(kind, (0, 1, 2))
    promised = rate // 10 if kind == "htb" else 0
    return tuple(
        Queue(
            id=number,
            level=level,
            promised_bps=promised,
            quantum_bytes=draw.choice((1538, 3076)),
        )
        for number, level in enumerate(levels, start=1)
    )


# The search


def worst_ns(net: Net, seed: int, steps: int = STEPS) -> int:
    """The longest that a packet of the first flow was found to take."""
    draw = random.Random(seed)
    span = 1_000_000
    best = {one.id: draw.randint(0, span) for one in net.flows}
    most = _played(net, best)
    for step in range(steps):
        moved = dict(best)
        one = draw.choice(net.flows).id
        reach = span // (1 + step // 10)
        moved[one] = max(0, moved[one] + draw.randint(-reach, reach))
        if draw.random() < 0.3:  # all together where the flow asked for begins
            moved = dict.fromkeys(best, best[net.flows[0].id])
            moved[one] += draw.randint(0, 100_000)
        found = _played(net, moved)
        if found >= most:
            best, most = moved, found
    return most


def _played(net: Net, begin_ns: Mapping[str, int]) -> int:
    """The longest that the first flow's packets take, each flow beginning at its moment."""
    at: dict[str, list[int]] = {}
    sent: dict[str, list[int]] = {}
    for one in net.flows:
        at[one.id] = list(_moments(one, begin_ns[one.id]))
        sent[one.id] = list(at[one.id])
    before: dict[str, set[str]] = {}
    for one in net.flows:
        for a, b in pairwise(hop.port for hop in one.hops):
            before.setdefault(b, set()).add(a)
    passing: dict[str, list[tuple[Flow, Hop]]] = {}
    for one in net.flows:
        for hop in one.hops:
            passing.setdefault(hop.port, []).append((one, hop))
    for name in TopologicalSorter({p: before.get(p, set()) for p in passing}).static_order():
        here = sorted(
            (time_ns, one.id, number, one.largest_bits // 8, hop.queue)
            for one, hop in passing[name]
            for number, time_ns in enumerate(at[one.id])
        )
        fates = run(net.ports[name], [Arrival(t, size, q) for t, _, _, size, q in here])
        for (_, id_, number, _, _), fate in zip(here, fates, strict=True):
            assert fate.delivery_ns is not None
            at[id_][number] = fate.delivery_ns
    own = net.flows[0].id
    return max(there - here for there, here in zip(at[own], sent[own], strict=True))


def _moments(one: Flow, begin_ns: int) -> Iterator[int]:
    """A burst, and half as many packets again as early as the bucket lets them."""
    assert one.burst is not None
    gap_ns = -(-one.largest_bits * S // one.burst.bps)
    yield from (begin_ns for _ in range(one.packets))
    yield from (begin_ns + n * gap_ns for n in range(1, 2 + one.packets // 2))


def main() -> int:
    parser = argparse.ArgumentParser(description="Bounds of ports in a row.")
    parser.add_argument("--networks", type=int, default=200)
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    over = 0
    for name, build, best in (("low", low, low_ns), ("sink", sink, sink_ns)):
        for count in (2, 5, 10):
            net = build(count)
            bound = bounds(net.ports, net.flows)["own"]
            assert isinstance(bound, Bound)
            worst = worst_ns(net, count, 5 * STEPS)
            over += worst > bound.latency_ns
            console.print(
                f"{name}, {count} ports: bound {bound.latency_ns / 1e6:.3f} ms, "
                f"{bound.latency_ns / best(net):.2f} of the best known; "
                f"worst found {worst / 1e6:.3f} ms, {worst / bound.latency_ns:.2f} of the bound"
            )
    tight = []
    for seed in range(asked.networks):
        net = tree(seed)
        found = bounds(net.ports, net.flows)[net.flows[0].id]
        assert isinstance(found, Bound), seed
        tight.append(worst_ns(net, seed) / found.latency_ns)
    over += sum(share > 1 for share in tight)
    low_, median, high = np.quantile(tight, (0.05, 0.5, 0.95))
    console.print(
        f"{len(tight)} random networks: worst found / bound 5 % {low_:.2f}, median {median:.2f}, "
        f"95 % {high:.2f}, largest {max(tight):.3f}; {over} over"
    )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
