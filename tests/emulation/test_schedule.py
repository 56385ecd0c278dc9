"""Deltas at their times: what is done to ports, links and processes, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from testbed.emulation.acts import Lab
from testbed.emulation.become import become
from testbed.emulation.schedule import Schedule
from testbed.errors import InputError
from testbed.net.state import State
from testbed.net.timeline import Entry, read_timeline
from testbed.port.pipeline import Port
from testbed.scenario import events
from testbed.scenario.delta import Delta
from testbed.scenario.events.order import OrderEvent
from tests.plan.networks import MS
from tests.plan.ordered import admission

DOWN = ("s1-eth1", "s2-eth1", "s2-eth2", "s2-eth3", "s3-eth2", "h2-eth0")
"""The link between s1 and s2, and all others of s2."""


class Net:
    """A network that notes what is done to it."""

    def __init__(self) -> None:
        self.state: State = admission().first
        self.done: list[str] = []

    def apply(self, delta: Delta) -> None:
        before, self.state = self.state, self.state + delta
        become(cast("Any", self), before, self.state)

    def port(self, planned: Port) -> Port:
        return planned

    def reshape(self, before: Mapping[str, Port], after: Mapping[str, Port]) -> None:
        for name, port in after.items():
            if port != before[name]:
                late_ns = port.delay_ns - before[name].delay_ns
                self.done.append(f"{name} {late_ns:+} ns loss {port.loss:g}")

    def carry(self, ports: Iterable[Port], *, up: bool) -> None:
        self.done += [f"{port.name} {'up' if up else 'down'}" for port in ports]

    def restart(self, switch: str) -> None:
        self.done.append(f"restart {switch}")

    def kill(self) -> None:
        self.done.append("kill")

    def start(self, *, keep: bool) -> None:
        self.done.append(f"start {keep}")

    def carry_order(self, event: OrderEvent) -> dict[str, Any]:
        time.sleep(0.05)
        return {"answer": {"status": 201, "body": event.id}}


class North:
    def __init__(self, net: Net) -> None:
        self.carry = net.carry_order


def happen(path: Path, *deltas: Delta) -> tuple[Net, Schedule]:
    """All at the start of traffic, one after the other."""
    net = Net()
    lab = Lab(cast("Any", net), cast("Any", net), cast("Any", North(net)))
    return net, Schedule(deltas, lab, time.monotonic_ns(), path)


@pytest.mark.parametrize(
    ("deltas", "done"),
    [
        (
            [events.cut_fibre("s1", "s2"), events.drop_node("s2"), events.mend_fibre("s1", "s2")],
            [
                "s1-eth1 down",
                "s2-eth1 down",
                "s3-eth2 down",
                "s2-eth2 down",
                "s2-eth3 down",
                "h2-eth0 down",
            ],
        ),
        (
            [events.silence_fibre("s1", "s3"), events.mend_fibre("s1", "s3")],
            [
                "s1-eth2 +0 ns loss 1",
                "s3-eth1 +0 ns loss 1",
                "s1-eth2 +0 ns loss 0",
                "s3-eth1 +0 ns loss 0",
            ],
        ),
        (
            [events.slow_node("s3", by="2 ms"), events.slow_node("s3", by="0 s")],
            [f"s3-eth{n} {way}{2 * MS} ns loss 0" for way in "+-" for n in (1, 2)],
        ),
        ([events.restart_switch("s3")], ["restart s3"]),
        ([events.kill_controller(), events.start_controller()], ["kill", "start True"]),
    ],
)
def test_what_is_done(tmp_path: Path, deltas: list[Delta], done: list[str]) -> None:
    net, schedule = happen(tmp_path / "t", *deltas)
    schedule.finish()
    schedule.complete([])
    assert sorted(net.done) == sorted(done)
    entries = read_timeline(tmp_path / "t")
    assert [(entry.event, entry.delta) for entry in entries] == list(enumerate(deltas))
    assert all(0 <= entry.began_ns <= entry.actual_ns for entry in entries)


def test_an_answer_is_kept_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    asked = events.order("late", sst=1, ends=[("h1", "h2")])
    _, schedule = happen(tmp_path / "t", asked, events.cut_fibre("s1", "s2"))
    schedule.finish()
    schedule.complete([])
    cut, answered = read_timeline(tmp_path / "t")
    assert (cut.event, answered.event) == (1, 0)
    assert answered.told == {"answer": {"status": 201, "body": "late"}}


def test_what_cannot_happen_is_told_in_the_end(tmp_path: Path) -> None:
    _, schedule = happen(tmp_path / "t", events.drop_node("nowhere"), events.drop_node("s2"))
    with pytest.raises(InputError, match="nowhere"):
        schedule.finish()
    (entry,) = read_timeline(tmp_path / "t")
    assert entry.delta == events.drop_node("s2")


def test_what_others_noted_comes_in_order(tmp_path: Path) -> None:
    _, schedule = happen(tmp_path / "t", events.cut_fibre("s1", "s2"))
    schedule.finish()
    early = msgspec.structs.replace(events.drop_node("s3"), by="controller", why="it says so")
    schedule.complete([Entry(delta=early, began_ns=0, actual_ns=0)])
    first, second = read_timeline(tmp_path / "t")
    assert first.actual_ns < 0 < second.actual_ns
    assert (first.delta.by, first.delta.why) == ("controller", "it says so")


def test_a_timeline_that_cannot_be_written_is_told_in_the_end() -> None:
    net, schedule = happen(Path("/dev/full"), events.kill_controller(), events.start_controller())
    with pytest.raises(OSError, match="No space left"):
        schedule.finish()
    assert net.done == ["kill", "start True"]
