"""Failures in the virtual lab: what each protection loses, and that the rest goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.analysis.outage import Outage, outages
from testbed.lab.virtual import VirtualLab
from testbed.net.deltas.reroute import Reroute
from testbed.prepare import Prepared
from testbed.results.folder import RunFolder
from testbed.run import execute
from testbed.scenario import events
from testbed.scenario.events import Event
from testbed.scenario.model import Protection, Recovery
from tests.plan.networks import GOLD, MS, S, app, compiled, probe, scenario, triangle

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

LAB = VirtualLab()
FAST = app(interval_ns=MS)
CONTROL = Recovery(control_delay_ns=2 * MS, decision_ns=MS, wait_to_restore_ns=200 * MS)


def run(
    root: Path, happens: Mapping[int, Event], protection: Protection, **given: Any
) -> tuple[list[Outage], RunFolder]:
    """The triangle for 2 s at 1 kHz; events by ms. Its path is h1 s1 s3 s2 h2."""
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    dated = (msgspec.structs.replace(event, at_ns=at * MS) for at, event in sorted(happens.items()))
    asked = scenario(
        slices=(msgspec.structs.replace(GOLD, protection=protection),),
        probes=(probe(duration_ns=2 * S),),
        events=tuple(dated),
        **{"recovery": CONTROL, "warmup_ns": 0} | given,
    )
    network = triangle()
    plan = compiled(LowestDelay(), asked, network, app=FAST)
    prepared = Prepared(scenario=asked, plan=plan)
    folder = RunFolder(
        execute(prepared, LAB, root=root, notes=(), command=(), show=lambda *_: None, timeout_s=200)
    )
    return outages(folder.plan, folder.samples), folder


CUT = {500: events.cut_fibre("s3", "s2"), 1000: events.mend_fibre("s3", "s2")}
SILENCE = CUT | {500: events.silence_fibre("s3", "s2")}


@pytest.mark.parametrize(
    ("protection", "least", "most"),
    [("none", 499, 501), ("reactive", 9, 14), ("fast_failover", 0, 2), ("frer", 0, 0)],
)
def test_packets_lost_by_a_cut(
    tmp_path: Path, protection: Protection, least: int, most: int
) -> None:
    (cut, mend), folder = run(tmp_path, CUT, protection)
    print(cut, mend)
    assert least <= cut.lost <= most
    # a group goes back to its first bucket at once, past packets still on the detour
    assert (mend.lost, mend.reordered) == (0, int(protection == "fast_failover"))
    copies = set(folder.samples["copies_forward"])
    assert copies <= ({1, 2} if protection == "frer" else {0, 1})
    assert (2 in copies) == (protection == "frer")
    forward_ns = folder.samples["forward_ns"].dropna()
    planned_ns = folder.plan.sessions[0].legs[0].budget.total_ns
    assert forward_ns.iloc[0] == forward_ns.iloc[-1] == planned_ns, "the path itself again"


def test_silence_is_seen_by_bfd_alone(tmp_path: Path) -> None:
    with_bfd = msgspec.structs.replace(CONTROL, bfd_ns=5 * MS)
    (seen, _), _ = run(tmp_path, SILENCE, "fast_failover", recovery=with_bfd)
    (unseen, _), _ = run(tmp_path, SILENCE, "fast_failover")
    assert 10 <= seen.lost <= 20
    assert 499 <= unseen.lost <= 501


def test_node_controller_and_switch(tmp_path: Path) -> None:
    """The detour goes round a node that fails; no controller is needed for that."""
    happens = {
        200: events.kill_controller(),
        300: events.drop_node("s3"),
        600: events.revive_node("s3"),
        800: events.slow_node("s3", by="3 ms"),
        1000: events.slow_node("s3", by="0 s"),
        1100: events.start_controller(),
        1300: events.restart_switch("s3"),
    }
    found, folder = run(tmp_path, happens, "fast_failover")
    lost = {row.event: row.lost for row in found}
    print(found)
    assert lost["kill controller"] == lost["start controller"] == 0
    assert lost["drop s3"] <= 10
    assert lost["revive s3"] == lost["slow s3"] == 0
    # Open vSwitch 3.1 sees that a connection is made at its next timer, up to 500 ms later
    assert 0 < lost["restart s3"] < 600
    samples = folder.samples
    slow = samples[(samples["intended_ns"] > 810 * MS) & (samples["intended_ns"] < 990 * MS)]
    planned_ns = folder.plan.sessions[0].legs[0].budget.total_ns
    assert set(slow["forward_ns"]) == {planned_ns + 3 * MS}
    assert samples["received"].iloc[-1]


def moves(folder: RunFolder) -> list[tuple[int, float, dict[str, Any]]]:
    """The way each path was put on, when (ms), and what is told of it."""
    return [
        (entry.delta.way, entry.actual_ns / MS, entry.told)
        for entry in folder.timeline
        if isinstance(entry.delta, Reroute)
    ]


def all_lost_by_the_cut(folder: RunFolder) -> bool:
    """Whether nothing is lost but from 500 ms on, for 15 ms; answers come 50 ms after what they
    answer."""
    samples = folder.samples
    asked = samples["intended_ns"][samples["lost_forward"]]
    answered = samples["intended_ns"][samples["lost_reverse"]] + 50 * MS
    lost = pd.concat([asked, answered])
    return bool(len(lost) and lost.between(499 * MS, 515 * MS).all())


def test_what_a_controller_did_before_it_was_killed_is_in_the_timeline(tmp_path: Path) -> None:
    """Nobody takes the path back when the link is mended."""
    (cut, *_), folder = run(tmp_path, CUT | {700: events.kill_controller()}, "reactive")
    found = moves(folder)
    print(cut, found)
    assert [(way, told) for way, _, told in found] == [(1, {}), (1, {})]
    assert all(500 < at < 520 for _, at, _ in found)
    assert [entry.delta.text for entry in folder.timeline if entry.event is not None] == [
        *("cut s3-s2", "kill controller", "mend s3-s2"),
    ]
    assert all_lost_by_the_cut(folder)
    planned_ns = folder.plan.sessions[0].legs[0].budget.total_ns
    assert folder.samples["forward_ns"].iloc[-1] != planned_ns, "still on the other way"
