"""What a policy has without writing it."""

from __future__ import annotations

from controllers.policies.lowest_delay import LowestDelay
from controllers.policies.shortest_path import ShortestPath
from testbed.scenario.model import Slice

GOLD = Slice(id="gold", sst=2)


def test_name_and_summary_come_from_the_class() -> None:
    assert (ShortestPath.name, LowestDelay.name) == ("shortest_path", "lowest_delay")
    assert LowestDelay.summary == "Least one-way delay, a queue for each slice, served by priority."


def test_only_lowest_delay_has_queues() -> None:
    assert ShortestPath().queue_of(GOLD) is None
    assert LowestDelay().queue_of(GOLD) == "gold"
