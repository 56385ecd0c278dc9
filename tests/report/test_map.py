"""The map: every node in place, apart from others, labels that do not overlap."""

from __future__ import annotations

import math
from itertools import combinations

import msgspec
import numpy as np
import pytest
from matplotlib.text import Text

from testbed.plan.model import Plan
from testbed.prepare import prepare
from testbed.report import style
from testbed.report.map import draw_map, lanes, links, place, spares
from testbed.scenario.events.link import LinkEvent
from tests.plan.graphs import protected, two_connected
from tests.results import synthetic


@pytest.fixture(scope="module")
def plan() -> Plan:
    return synthetic.plan()


@pytest.mark.parametrize("known", ["all", "some", "one", "none"])
def test_all_nodes_are_placed_apart_and_inside(plan: Plan, known: str) -> None:
    keep = {
        "all": plan.positions,
        "some": {n: p for n, p in plan.positions.items() if not n.startswith(("ue", "edge"))},
        "one": {"core1": (1.0, 1.0)},
        "none": {},
    }[known]
    at, height = place(msgspec.structs.replace(plan, positions=keep))
    assert set(at) == set(synthetic.POSITIONS)
    for x, y in at.values():
        assert 0 < x < 760
        assert 0 < y < height
    for a, b in combinations(at.values(), 2):
        assert math.dist(a, b) > 10


def test_a_hundred_nodes_do_not_hide_one_another() -> None:
    """Also where moving one off a link puts it on another node."""
    at, _ = place(prepare("zoo_reach", {}).plan)
    assert len(at) > 100
    nearest = min(math.dist(a, b) for a, b in combinations(at.values(), 2))
    assert nearest > 14.9, "points; a node of a path is 9 wide"


def test_nodes_on_one_line(plan: Plan) -> None:
    flat = {n: (x, 0.0) for n, (x, _) in plan.positions.items()}
    at, _ = place(msgspec.structs.replace(plan, positions=flat))
    assert all(math.isfinite(v) for p in at.values() for v in p)


def test_every_link_once(plan: Plan) -> None:
    assert len(links(plan)) == len(synthetic.KM) + len(synthetic.LAN)


def test_lanes_hold_the_slices_of_both_directions(plan: Plan) -> None:
    found = lanes(plan)
    assert found["agg1", "gnb1"] == ["urllc", "v2x", "embb", "best"]
    assert found["agg1", "core2"] == ["embb", "best"]
    assert ("core1", "core3") not in found


def test_a_slice_has_one_colour_everywhere(plan: Plan) -> None:
    colours = style.slice_colours(plan)
    assert len(set(colours.values())) == len(colours) == 4


def test_slices_on_one_link_are_drawn_side_by_side(plan: Plan) -> None:
    colours = style.slice_colours(plan)
    figure = draw_map(plan, colours)
    drawn = [line for line in figure.axes[0].lines if line.get_color() in colours.values()]
    assert len(drawn) == sum(len(names) for names in lanes(plan).values())
    middles = [np.asarray(line.get_xydata(), dtype=float).mean(axis=0) for line in drawn]
    widest = max(line.get_linewidth() for line in drawn)
    assert all(math.dist(a, b) > widest for a, b in combinations(middles, 2))


def test_labels_do_not_overlap(plan: Plan) -> None:
    figure = draw_map(plan, style.slice_colours(plan))
    figure.draw_without_rendering()
    texts = [t for t in figure.axes[0].texts if isinstance(t, Text)]
    assert {"ue1", "ue2", "edge1", "cloud1"} <= {t.get_text() for t in texts}
    boxes = [t.get_window_extent() for t in texts]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]


def test_backups_of_the_link_that_is_cut_are_drawn() -> None:
    (graph,) = [g for g in two_connected(range(4, 5)) if g.number_of_edges() == 4]
    plan = protected(graph, "fast_failover", 1, [(0, 2)])
    whole = spares(plan)
    path = plan.sessions[0].paths[0]
    assert whole
    assert not whole.keys() & lanes(plan).keys()
    failed = path.backups[0].failed
    assert failed is not None
    cut = LinkEvent(at_ns=1, action="cut", a=failed[1], b=failed[0])
    one = spares(msgspec.structs.replace(plan, events=(cut,)))
    assert one
    assert one.keys() <= whole.keys()
