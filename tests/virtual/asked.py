"""A small scenario with everything that could make two runs differ.

h1 - s1 - s2 - h2       a flood, a Poisson session, a session over a link that loses
          |
h3 - s3 --+  s4 - h4    a periodic session under a flood, their phases fixed: nothing random
      `------'
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.lab.base import Lab
from testbed.lab.choice import LABS
from testbed.plan.compile import compile_plan
from testbed.prepare import Prepared, classes, policy
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.scenario.model import Capture, Flow, Probe, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo

SECOND = 10**9


class TwoPaths(MetroTopo):
    def build(self) -> None:
        for n in range(1, 5):
            self.switch(f"s{n}")
            self.host(f"h{n}")
            self.lan(f"h{n}", f"s{n}", rate="1 Gbit/s")
        self.fibre("s1", "s2", km=10, rate="10 Mbit/s", loss_percent=5)
        self.fibre("s2", "s3", km=10, rate="10 Mbit/s")
        self.fibre("s3", "s4", km=10, rate="10 Mbit/s")


def asked(seed: int = 1, seconds: int = 4, *, captures: bool = False) -> Prepared:
    """The plan of that scenario."""

    def probe(app: str, a: str, b: str, phase_ns: int | None = None) -> Probe:
        return Probe(
            id=app,
            app=app,
            terminal=a,
            server=b,
            slice="best-effort",
            interval_ns=11_000_000,
            phase_ns=phase_ns,
            duration_ns=seconds * SECOND,
        )

    def flood(id_: str, a: str, b: str, phase_ns: int | None = None) -> Flow:
        return Flow(
            id=id_,
            src=a,
            dst=b,
            slice="best-effort",
            kind="flood",
            rate_bps=11_000_000,
            phase_ns=phase_ns,
            duration_ns=seconds * SECOND,
        )

    scenario = Scenario(
        experiment="two_paths",
        question="Is it the same again?",
        params={},
        seed=seed,
        policy="shortest_path",
        topology=TopologyRef(name="two_paths"),
        slices=(),
        flows=(flood("random", "h1", "h2"), flood("steady", "h3", "h4", 0)),
        probes=(
            probe("hft_order", "h1", "h2"),
            probe("llm_chat", "h1", "h2"),
            probe("uav_c2_stick", "h3", "h4", 0),
        ),
        captures=(Capture(node="h4", peer="s4"), Capture(node="s1", peer="s2")) if captures else (),
    )
    network = describe(TwoPaths(), "two_paths")
    plan = compile_plan(scenario, network, policy(scenario.policy), classes())
    return Prepared(scenario=scenario, plan=plan)


def run(
    what: Prepared,
    root: Path,
    *,
    lab: Lab = LABS["virtual"],
    show: Callable[[dict[str, Any]], None] = lambda _: None,
    timeout_s: float | None = None,
) -> RunFolder:
    """Its run in the virtual lab."""
    folder = execute(what, lab, root=root, notes=(), command=(), show=show, timeout_s=timeout_s)
    return RunFolder(folder)
