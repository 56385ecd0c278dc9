"""Paths for all packets between each two hosts, under a protection."""

from __future__ import annotations

import pytest

from testbed.net.history import history
from testbed.net.walk import walk
from testbed.net.ways import Ways
from testbed.plan.model import Plan
from testbed.prepare import bare
from testbed.scenario import events
from testbed.scenario.model import Protection


def planned(protection: Protection) -> Plan:
    """Six hosts; each has one link to a switch that has one link to the ring."""
    return bare("metro_ring", {}, "shortest_path", protection).plan


def test_without_protection_there_are_none() -> None:
    plan = planned("none")
    assert (plan.paths, plan.repairs, plan.groups) == ((), (), ())


@pytest.mark.parametrize("protection", ["reactive", "fast_failover"])
def test_every_pair_goes_round_every_link_of_the_ring(protection: Protection) -> None:
    plan = planned(protection)
    assert {(one.path.src, one.path.dst) for one in plan.paths} == {
        (a.name, b.name) for a in plan.hosts for b in plan.hosts if a is not b
    }
    ring = [(link.a, link.b) for link in plan.links if link.a[0] == link.b[0] == "x"]
    assert len(ring) == 6
    for a, b in ring:
        _, cut, mended = history(plan, [events.cut_fibre(a, b), events.mend_fibre(a, b)])
        for state in (cut, mended):
            walk(state)
            assert all(Ways(state).whole(one.path) for one in plan.paths)
        assert any(
            Ways(cut).sent_by(one.path) != Ways(plan).sent_by(one.path) for one in plan.paths
        )
        assert mended.ways == {}


def test_what_has_no_second_way_has_best_effort() -> None:
    plan = bare("access_5g", {}, "lowest_delay", "reactive").plan
    protected = {(one.path.src, one.path.dst) for one in plan.paths}
    assert all(one.path.backups for one in plan.paths)
    assert len(protected) < len(plan.hosts) * (len(plan.hosts) - 1)
