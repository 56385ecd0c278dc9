"""Whole virtual runs under modelled background: Poisson probes wait as M/D/1 says."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from controllers.policies.shortest_path import ShortestPath
from testbed.emulation.readback import PortCounters, Readback
from testbed.errors import EmulationError
from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.lab.base import Lab
from testbed.lab.virtual import VirtualLab
from testbed.lab.wall import WallLab
from testbed.plan.model import Plan
from testbed.port.pipeline import Pipeline
from testbed.prepare import Prepared
from testbed.reference.waiting import md1
from testbed.run import execute
from testbed.topology.model import Network, Node
from tests.plan.networks import MS, S, app, compiled, link, probe, scenario
from tests.plan.test_background import background

pytestmark = [pytest.mark.lab, pytest.mark.exact]

RATE_BPS = 10_000_000_000
BYTES = 1518
SERVICE_S = (BYTES + ETHERNET_OVERHEAD_BYTES) * 8 / RATE_BPS
LOAD = 0.8
PACKETS_PER_S = LOAD * RATE_BPS / (8 * BYTES)
SECONDS = 6
NETWORK = Network(
    name="line",
    nodes=(
        *(Node(name=s, role="switch", kind="router", forwarding_ns=1003) for s in ("s1", "s2")),
        *(Node(name=h, role="host", kind="host") for h in ("h1", "h2", "h3")),
    ),
    links=(
        link("s1", "s2", 10_007, RATE_BPS),
        link("h1", "s1", 0, None),
        link("h2", "s2", 0, None),
        link("h3", "s1", 0, None),
    ),
)


def run(lab: Lab, root: Path) -> tuple[Plan, Path]:
    if lab.missing():
        pytest.skip("; ".join(missing.what for missing in lab.missing()))
    asked = scenario(
        probes=(probe(duration_ns=SECONDS * S),),
        backgrounds=(
            background(src="h3", rate_bps=round(LOAD * RATE_BPS), duration_ns=SECONDS * S),
        ),
    )
    apps = {"app": app(interval_ns=MS, arrivals="poisson")}
    plan = compiled(ShortestPath(), asked, NETWORK, **apps)
    prepared = Prepared(scenario=asked, plan=plan)
    return plan, execute(prepared, lab, root=root, notes=(), command=(), show=lambda *_: None)


def test_poisson_probes_see_md1_and_again_the_same(tmp_path: Path) -> None:
    (plan, one), (_, two) = (run(VirtualLab(), tmp_path) for _ in range(2))
    (session,) = plan.sessions
    rows = pq.read_table(one / "5-samples.parquet").to_pylist()
    waits = [row["forward_ns"] - session.legs[0].budget.total_ns for row in rows]
    assert len(waits) == session.count
    back = {row["reverse_ns"] - session.legs[1].budget.total_ns for row in rows}
    assert back <= {0, 1}  # probes that left back to back come back so: part of a nanosecond
    theory_ns = 1e9 * md1(PACKETS_PER_S, SERVICE_S)
    mean_ns = sum(waits) / len(waits)
    print(f"mean wait {mean_ns:.0f} ns of {len(waits)} probes, M/D/1 {theory_ns:.0f} ns")
    assert min(waits) == 0
    assert mean_ns == pytest.approx(theory_ns, rel=0.05)
    for name in ("5-samples.parquet", "3-readback.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_it_is_read_back_counted_and_told(tmp_path: Path) -> None:
    plan, folder = run(VirtualLab(), tmp_path)
    port = plan.port("s1", "s2")
    back = msgspec.json.decode((folder / "3-readback.json").read_bytes(), type=Readback)
    got = next(p.got for p in back.ports if p.name == port.name)
    (source,) = Pipeline(stages=got.stages).sources
    assert source.seed == port.sources[0].seed
    assert source.stop_ns - source.start_ns == SECONDS * S
    control = json.loads((folder / "4-control.json").read_text())
    ports = msgspec.convert(control["ports"], list[PortCounters])
    (queue,) = next(p.queues for p in ports if p.name == port.name)
    sent = PACKETS_PER_S * SECONDS
    assert queue.background_packets == pytest.approx(sent, rel=0.005)
    assert queue.background_bytes == BYTES * queue.background_packets
    assert queue.background_drops == 0
    rate, note = json.loads((folder / "0-provenance.json").read_text())["notes"]
    assert rate.endswith("policy shortest_path has no queue.")
    assert note.startswith("Modelled background: 8 Gbit/s on 1 port,")


def test_the_wall_lab_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="no modelled background"):
        run(WallLab(), tmp_path)
