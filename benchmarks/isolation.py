"""Who hurts whom: every slice flooded, every slice measured, under every scheduler.

    python -m benchmarks.isolation        two minutes or so

Runs the experiment slice_isolation in the virtual lab, and computes the same run with the
reference model of a port (testbed/port/events.py): what the flood's sender sends by
its schedule and every probe as it was sent, through all ports of their paths. A cell of
the table is the largest one-way delay of a slice above its budget; the last column is the
largest difference between lab and model over all probes that arrived.
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
from rich.console import Console
from rich.table import Table

from testbed.frames import UDP_HEADERS_BYTES, label_bytes
from testbed.lab.virtual import VirtualLab
from testbed.net.paths import Path as Way
from testbed.plan.model import Load, Plan
from testbed.plan.pacing import by_clock, stretched
from testbed.port.background import arrivals
from testbed.port.events import run
from testbed.port.stage import Arrival
from testbed.prepare import prepare
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.traffic.kinds.flood import FLOOD_TICK_NS
from testbed.units import show_ns

SLICES = ("surgery", "video", "bulk")
SCHEDULERS = ("fifo", "htb", "strict_priority", "time_aware")
POLICED = ("fifo", "strict_priority")
"""Schedulers that a flood gets the better of, unless it is policed where it enters."""


class Packet(NamedTuple):
    """One packet where it enters the network; the time is from the start of traffic."""

    time_ns: int
    owner: str
    number: int
    payload_bytes: int
    way: Way


def flood_packets(load: Load) -> Iterator[Packet]:
    """What testbed/traffic/constant.py sends of a flood when it is never late."""
    bits_ns, slow = load.packet_bytes * 8_000_000_000, load.drift_ppb
    sent = now_ns = due_ns = 0
    while due_ns < load.duration_ns:
        while due_ns <= now_ns and due_ns < load.duration_ns:
            moment_ns = load.start_ns + now_ns
            yield Packet(moment_ns, load.id, sent, load.packet_bytes, load.path)
            sent += 1
            due_ns = stretched(sent * bits_ns // load.rate_bps, slow)
        tick_ns = stretched(by_clock(now_ns, slow) + FLOOD_TICK_NS, slow)
        now_ns = min(max(due_ns, tick_ns), load.duration_ns)


def predicted(plan: Plan, packets: list[Packet]) -> dict[tuple[str, int], int]:
    """(owner, number) -> when the packet is at its host, of those that get there."""
    return {which: moments[-1] for which, moments in followed(plan, packets).items()}


def followed(plan: Plan, packets: list[Packet]) -> dict[tuple[str, int], list[int]]:
    """(owner, number) -> when the packet is sent, and then at each node of its way, of those that
    get to the last one."""
    order = nx.DiGraph(
        pair
        for nodes in {packet.way.nodes for packet in packets}
        for pair in pairwise(list(pairwise(nodes)))
    )
    at = {(packet.owner, packet.number): [packet.time_ns] for packet in packets}
    for node, peer in nx.topological_sort(order):
        port = plan.port(node, peer)
        here = [p for p in packets if (p.owner, p.number) in at and (node, peer) in _hops(p.way)]
        here.sort(key=lambda p: at[p.owner, p.number][-1])
        offered = []
        for p in here:
            hop = p.way.nodes.index(node)
            label = label_bytes(hop, p.way.nodes, p.way.label is not None)
            size = p.payload_bytes + UDP_HEADERS_BYTES + label
            queue = p.way.queue if port.queues or port.policers else 0
            offered.append(Arrival(at[p.owner, p.number][-1], size, queue))
        fates = run(port, offered, arrivals(*port.sources))
        for p, fate in zip(here, fates, strict=True):
            if fate.delivery_ns is None:
                del at[p.owner, p.number]
            else:
                at[p.owner, p.number].append(fate.delivery_ns)
    return at


def _hops(way: Way) -> set[tuple[str, str]]:
    return set(pairwise(way.nodes))


class Cell(NamedTuple):
    """One slice in one run: how far its delays are above the budget, ns."""

    above_ns: float
    lost: float
    differs_ns: float
    """From the model; +inf if the two lost different packets."""


def measured(run_: RunFolder) -> dict[str, Cell]:
    """Each slice's cell, by the id of its probe."""
    plan, samples = run_.plan, run_.samples
    probes: list[Packet] = []
    for session in plan.sessions:
        rows = samples[samples["session"] == session.id]
        for number, sent_ns in zip(rows["seq"], rows["sent_ns"], strict=True):
            probes.append(
                Packet(int(sent_ns), session.id, int(number), session.size_bytes, session.paths[0])
            )
    floods = [list(flood_packets(load)) for load in plan.loads]
    arrived = predicted(plan, list(heapq.merge(probes, *floods, key=lambda p: p.time_ns)))
    cells = {}
    for session in plan.sessions:
        rows = samples[samples["session"] == session.id]
        got = rows[~rows["lost_forward"]]
        model = np.array(
            [
                arrived.get((session.id, int(number)), -1) - int(sent_ns)
                for number, sent_ns in zip(got["seq"], got["sent_ns"], strict=True)
            ]
        )
        real = got["forward_ns"].to_numpy(float)
        same = len(got) == sum(owner == session.id for owner, _ in arrived)
        differs = float(np.abs(real - model).max(initial=0)) if same else float("inf")
        above = float((real - session.legs[0].budget.total_ns).max(initial=0))
        cells[session.id] = Cell(above, float(rows["lost_forward"].mean()), differs)
    return cells


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 130)
    table = Table(title="largest one-way delay above the budget, and loss, while one is flooded")
    for heading in ("scheduler", "flooded", *SLICES, "lab - model"):
        table.add_column(
            heading, justify="left" if heading in ("scheduler", "flooded") else "right"
        )
    lab = VirtualLab()
    worst = 0.0
    for scheduler, police in [
        *((name, False) for name in SCHEDULERS),
        *((name, True) for name in POLICED),
    ]:
        for flooded in SLICES:
            asked = {
                "scheduler": scheduler,
                "flooded": flooded,
                "police": police,
                "duration": "3 s",
            }
            what = prepare("slice_isolation", asked)
            with tempfile.TemporaryDirectory(prefix="bench-") as root:
                folder = execute(
                    what, lab, root=Path(root), notes=(), command=sys.argv, show=lambda _: None
                )
                cells = measured(RunFolder(folder))
            differs = max(cell.differs_ns for cell in cells.values())
            worst = max(worst, differs)
            table.add_row(
                scheduler + (" + policing" if police else ""),
                flooded,
                *(_cell(cells[name], name == flooded) for name in SLICES),
                f"{differs:.0f} ns",
            )
        table.add_section()
    console.print(table)
    return 0 if worst <= 1000 else 1


def _cell(cell: Cell, flooded: bool) -> str:
    text = show_ns(round(cell.above_ns)) + (f", {cell.lost:.0%} lost" if cell.lost else "")
    return f"({text})" if flooded else text


if __name__ == "__main__":
    sys.exit(main())
