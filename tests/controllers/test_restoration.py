"""Which way paths are put on as links fail and come back."""

from __future__ import annotations

import msgspec

from controllers.policies.lowest_delay import LowestDelay
from controllers.restoration import Restoration
from testbed.net.deltas.reroute import Reroute
from testbed.net.tables import key
from testbed.plan.model import Plan
from testbed.scenario.model import Recovery
from tests.plan.networks import GOLD, MS, compiled, scenario

WAIT_NS = 100 * MS
NEAR, FAR = ("h1", "s1", "s3", "s2", "h2"), ("h1", "s1", "s2", "h2")


def planned() -> Plan:
    """The triangle: s1 - s3 - s2 at first, s1 - s2 for when that fails."""
    gold = msgspec.structs.replace(GOLD, protection="reactive")
    return compiled(
        LowestDelay(), scenario(slices=(gold,), recovery=Recovery(wait_to_restore_ns=WAIT_NS))
    )


class Network:
    """A plan's switches, which tell what becomes of their ports."""

    def __init__(self) -> None:
        self.plan = planned()
        self.restoration = Restoration(self.plan)

    def link(self, a: str, b: str, live: bool, now_ns: int) -> list[int]:
        """When changes should be asked for, as both ends say."""
        times = [
            self.restoration.port(here, self.plan.port(here, there).number, live, now_ns)
            for here, there in ((a, b), (b, a))
        ]
        return [at for at in times if at is not None]

    def changes(self, now_ns: int) -> list[Reroute]:
        return self.restoration.changes(now_ns)

    def take(self, now_ns: int) -> set[tuple[str, ...]]:
        """Make the changes there are; the nodes of the ways taken."""
        found = self.changes(now_ns)
        for way in found:
            self.restoration.take(way)
        return {way.nodes for way in found}


def test_round_a_failure_and_back_after_the_wait() -> None:
    net = Network()
    assert net.changes(0) == []
    assert net.link("s3", "s2", False, 5 * MS) == [5 * MS]
    assert net.take(5 * MS) == {FAR, FAR[::-1]}
    assert net.changes(6 * MS) == []
    assert net.link("s3", "s2", True, 50 * MS) == [50 * MS + WAIT_NS]
    assert net.changes(50 * MS + WAIT_NS - 1) == []
    assert net.take(50 * MS + WAIT_NS) == {NEAR, NEAR[::-1]}


def test_a_link_that_flaps_waits_anew() -> None:
    net = Network()
    net.link("s1", "s3", False, 0)
    net.take(0)
    net.link("s1", "s3", True, 10 * MS)
    assert net.link("s1", "s3", False, 20 * MS) == [20 * MS]
    assert net.link("s1", "s3", True, 30 * MS) == [30 * MS + WAIT_NS]
    assert net.changes(10 * MS + WAIT_NS) == []
    assert net.take(30 * MS + WAIT_NS)


def test_two_failures_leave_no_way_and_nothing_changes() -> None:
    net = Network()
    net.link("s1", "s3", False, 0)
    net.take(0)
    net.link("s1", "s2", False, 1)
    assert net.changes(1) == []
    net.link("s1", "s2", True, 2)
    assert net.changes(2) == []


def test_links_of_no_path_change_nothing() -> None:
    net = Network()
    net.link("s1", "s2", False, 0)
    assert net.changes(0) == []
    assert net.restoration.port("s1", 99, False, 0) is None


def test_a_change_is_dropped_when_the_link_is_back_in_time() -> None:
    net = Network()
    net.link("s1", "s3", False, 0)
    way, _ = net.changes(0)
    assert net.restoration.current(way, 0)
    net.link("s1", "s3", True, 1)
    assert not net.restoration.current(way, 1)


def test_a_switch_that_comes_back_gets_the_rules_of_now() -> None:
    net = Network()
    first = [rule for rule in net.plan.rules if rule.switch == "s1"]
    net.link("s1", "s3", False, 0)
    net.take(0)
    (repair,) = (r for r in net.plan.repairs if (r.cookie, r.failed) == (1, ("s1", "s3")))
    rules = net.restoration.rules("s1")
    assert repair.switch_over[0] in rules
    assert len({key(rule) for rule in rules}) == len(rules)
    assert set(map(key, first)) <= set(map(key, rules))


def test_one_that_starts_again_keeps_the_ways_in_force_while_the_link_is_down() -> None:
    net = Network()
    net.link("s3", "s2", False, 0)
    taken = net.changes(0)
    net.take(0)
    ruled = {switch.name: net.restoration.rules(switch.name) for switch in net.plan.switches}
    net.restoration = Restoration(net.plan, taken)
    assert {name: net.restoration.rules(name) for name in ruled} == ruled
    assert net.changes(10 * MS) == []
    assert net.link("s1", "s3", True, 15 * MS) == [15 * MS + WAIT_NS]
    assert net.link("s3", "s2", False, 20 * MS) == []
    assert net.changes(20 * MS + WAIT_NS) == []
    assert net.link("s3", "s2", True, 400 * MS) == [400 * MS + WAIT_NS]
    assert net.take(400 * MS + WAIT_NS) == {NEAR, NEAR[::-1]}


def test_one_that_starts_again_takes_a_link_that_is_up_for_just_mended() -> None:
    net = Network()
    net.link("s3", "s2", False, 0)
    net.restoration = Restoration(net.plan, net.changes(0))
    assert net.link("s1", "s3", True, 50 * MS) == [50 * MS + WAIT_NS]
    assert net.changes(50 * MS + WAIT_NS) == [], "of s3-s2 nothing is known yet"
    assert net.link("s3", "s2", True, 60 * MS) == [60 * MS + WAIT_NS]
    assert net.changes(60 * MS + WAIT_NS - 1) == []
    assert net.take(60 * MS + WAIT_NS) == {NEAR, NEAR[::-1]}
