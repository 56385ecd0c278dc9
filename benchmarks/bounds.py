"""Delay bounds against the worst packet, over random networks with random slices.

    python -m benchmarks.bounds                 200 plans with the reference model, 10 in the lab
    python -m benchmarks.bounds --lab 50

Each seed is a random connected network of routers with a host at each, one of which is the
server; random slices, priorities, scheduler and rates, all within what was admitted. Every
plan is computed with the event model of a port (testbed/port/events.py), those of the
first seeds are also run in the virtual lab. Tightness is the largest delay measured over
the bound, a session each.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import networkx as nx
import numpy as np
from rich.console import Console

from benchmarks.isolation import Packet, flood_packets, predicted
from testbed.lab.virtual import VirtualLab
from testbed.net.walk import walk_failures
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.prepare import Prepared, classes, policy
from testbed.probes.schedule import moments
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.scenario.model import Flow, Probe, Slice, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo

RATE_BPS = 100_000_000
DURATION_NS = 1_000_000_000


class RandomNet(MetroTopo):
    """Routers r0, r1 ... in a random connected graph; h0 is the server."""

    def build(self, seed: int = 1) -> None:
        draw = random.Random(seed)
        size = draw.randint(3, 8)
        graph = nx.random_labeled_tree(size, seed=seed)
        for _ in range(draw.randint(0, size)):
            graph.add_edge(*draw.sample(range(size), 2))
        for node in sorted(graph):
            self.switch(f"r{node}", "router")
            self.host(f"h{node}", "compute" if node == 0 else "host")
            self.lan(f"h{node}", f"r{node}", rate="1 Gbit/s")
        for a, b in sorted(graph.edges):
            self.fibre(f"r{a}", f"r{b}", km=draw.uniform(1, 40), rate=f"{RATE_BPS} bit/s")


def random_plan(seed: int) -> Prepared:
    """All of a seed's traffic goes to h0 and fits in 80 % of one port together."""
    draw = random.Random(-seed)
    network = describe(RandomNet(seed=seed), f"random-{seed}")
    hosts = [node.name for node in network.nodes if node.role == "host" and node.name != "h0"]
    ids = [f"s{n}" for n in range(draw.randint(2, 4))]
    share = 0.8 / len(ids)
    slices = tuple(
        Slice(id=id_, sst=1, priority=10 * n + 10, guaranteed_bps=round(share * RATE_BPS))
        for n, id_ in enumerate(ids)
    )
    probes = tuple(
        Probe(
            id=f"{id_}-{host}",
            app="site_reach",
            terminal=host,
            server="h0",
            slice=id_,
            interval_ns=draw.randint(5_000_000, 9_000_000),
            size_bytes=draw.choice((64, 256, 1000)),
            duration_ns=DURATION_NS,
        )
        for id_ in ids
        for host in draw.sample(hosts, min(2, len(hosts)))
    )
    flows = tuple(
        Flow(
            id=f"load-{id_}-{host}",
            src=host,
            dst="h0",
            slice=id_,
            kind="flood",
            rate_bps=round(draw.uniform(0.3, 0.7) * share * RATE_BPS / len(hosts)),
            packet_bytes=draw.choice((200, 800, 1448)),
            duration_ns=DURATION_NS,
        )
        for id_ in ids
        for host in hosts
    )
    scenario = Scenario(
        experiment="bounds",
        question="Does any conforming packet take longer than its bound?",
        params={},
        seed=seed,
        policy="lowest_delay",
        topology=TopologyRef(name=network.name),
        slices=slices,
        probes=probes,
        flows=flows,
        scheduler=draw.choice(("htb", "strict_priority")),
        warmup_ns=0,
    )
    plan = compile_plan(scenario, network, policy(scenario.policy), classes())
    walk_failures(plan)
    return Prepared(scenario=scenario, plan=plan)


def modelled(plan: Plan) -> dict[str, int]:
    """Session -> its largest forward delay, ns, by the reference model."""
    packets = [packet for load in plan.loads for packet in flood_packets(load)]
    sent = {}
    for session in plan.sessions:
        for number, at_ns in enumerate(moments(session)):
            sent[session.id, number] = at_ns
            packets.append(Packet(at_ns, session.id, number, session.size_bytes, session.paths[0]))
    arrived = predicted(plan, packets)
    largest: dict[str, int] = {}
    for (owner, number), at_ns in sent.items():
        delay_ns = arrived[owner, number] - at_ns
        largest[owner] = max(largest.get(owner, 0), delay_ns)
    return largest


def measured(what: Prepared) -> dict[str, int]:
    """The same in the virtual lab."""
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        folder = execute(
            what,
            VirtualLab(),
            root=Path(root),
            notes=(),
            command=sys.argv,
            show=lambda _: None,
        )
        samples = RunFolder(folder).samples
        got = samples[~samples["lost_forward"]].groupby("session")["forward_ns"].max()
        return {str(name): int(value) for name, value in got.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Bounds against the worst packet.")
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--lab", type=int, default=10, help="of them in the lab")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    over, tight = 0, {"model": list[float](), "lab": list[float]()}
    differs, sessions = 0, 0
    for seed in range(1, asked.plans + 1):
        what = random_plan(seed)
        model = modelled(what.plan)
        lab = measured(what) if seed <= asked.lab else {}
        for session in what.plan.sessions:
            assert session.legs[0].bound is not None
            bound_ns = session.legs[0].bound.latency_ns
            assert bound_ns is not None, session.legs[0].bound.assumptions
            sessions += 1
            for name, found in (("model", model), ("lab", lab)):
                if session.id in found:
                    tight[name].append(found[session.id] / bound_ns)
                    over += found[session.id] > bound_ns
        differs += sum(model[name] != value for name, value in lab.items())
    for name, values in tight.items():
        if values:
            low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
            console.print(
                f"{name}: {len(values)} sessions, largest delay / bound: 5 % {low:.2f}, "
                f"median {median:.2f}, 95 % {high:.2f}, largest {max(values):.3f}"
            )
    console.print(
        f"seeds 1 to {asked.plans}: {over} sessions with a packet over the bound; of those run in "
        f"the lab, {differs} have another largest delay than the model's"
    )
    return 1 if over or differs else 0


if __name__ == "__main__":
    sys.exit(main())
