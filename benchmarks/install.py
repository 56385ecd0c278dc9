"""How long slice paths take to plan and to install: one buffer a switch, or a message a rule.

    testbed exec --lab wall -- python3 -m benchmarks.install [--paths 2 10 100 1000]

Random sessions, of two paths each, over 50 switches and 100 links with 7 slices. The time
of an install is the controller's own: from the first switch that connects to the last
barrier. It is taken three ways by the same controller on the same Open vSwitch:

    one buffer        a switch's deletion, rules and barriers in one buffer, encoded before
    message a rule    a rule is encoded and sent at a time, and a barrier at the end
    barrier a rule    the next rule is sent when the switch has confirmed the one before
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import networkx as nx

from testbed.emulation.control import STATUS, Controller
from testbed.emulation.network import LabNet
from testbed.emulation.ovs import Ovs, running_ovs, start_ovs
from testbed.errors import TestbedError
from testbed.net.walk import walk_failures
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.prepare import classes, policy
from testbed.scenario.model import Probe, Slice, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.topology.describe import describe
from testbed.topology.topo import MetroTopo

SWITCHES, DEGREE, SLICES, SEED = 50, 4, 7, 1
GOAL_S = 5.0
WAYS = ("one buffer", "message a rule", "barrier a rule")


class Core(MetroTopo):
    """A host at each router of a small-world graph."""

    def build(self) -> None:
        graph = nx.connected_watts_strogatz_graph(SWITCHES, DEGREE, 0.3, seed=SEED)
        for node in graph:
            self.switch(f"r{node}", "router")
            self.host(f"h{node}", "host")
            self.lan(f"h{node}", f"r{node}", rate="10 Gbit/s")
        for a, b in graph.edges:
            self.fibre(f"r{a}", f"r{b}", km=10, rate="10 Gbit/s")


def planned(paths: int) -> Plan:
    """A plan with so many paths, walked."""
    network = describe(Core(), "core")
    draw = random.Random(SEED)
    ends = [draw.sample(range(SWITCHES), 2) for _ in range(paths // 2)]
    scenario = Scenario(
        experiment="install",
        question="How long does it take to install the paths?",
        params={},
        seed=SEED,
        policy="lowest_delay",
        topology=TopologyRef(name=network.name),
        slices=tuple(
            Slice(id=f"s{n}", sst=1, priority=10 * n + 10, guaranteed_bps=10_000_000)
            for n in range(SLICES)
        ),
        probes=tuple(
            Probe(
                id=f"p{number}",
                app="site_reach",
                terminal=f"h{a}",
                server=f"h{b}",
                slice=f"s{number % SLICES}",
                start_ns=0,
                duration_ns=1_000_000_000,
            )
            for number, (a, b) in enumerate(ends)
        ),
        flows=(),
        warmup_ns=0,
    )
    plan = compile_plan(scenario, network, policy(scenario.policy), classes())
    walk_failures(plan)
    return plan


class Installer(Controller):
    """The controller, which installs in a way of its own."""

    def __init__(self, way: str, folder: Path) -> None:
        self._way, self._folder = way, folder
        super().__init__(folder, "127.0.0.1", None)

    def start(self, *, keep: bool = False, repair: bool = True) -> subprocess.Popen[bytes]:
        STATUS.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.install", "--control", self._way]
        command += ["--plan", str(self._folder / "plan.json"), "--status", str(STATUS)]
        self._process = subprocess.Popen(command)
        return self._process


def installed(plan: Plan, way: str, ovs: Ovs) -> float:
    """Seconds from the first switch that connected to the last barrier."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plan.json").write_bytes(msgspec.json.encode(plan))
        controller = Installer(way, Path(folder))
        try:
            net = LabNet(plan, ovs=ovs)
            try:
                net.start()
                controller.wait_listening()
                net.connect(controller.address)
                controller.wait_installed()
                seconds: float = json.loads(STATUS.read_text())["seconds"]
            finally:
                net.stop()
        finally:
            controller.end()
    return seconds


def control(way: str, argv: list[str]) -> int:
    """The controller, with its way of installing replaced."""
    from controllers import encode, launch  # noqa: PLC0415 - only this process has a framework

    if way != WAYS[0]:
        from controllers.compat import handler, ofp, ofp_event, on  # noqa: PLC0415 - as above
        from controllers.slice_app import CONNECTED, SliceApp  # noqa: PLC0415 - as above

        def messages(app: Any, dpid: int) -> Iterator[bytes]:
            batch = app._batches[dpid]
            for xid, rule in enumerate(batch.rules, start=1):
                yield encode.flow_mod(rule, xid)
                if way == WAYS[2]:
                    yield encode.barrier(xid)
            yield encode.barrier(batch.done)

        waiting: dict[int, Iterator[bytes]] = {}

        def send(datapath: Any) -> None:
            for message in waiting[datapath.id]:
                datapath.send(message)
                if way == WAYS[2] and message[1] == ofp.OFPT_BARRIER_REQUEST:
                    return

        connected, confirmed = SliceApp.connected, SliceApp.installed

        @on(ofp_event.EventOFPSwitchFeatures, handler.CONFIG_DISPATCHER)
        def message_by_message(self: Any, event: Any) -> None:
            dpid = event.msg.datapath_id
            self._buffers[dpid] = b""
            connected(self, event)
            waiting[dpid] = messages(self, dpid)
            send(event.msg.datapath)

        @on(ofp_event.EventOFPBarrierReply, *CONNECTED)
        def next_message(self: Any, event: Any) -> None:
            confirmed(self, event)
            send(event.msg.datapath)

        SliceApp.connected = message_by_message  # type: ignore[method-assign]  # the peer
        SliceApp.installed = next_message  # type: ignore[method-assign]  # the peer
    return launch.main(argv)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--paths", type=int, nargs="+", default=[2, 10, 100, 1000])
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ovs-") as folder:
        ovs = running_ovs() or start_ovs(Path(folder))
        try:
            for paths in given.paths:
                began = time.monotonic()
                plan = planned(paths)
                took = time.monotonic() - began
                told = {way: installed(plan, way, ovs) for way in WAYS}
                ours = told[WAYS[0]]
                print(
                    f"{paths:5} paths, {len(plan.rules):6,} rules: planned and walked in "
                    f"{took:.2f} s; "
                    + ", ".join(f"{way} {s:.3f} s ({s / ours:.1f})" for way, s in told.items()),
                    flush=True,
                )
        finally:
            ovs.stop()
    met = took + ours < GOAL_S
    print(f"goal of {GOAL_S:g} s to plan and install the last: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    try:
        if "--control" in sys.argv:
            code = control(sys.argv[2], sys.argv[3:])
            os._exit(code)
        sys.exit(main())
    except TestbedError as error:
        sys.exit(str(error))
