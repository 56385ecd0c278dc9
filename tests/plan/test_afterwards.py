"""Bounds between events are those of the states they leave."""

from __future__ import annotations

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.model import Plan
from testbed.scenario import events
from testbed.scenario.delta import Delta
from testbed.scenario.model import Protection, Recovery
from testbed.topology.model import Network, Node
from tests.plan.networks import GOLD, MBIT, MS, SILVER, S, app, compiled, link, probe, scenario


def _plan(protection: Protection, *happens: Delta, bfd_ns: int | None = None) -> Plan:
    dated = (msgspec.structs.replace(event, at_ns=(1 + at) * S) for at, event in enumerate(happens))
    return compiled(
        LowestDelay(),
        scenario(
            slices=(msgspec.structs.replace(GOLD, protection=protection),),
            events=tuple(dated),
            recovery=Recovery(bfd_ns=bfd_ns),
        ),
    )


def _forward(plan: Plan) -> list[int | None]:
    """The bound of the probe's way up: the plan's own, and after each event."""
    (session,) = plan.sessions
    assert session.legs[0].bound is not None
    later = [after.delays_ns.get(session.paths[0].id) for after in plan.afterwards]
    return [session.legs[0].bound.latency_ns, *later]


CUT = (events.cut_fibre("s1", "s3"), events.mend_fibre("s1", "s3"))


@pytest.mark.parametrize("protection", ["reactive", "fast_failover"])
def test_a_way_round_has_its_own_bound(protection: Protection) -> None:
    plan = _plan(protection, *CUT)
    own, cut, mended = _forward(plan)
    assert own is not None
    assert cut is not None
    # s1-s2 takes 1 ms, the two links of its own way 0.2 ms each, with a switch between them
    # that takes 1 us, and sends 146 bytes and 24 more at 100 Mbit/s once more
    assert cut - own == pytest.approx(600_000 - 1000 - 13_600, abs=50)
    assert mended == own
    moved = [after.reroutes for after in plan.afterwards]
    cookies = [one.path.cookie for one in plan.paths]
    back = [tuple((cookie, way) for cookie in cookies) for way in (1, 0)]
    assert moved == (back if protection == "reactive" else [(), ()])


def test_without_protection_a_cut_leaves_no_bound() -> None:
    own, cut, mended = _forward(_plan("none", *CUT))
    assert (cut, mended) == (None, own)


def test_of_two_copies_one_is_enough() -> None:
    own, cut, mended = _forward(_plan("frer", *CUT))
    assert own is not None
    assert cut is not None
    assert cut > own
    assert mended == own


def test_a_slow_node_is_slow_for_the_bound() -> None:
    own, slow, over = _forward(
        _plan("none", events.slow_node("s3", by="2 ms"), events.slow_node("s3", by="0 s"))
    )
    assert own is not None
    assert slow == own + 2 * MS
    assert over == own


def test_when_bfd_sees_a_change_is_not_known_so_that_both_bounds_hold() -> None:
    _, cut, mended = _forward(_plan("fast_failover", *CUT, bfd_ns=5 * MS))
    assert cut is not None
    assert mended == cut


def test_what_an_order_makes_of_it_is_not_known_beforehand() -> None:
    late = events.order("late", sst=1, ends=[("h1", "h2")], dscp=10)
    assert len(_plan("none", events.slow_node("s3", by="2 ms"), late, *CUT).afterwards) == 1


def test_packets_of_before_have_passed_after_a_time_that_is_stated() -> None:
    plan = _plan("fast_failover", *CUT)
    for after in plan.afterwards:
        assert after.settle_ns > max(after.delays_ns.values())


def test_a_copy_that_does_not_arrive_still_loads_its_way() -> None:
    """h1 sends to h2 over s1-s2, copies go s1-s3-s2; h3's packets share s1-s3 with the copies."""
    rate = 10 * MBIT
    nodes = (
        *(Node(name=f"s{n}", role="switch", kind="router", forwarding_ns=1000) for n in (1, 2, 3)),
        *(Node(name=f"h{n}", role="host", kind="host") for n in (1, 2, 3, 4)),
    )
    core = (link("s1", "s2", 100_000, rate), link("s1", "s3", 200_000, rate))
    access = [link(f"h{n}", f"s{s}", 0, None) for n, s in ((1, 1), (2, 2), (3, 1), (4, 3))]
    net = Network(name="t", nodes=nodes, links=(*core, link("s3", "s2", 200_000, rate), *access))
    cut = msgspec.structs.replace(events.cut_fibre("s2", "s3"), at_ns=2 * S)
    asked = scenario(
        slices=(
            msgspec.structs.replace(GOLD, protection="frer", guaranteed_bps=0),
            msgspec.structs.replace(SILVER, guaranteed_bps=0),
        ),
        probes=(probe("a", "h1", "h2", app="big"), probe("c", "h3", "h4", slice="silver")),
        events=(cut,),
    )
    plan = compiled(LowestDelay(), asked, net, big=app("big", size_bytes=1400))
    beside = plan.sessions[1]
    assert beside.legs[0].bound is not None
    (after,) = plan.afterwards
    assert after.delays_ns[beside.paths[0].id] == beside.legs[0].bound.latency_ns
