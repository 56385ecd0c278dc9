"""Bounds in the virtual lab: kept under floods, and a packet beyond one fails the run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import EmulationError
from testbed.lab.virtual import VirtualLab
from testbed.plan.model import Plan
from testbed.prepare import Prepared
from testbed.results.folder import RunFolder
from testbed.run import execute
from tests.emulation.test_exact_run_lab import chain
from tests.legs import with_bounds
from tests.plan.networks import GOLD, MBIT, MS, SILVER, S, app, compiled, flow, probe, scenario

pytestmark = [pytest.mark.lab, pytest.mark.exact]

LAB = VirtualLab()


def plan() -> Prepared:
    """Two slices over three ports of 10 Mbit/s, which a flood fills, and large messages."""
    slices = tuple(msgspec.structs.replace(s, guaranteed_bps=MBIT) for s in (GOLD, SILVER))
    asked = scenario(
        slices=slices,
        warmup_ns=0,
        probes=(
            probe("small", app="app200", duration_ns=3 * S),
            probe("large", app="app5000", slice="silver", terminal="h3", duration_ns=3 * S),
        ),
        flows=(flow(src="h3", kind="flood", rate_bps=12 * MBIT, duration_ns=3 * S),),
    )
    network = chain(100 * MBIT, *(10 * MBIT,) * 3)
    apps = {f"app{n}": app(f"app{n}", size_bytes=n, interval_ns=17 * MS) for n in (200, 5000)}
    made = compiled(LowestDelay(), asked, network, **apps)
    return Prepared(scenario=asked, plan=made)


def run(root: Path, prepared: Prepared) -> Path:
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    return execute(
        prepared, LAB, root=root, notes=(), command=(), show=lambda *_: None, timeout_s=200
    )


def lowered(plan: Plan, below_ns: int) -> Plan:
    """The first session's bound, less than a packet of the flood at one port."""
    first, *others = plan.sessions
    assert first.legs[0].bound is not None
    bound = msgspec.structs.replace(
        first.legs[0].bound, latency_ns=first.legs[0].budget.total_ns + below_ns
    )
    first = with_bounds(first, bound)
    return msgspec.structs.replace(plan, sessions=(first, *others))


def test_kept_to_the_bound_and_not_far_below(tmp_path: Path) -> None:
    prepared = plan()
    assert len(prepared.plan.backlog_bounds) > 4
    summary = RunFolder(run(tmp_path, prepared)).summary
    assert list(summary["bound"]) == ["kept", "kept"]
    used = summary["max_ns"] / summary["bound_ns"]
    print("longest / bound:", *(f"{share:.2f}" for share in used))
    assert (used <= 1).all()
    assert (used > 0.3).all()


def test_beyond_the_bound_the_run_fails_and_is_kept(tmp_path: Path) -> None:
    prepared = plan()
    wrong = msgspec.structs.replace(prepared, plan=lowered(prepared.plan, 100_000))
    with pytest.raises(EmulationError, match="more than its bound"):
        run(tmp_path, wrong)
    (kept,) = tmp_path.glob("*/*/0-provenance.json")
    assert RunFolder(kept.parent).provenance.status == "failed"
    assert "exceeded" in set(RunFolder(kept.parent).summary["bound"])
