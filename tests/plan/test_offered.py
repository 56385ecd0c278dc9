"""What is offered to each port by the plan, and what is said where that is too much."""

from __future__ import annotations

import msgspec

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.plan.model import Plan
from testbed.plan.offered import most_bps, offered, overloads
from testbed.scenario.model import Background, Slice
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Policy
from tests.plan.networks import MBIT, S, app, compiled, flow, probe, scenario

LOUD = flow("loud", rate_bps=130 * MBIT, packet_bytes=1000)


def planned(policy: Policy | None = None, **given: object) -> tuple[Scenario, Plan]:
    made = scenario(**given)
    return made, compiled(policy or ShortestPath(), made)


def test_a_flow_offers_its_frames_with_the_label_between_first_and_last_switch() -> None:
    _, plan = planned(flows=(LOUD,), probes=())
    found = offered(plan)
    assert set(found) == {("s1", "s2")}  # the only port of its path with a rate
    (offer,) = found["s1", "s2"]
    labelled = plan.loads[0].path.label is not None
    assert offer.bps == 130 * MBIT * (1000 + 42 + 24 + 4 * labelled) / 1000
    assert labelled


def test_a_message_offers_all_its_packets_and_its_answer_one() -> None:
    made = scenario(probes=(probe(),))
    plan = compiled(ShortestPath(), made, app=app(size_bytes=3000))
    found = offered(plan)
    forward, reverse = found["s1", "s2"][0], found["s2", "s1"][0]
    last = 3000 - 2 * 1448
    assert forward.bps == (2 * (1448 + 70) + last + 70) * 8 * 100
    assert reverse.bps == (last + 70) * 8 * 100


def test_flows_at_different_times_do_not_add_up() -> None:
    first = flow("first", rate_bps=80 * MBIT, duration_ns=2 * S)
    second = flow("second", rate_bps=80 * MBIT, duration_ns=2 * S, start_ns=5 * S)
    made, plan = planned(flows=(first, second))
    assert 80 * MBIT < most_bps(offered(plan)["s1", "s2"]) < 90 * MBIT
    assert overloads(made, plan) == []


def test_a_link_that_is_offered_too_much_is_named_with_what_would_do() -> None:
    made, plan = planned(flows=(LOUD,))
    (told,) = overloads(made, plan)
    assert told.startswith(
        "Link s1 -> s2 is offered 139.2 Mbit/s, 139% of its rate (mostly by loud)"
    )
    assert told.endswith("offer 39.24 Mbit/s less or give the link 139.2 Mbit/s.")


def test_tcp_offers_nothing_and_modelled_background_tells_of_itself() -> None:
    tcp = msgspec.structs.replace(LOUD, kind="tcp")
    made, plan = planned(flows=(tcp,))
    assert overloads(made, plan) == []
    city = Background(
        id="city", src="h1", dst="h2", slice="best-effort", rate_bps=130 * MBIT,
        sizes=((1518, 1),), duration_ns=10 * S,
    )  # fmt: skip
    made, plan = planned(backgrounds=(city,))
    assert most_bps(offered(plan)["s1", "s2"]) > 130 * MBIT
    assert overloads(made, plan) == []
    both = msgspec.structs.replace(city, rate_bps=70 * MBIT)
    made, plan = planned(backgrounds=(both,), flows=(flow(rate_bps=60 * MBIT),))
    assert "mostly by f, city" in overloads(made, plan)[0]


def test_guarantees_beyond_a_link_are_told_where_no_queue_refuses_them() -> None:
    gold = Slice(id="gold", sst=2, guaranteed_bps=70 * MBIT)
    silver = Slice(id="silver", sst=1, guaranteed_bps=60 * MBIT)
    both = (probe("a"), probe("b", slice="silver"))
    made, plan = planned(slices=(gold, silver), probes=both)
    (told,) = overloads(made, plan)
    assert told.startswith("On link s1 -> s2, which carries 100 Mbit/s, slices are guaranteed 130")
    assert told.endswith("guarantee 30 Mbit/s less, or give the link 130 Mbit/s.")
    made, plan = planned(slices=(gold, silver), probes=both[:1])
    assert overloads(made, plan) == []


def test_a_plan_that_keeps_up_is_told_nothing() -> None:
    assert overloads(*planned(LowestDelay())) == []
