"""Modelled background: which ports count it, in which queue, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.errors import InputError, PlanError
from testbed.plan.background import most_bps, notes, packets
from testbed.plan.model import Plan
from testbed.plan.show import backgrounds, tables
from testbed.port.background import MAX_SOURCES
from testbed.port.pipeline import Port
from testbed.scenario.model import Background
from tests.plan.networks import GOLD, MBIT, S, compiled, probe, scenario, triangle


def background(id_: str = "b", src: str = "h1", dst: str = "h2", **given: Any) -> Background:
    """80 Mbit/s of best effort for 10 s unless given."""
    fields: dict[str, Any] = {"slice": "best-effort", "rate_bps": 80 * MBIT, "duration_ns": 10 * S}
    return Background(id=id_, src=src, dst=dst, **(fields | given))


def planned(*asked: Background, policy: type = LowestDelay, seed: int = 1) -> Plan:
    return compiled(policy(), scenario(backgrounds=asked, seed=seed))


def loaded(plan: Plan) -> dict[tuple[str, str], Port]:
    return {(port.node, port.peer_node): port for port in plan.ports if port.sources}


def test_the_ports_of_the_policys_path_that_have_a_rate() -> None:
    assert set(loaded(planned(background()))) == {("s1", "s3"), ("s3", "s2")}
    assert set(loaded(planned(background(), policy=ShortestPath))) == {("s1", "s2")}


def test_the_queue_is_the_slices_where_the_port_has_queues() -> None:
    plan = planned(background(slice="gold"), background("c"), background("d", slice="silver"))
    for port in loaded(plan).values():
        names = {queue.id: queue.name for queue in port.queues}
        assert [names[s.queue] for s in port.sources] == ["gold", "best-effort", "silver"]
    for port in loaded(planned(background(slice="gold"), policy=ShortestPath)).values():
        assert not port.queues
        assert [s.queue for s in port.sources] == [0]


def test_a_background_gives_its_slice_a_queue() -> None:
    alone = compiled(LowestDelay(), scenario(probes=(), backgrounds=(background(slice="silver"),)))
    port = alone.port("s1", "s3")
    assert [queue.name for queue in port.queues] == ["best-effort", "silver"]


def test_each_port_has_arrivals_of_its_own_by_the_scenarios_seed() -> None:
    seeds = [
        source.seed
        for seed in (1, 2)
        for port in loaded(planned(background(), background("c"), seed=seed)).values()
        for source in port.sources
    ]
    assert len(set(seeds)) == len(seeds) == 8
    assert planned(background()) == planned(background())


def test_times_count_from_the_start_of_traffic() -> None:
    (one, _) = loaded(planned(background(start_ns=S, duration_ns=3 * S))).values()
    assert (one.sources[0].start_ns, one.sources[0].stop_ns) == (S, 4 * S)


def test_it_adds_no_rules_and_no_time() -> None:
    plain, with_load = planned(), planned(background(duration_ns=99 * S))
    assert plain.rules == with_load.rules
    assert plain.duration_ns == with_load.duration_ns


def test_a_plan_survives_json() -> None:
    plan = planned(background(sizes=((64, 7), (1518, 1))))
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_notes_say_how_much_and_whether_it_is_a_flood() -> None:
    assert notes(planned()) == []
    (said,) = notes(planned(background(), background("c", "h2", "h1", rate_bps=5 * MBIT)))
    assert "85 Mbit/s on 4 ports" in said
    apart = (background(rate_bps=60 * MBIT), background("c", rate_bps=60 * MBIT, start_ns=10 * S))
    assert len(notes(planned(*apart))) == 1
    _, flood = notes(planned(background(), background("c", rate_bps=40 * MBIT, start_ns=9 * S)))
    assert "a flood for 2 of them: 120% of the rate of s1 -> s3" in flood
    assert most_bps(planned().ports[0]) == 0


def test_packets_are_rate_over_mean_size_at_every_port() -> None:
    mix = background(sizes=((100, 3), (900, 1)), rate_bps=8 * 300 * 1000, duration_ns=2 * S)
    assert packets(planned(mix)) == 2 * 2 * 1000


def test_shown_with_its_share_of_each_port() -> None:
    plan = planned(background(slice="gold"))
    assert [row[-3:] for row in backgrounds(plan).rows] == [("1", "80 Mbit/s", "80%")] * 2
    assert backgrounds(plan) in tables(plan)
    assert backgrounds(planned()) not in tables(planned())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dst": "h22"}, "unknown host 'h22'|background b|did you mean 'h2'"),
        ({"slice": "glod"}, "unknown slice 'glod'|background b|did you mean 'gold'?"),
        ({"src": "h2"}, "both ends are h2|background b"),
        ({"rate_bps": 0}, "rate is 0 bit/s|background b|more than 0"),
        ({"rate_bps": 10**13 + 1}, "at most 10000000000000"),
        ({"sizes": ()}, "0 packet sizes|1 to 4"),
        ({"sizes": ((100, 1),) * 5}, "5 packet sizes|1 to 4"),
        ({"sizes": ((63, 1),)}, "packets of 63 bytes|64 to 9000 bytes"),
        ({"sizes": ((9001, 1),)}, "packets of 9001 bytes"),
        ({"sizes": ((64, 0),)}, "64 bytes have weight 0|1 to 10000"),
        ({"burst": 0}, "bursts of 0 packets"),
        ({"burst": 10_000, "rate_bps": 1}, "s between bursts"),
        ({"start_ns": -1}, "starts at -1 ns"),
        ({"duration_ns": 0}, "lasts 0 ns|background b"),
        ({"id_": "a/b"}, "background name 'a/b'"),
    ],
)
def test_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(background(**given))
    for part in says.split("|"):
        assert part in str(caught.value)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="background 'b' is there twice"):
        planned(background(), background())


def test_a_path_that_counts_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match="no port of the path has a rate"):
        compiled(
            LowestDelay(),
            scenario(slices=(GOLD,), probes=(probe(),), backgrounds=(background(),)),
            triangle(rate_bps=None),
        )


def test_more_sources_than_a_port_has_room_for_are_refused() -> None:
    with pytest.raises(PlanError, match=f"{MAX_SOURCES + 1} backgrounds pass one port"):
        planned(*(background(f"b{n}") for n in range(MAX_SOURCES + 1)))
