"""What the lab benchmarks share: a planned line of switches, a timed run, busy processors.

near - x1 - ... - xN - far      fibre between switches
|
g1 ))) u1, u2 ...               terminals, each with a one-way delay of its own,
`-- edge                        and a server beside their switch
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from testbed.lab.base import Lab
from testbed.net.walk import walk_failures
from testbed.plan.compile import compile_plan
from testbed.prepare import Prepared, classes, policy
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.scenario.model import Flow, Probe, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo

HOPS = 6
APP = "site_reach"


class Line(MetroTopo):
    """A line of `hops` switches, and terminals with these one-way delays in us."""

    def build(
        self,
        hops: int = HOPS,
        km: float = 10.0,
        rate: str = "10 Gbit/s",
        delays_us: Sequence[int] = (),
    ) -> None:
        line = [self.switch(f"x{n}") for n in range(1, hops + 1)]
        for a, b in itertools.pairwise(line):
            self.fibre(a, b, km=km, rate=rate)
        for host, at in (("near", line[0]), ("far", line[-1])):
            self.host(host)
            self.lan(host, at, rate=rate)
        if not delays_us:
            return
        self.switch("g1", "gnb")
        self.host("edge")
        self.lan("edge", "g1")
        self.lan("g1", line[0])
        for number, delay_us in enumerate(delays_us, 1):
            self.host(f"u{number}", "ue")
            self.radio(f"u{number}", "g1", uplink=f"{delay_us} us", downlink=f"{delay_us} us")


def probe(
    id_: str, a: str, b: str, *, interval_ns: int, duration_ns: int, phase_ns: int = 0
) -> Probe:
    """Small probes from a to b."""
    return Probe(
        id=id_,
        app=APP,
        terminal=a,
        server=b,
        slice="best-effort",
        interval_ns=interval_ns,
        duration_ns=duration_ns,
        phase_ns=phase_ns,
    )


def flood(rate_bps: int, duration_ns: int) -> Flow:
    """Full-size packets from one end of the line to the other."""
    return Flow(
        id="flood",
        src="near",
        dst="far",
        slice="best-effort",
        kind="flood",
        rate_bps=rate_bps,
        duration_ns=duration_ns,
    )


def prepared(topo: Line, probes: Sequence[Probe], flows: Sequence[Flow] = ()) -> Prepared:
    """A checked plan of a line and what runs on it."""
    network = describe(topo, "line")
    scenario = Scenario(
        experiment="bench",
        question="How exact is the lab, and what does it cost?",
        params={},
        seed=1,
        policy="shortest_path",
        topology=TopologyRef(name="line"),
        slices=(),
        probes=tuple(probes),
        flows=tuple(flows),
    )
    plan = compile_plan(scenario, network, policy(scenario.policy), classes())
    walk_failures(plan)
    return Prepared(scenario=scenario, plan=plan)


class Watch:
    """Looks at a run's progress: when each second of traffic began, by the host's clock."""

    def __init__(self) -> None:
        self.traffic: list[tuple[float, float]] = []
        """Wall and lab seconds."""

    def __call__(self, row: dict[str, Any]) -> None:
        if row["stage"] == "traffic":
            self.traffic.append((time.monotonic(), row["at"]))

    @property
    def wall_s(self) -> float:
        """Wall seconds of the traffic; those of the boot and the plan's set-up are not in it."""
        return self.traffic[-1][0] - self.traffic[0][0]

    @property
    def lab_s(self) -> float:
        return self.traffic[-1][1] - self.traffic[0][1]


class Outcome(NamedTuple):
    run: RunFolder
    watch: Watch


@contextmanager
def ran(what: Prepared, lab: Lab, watch: Watch | None = None) -> Iterator[Outcome]:
    """A finished run in a folder that vanishes with the block. Raises what execute() does."""
    watch = watch or Watch()
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        folder = execute(what, lab, root=Path(root), notes=(), command=sys.argv, show=watch)
        yield Outcome(RunFolder(folder), watch)


@contextmanager
def busy(burners: int) -> Iterator[None]:
    """So many processes that only compute, ended with the block."""
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(burners)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Errors(NamedTuple):
    """Differences to the plan, ns."""

    packets: int
    mean: float
    p999: float
    largest: float


def errors(difference_ns: NDArray[np.float64]) -> Errors:
    """Sizes of the differences; the mean is of sizes too."""
    sizes = np.abs(difference_ns)
    return Errors(
        len(sizes), float(sizes.mean()), float(np.quantile(sizes, 0.999)), float(sizes.max())
    )


def nanoseconds(value: float) -> str:
    """With a unit people read.

    >>> nanoseconds(12.0), nanoseconds(2_345_678)
    ('12 ns', '2.35 ms')
    """
    for unit, size in (("ms", 1e6), ("us", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"
