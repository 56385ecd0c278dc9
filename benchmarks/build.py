"""How long a network takes to build, start and stop: ours beside stock Mininet's.

    testbed exec --lab wall -- python3 -m benchmarks.build [--runs 3] [--sizes 8 16]

Both sides make Mininet's own `linear,N`, every link 100 Mbit/s and 1 ms, on kernel
Open vSwitch bridges of one and the same Open vSwitch, without a controller, turn about
in the same lab. Timed are building and starting, and stopping. In between, not timed, a
rule in each switch and one ping from end to end prove that the network forwards. Ours
also makes static ARP entries and reads every queue back; stock Mininet does neither.

Then a tree and a mesh of 200 switches and 400 hosts, ours alone: time and memory. Times
need a lab in real time; planning is done beforehand and is not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from testbed.emulation.network import LabNet
from testbed.emulation.ovs import Ovs, running_ovs, start_ovs
from testbed.errors import TestbedError
from testbed.plan.model import Plan
from testbed.plan.wiring import wire
from testbed.topology.describe import describe

from mininet.link import TCLink  # isort: skip - after nodes, which spares it distutils
from mininet.net import Mininet  # isort: skip
from mininet.node import OVSSwitch  # isort: skip
from mininet.topo import LinearTopo, Topo  # isort: skip

LINK = {"bw": 100, "delay": "1ms"}


class Times(NamedTuple):
    """Seconds."""

    start: float
    stop: float

    @property
    def cycle(self) -> float:
        return self.start + self.stop


class Mesh(Topo):
    """A tree of switches, each with two hosts; with `ring`, neighbours are linked too."""

    def build(self, switches: int = 200, *, ring: bool = False) -> None:
        names = [self.addSwitch(f"s{n}") for n in range(1, switches + 1)]
        for n, name in enumerate(names):
            if n:
                self.addLink(name, names[(n - 1) // 3])
            if ring and n and (n - 1) // 3 != n - 1:
                self.addLink(name, names[n - 1])
            for side in "ab":
                self.addLink(self.addHost(f"h{n + 1}{side}"), name)


def shaped(topo: Topo) -> Topo:
    """The topology, each of its links with LINK."""
    for _, _, info in topo.links(withInfo=True):
        info.update(LINK)
    return topo


def plan_of(topo: Topo, name: str) -> Plan:
    """A plan without rules: what the emulation needs of it."""
    wiring = wire(describe(shaped(topo), name))
    return Plan(
        experiment=name,
        seed=0,
        policy="none",
        hosts=wiring.hosts,
        switches=wiring.switches,
        ports=wiring.ports,
        rules=(),
    )


def timed(make: Callable[[], Any]) -> Times:
    """Make a network, prove that it forwards, and stop it."""
    begun = time.monotonic()
    net = make()
    net.start()
    started = time.monotonic()
    try:
        prove(net)
    finally:
        stopping = time.monotonic()
        net.stop()
        stopped = time.monotonic()
    return Times(started - begun, stopped - stopping)


def prove(net: Any) -> None:
    """One ping from the first host to the last must be answered."""
    for switch in net.switches:
        command = ["ovs-ofctl", "-O", "OpenFlow13,OpenFlow10", "add-flow"]
        subprocess.run([*command, switch.name, "actions=normal"], check=True)
    first, last = net.hosts[0], net.hosts[-1]
    answer = first.popen(["ping", "-c", "1", "-W", "5", last.IP()])
    said, _ = answer.communicate()
    if answer.returncode:
        sys.exit(f"{first.name} does not reach {last.name}: {said.decode()}")


def compare(size: int, runs: int, ovs: Ovs) -> dict[str, Any]:
    """Both sides turn about, `runs` times."""
    plan = plan_of(LinearTopo(k=size), f"linear,{size}")
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: LabNet(plan, ovs=ovs),
        "stock": lambda: Mininet(
            topo=LinearTopo(k=size),
            link=partial(TCLink, **LINK),
            switch=OVSSwitch,
            controller=None,
        ),
    }
    times: dict[str, list[Times]] = {side: [] for side in sides}
    for _ in range(runs):
        for side, make in sides.items():
            times[side].append(timed(make))
            print(f"  linear,{size} {side:5} {_row(times[side][-1])}", flush=True)
    ours, stock = times["ours"], times["stock"]
    ratios = {
        what: statistics.median(getattr(t, what) for t in stock)
        / statistics.median(getattr(t, what) for t in ours)
        for what in ("start", "stop", "cycle")
    }
    print(
        f"linear,{size}: build+start {ratios['start']:.1f} times, "
        f"full cycle {ratios['cycle']:.1f} times faster (medians of {runs})",
        flush=True,
    )
    return {
        "size": size,
        **{side: [t._asdict() for t in of] for side, of in times.items()},
        "ratios": ratios,
    }


def large(name: str, topo: Topo, ovs: Ovs) -> dict[str, Any]:
    """Build a large network, and say what it takes."""
    begun = time.monotonic()
    plan = plan_of(topo, name)
    planned = time.monotonic()
    free = _memory_kb("MemAvailable")
    net = LabNet(plan, ovs=ovs)
    net.build()
    built = time.monotonic()
    net.start()
    started = time.monotonic()
    used_mb = (free - _memory_kb("MemAvailable")) / 1024
    size = f"{len(net.switches)} switches, {len(net.hosts)} hosts, {len(net.links)} links"
    stopping = time.monotonic()
    net.stop()
    result = {
        "name": name,
        "size": size,
        "plan_s": planned - begun,
        "build_s": built - planned,
        "start_s": started - built,
        "stop_s": time.monotonic() - stopping,
        "memory_mb": used_mb,
    }
    print(
        f"{name} ({size}): built in {result['build_s']:.2f} s, started in "
        f"{result['start_s']:.2f} s, stopped in {result['stop_s']:.2f} s, "
        f"{used_mb:.0f} MB of the lab's memory",
        flush=True,
    )
    return result


def _memory_kb(field: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, value = line.split(":")
        if key == field:
            return int(value.split()[0])
    raise KeyError(field)


def _row(times: Times) -> str:
    return f"build+start {times.start:6.2f} s  stop {times.stop:6.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each side")
    parser.add_argument("--sizes", type=int, nargs="*", default=[8, 16], help="of linear,N")
    parser.add_argument("--switches", type=int, default=200, help="of the large ones; 0: none")
    parser.add_argument("--json", type=Path, help="write all times to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ovs-") as folder:
        ovs = running_ovs() or start_ovs(Path(folder))
        try:
            compare(1, 1, ovs)  # loads kernel modules, which neither side is charged for
            found = {
                "linear": [compare(size, args.runs, ovs) for size in args.sizes],
                "large": [
                    large(name, Mesh(args.switches, ring=ring), ovs)
                    for name, ring in (("tree", False), ("mesh", True))
                    if args.switches
                ],
            }
        finally:
            ovs.stop()
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    try:
        main()
    except TestbedError as error:
        sys.exit(str(error))
