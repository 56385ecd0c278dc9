"""Ports that tell their depth each millisecond do so in no time: no packet is a nanosecond late."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.lab.virtual import VirtualLab
from testbed.prepare import Prepared
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.scenario import events
from testbed.scenario.model import Flow
from tests.plan.networks import GOLD, MS, S, app, compiled, probe, scenario, triangle

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

LAB = VirtualLab()


def run(root: Path, every_ns: int | None) -> RunFolder:
    """The triangle for 2 s; a flood of 1.5 times the rate of its links, and a cut."""
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    flood = Flow(
        id="flood", src="h1", dst="h2", slice="best-effort", kind="flood",
        rate_bps=30_000_000, duration_ns=2 * S,
    )  # fmt: skip
    cut = msgspec.structs.replace(events.cut_fibre("s3", "s2"), at_ns=1000 * MS)
    gold = msgspec.structs.replace(GOLD, protection="fast_failover")
    asked = scenario(
        slices=(gold,),
        probes=(probe(duration_ns=2 * S),),
        flows=(flood,),
        events=(cut,),
        warmup_ns=0,
        sample_ports_ns=every_ns,
    )
    plan = compiled(LowestDelay(), asked, triangle(20_000_000), app=app(interval_ns=MS))
    prepared = Prepared(scenario=asked, plan=plan)
    return RunFolder(
        execute(prepared, LAB, root=root, notes=(), command=(), show=lambda *_: None, timeout_s=300)
    )


def test_no_packet_takes_longer_while_ports_are_asked(tmp_path: Path) -> None:
    asked, plain = run(tmp_path / "asked", MS), run(tmp_path / "plain", None)
    assert plain.port_samples is None
    assert asked.samples.equals(plain.samples), "the same bytes"
    found = asked.port_samples
    assert found is not None
    moments = found["at_ns"].unique()
    assert len(moments) >= 1900
    assert all(at % MS == 0 for at in moments), "each at its moment"
    ends = {p["name"]: p for p in asked.record("4-control.json")["ports"]}
    last = found.groupby(["port", "queue"]).last()
    for (name, number), row in last.iterrows():
        (queue,) = [
            q for q in ends[name]["queues"] or [ends[name] | {"id": 0}] if q["id"] == number
        ]
        assert queue["sent_bytes"] - row["bytes"] >= 0
    grown = found.groupby(["port", "queue"])[["packets", "bytes", "drops"]].diff().dropna()
    assert (grown >= 0).all().all(), "counts never fall"
    assert found["backlog_bytes"].max() > 0
