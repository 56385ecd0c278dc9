"""What a run tells of the ways that orders were given while it went."""

from __future__ import annotations

from pathlib import Path

from testbed.analysis.fidelity import instrument
from testbed.net.deltas.install import Install
from testbed.net.paths import Carried, Placed
from testbed.net.tables import Match
from testbed.net.timeline import Entry, Timeline
from testbed.results.folder import TIMELINE, RunFolder
from testbed.scenario.model import Slice
from tests.results import synthetic


def test_every_way_of_every_order_counts_also_of_one_that_ended(tmp_path: Path) -> None:
    folder = synthetic.run_folder(tmp_path / "run")
    plan = RunFolder(folder).plan
    ends = plan.sessions[0]
    match = Match(ipv4_src=ends.sender_ip, ipv4_dst=ends.reflector_ip)
    ways = [Carried(path=path, matches=(match,)) for path in ends.paths]
    (folder / TIMELINE).unlink(missing_ok=True)
    timeline = Timeline(folder / TIMELINE)
    drones = Slice(id="drones", sst=1)
    orders = [Placed(slice=drones, queue_name="", queue=0, carried=(way,)) for way in ways]
    for at_ns, placed in enumerate((*orders, None)):
        delta = Install(at_ns=at_ns, id="drones", placed=placed, serial=1, steps=())
        timeline.add(Entry(delta=delta, began_ns=at_ns, actual_ns=at_ns))
    assert instrument(RunFolder(folder)).taken == tuple(ways)
