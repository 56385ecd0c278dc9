"""What ports tell each so many ms, and how it is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pandas as pd
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.emulation.readback import PortCounters, QueueCounters
from testbed.errors import EmulationError
from testbed.report.depth import depth, fullest
from testbed.stages.port_samples import COLUMNS, FILE, PortSamples, rows
from tests.plan.networks import MS, compiled, scenario

QUEUES = (
    QueueCounters(
        id=0, packets=3, sent_bytes=300, drops=1, backlog_packets=2, backlog_bytes=200, policed=4,
        background_packets=10, background_bytes=1000, background_drops=5,
    ),
    QueueCounters(id=1, packets=0, sent_bytes=0, drops=0, backlog_packets=0),
)  # fmt: skip


def port(**more: Any) -> PortCounters:
    given: dict[str, Any] = {
        "node": "s1",
        "name": "s1-eth1",
        "discipline": "port",
        "packets": 3,
        "sent_bytes": 300,
    }
    given |= {"drops": 1, "overlimits": 0, "backlog_packets": 2, "backlog_bytes": 250}
    return PortCounters(**given | more)


def test_a_line_for_each_queue_that_has_seen_anything() -> None:
    assert list(rows(5, port(queues=QUEUES))) == ["5,s1-eth1,0,13,1300,10,2,200\n"]
    assert list(rows(5, port())) == ["5,s1-eth1,0,3,300,1,2,250\n"], "a port of one queue"


class Net:
    """Counts how often it is asked, and may take long for it or fail."""

    def __init__(self, takes_s: float = 0.0, fails: bool = False) -> None:
        self.takes_s, self.fails = takes_s, fails

    @contextmanager
    def counting(self) -> Iterator[Callable[[], list[PortCounters]]]:
        def count() -> list[PortCounters]:
            if self.fails:
                raise EmulationError("no answer")
            time.sleep(self.takes_s)
            return [port(queues=QUEUES)]

        yield count


def sampled(folder: Path, net: Net, ms: int) -> pd.DataFrame:
    plan = msgspec.structs.replace(compiled_plan(), sample_ports_ns=ms * MS)
    run: Any = SimpleNamespace(net=net, job=folder, plan=plan)
    stage = PortSamples(run)
    stage.start(time.monotonic_ns() + 10 * MS)
    time.sleep(0.2)
    stage.stop()
    return pd.read_csv(folder / FILE)


def compiled_plan() -> Any:
    return compiled(LowestDelay(), scenario())


def test_from_the_start_of_traffic_at_each_multiple(tmp_path: Path) -> None:
    found = sampled(tmp_path, Net(), 20)
    assert list(found.columns) == COLUMNS.split(",")
    assert 2 <= len(found) <= 11
    assert (found["at_ns"] // (20 * MS)).is_unique
    assert found["at_ns"].min() >= 0


def test_moments_that_the_last_one_took_are_left_out(tmp_path: Path) -> None:
    found = sampled(tmp_path, Net(takes_s=0.05), 20)
    assert (found["at_ns"].diff().dropna() >= 50 * MS).all()


def test_ports_that_do_not_answer_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="no answer"):
        sampled(tmp_path, Net(fails=True), 20)


def test_only_where_it_is_asked_for() -> None:
    plan = compiled_plan()
    assert not PortSamples.asked(plan)
    assert PortSamples.asked(msgspec.structs.replace(plan, sample_ports_ns=MS))


def test_the_fullest_ports_are_drawn_first_and_empty_ones_not() -> None:
    plan = compiled_plan()
    names = [one.name for one in plan.ports if one.node.startswith("s")][:3]
    told = [(0, 100, 0), (0, 900, 0), (0, 0, 0)]
    lines = [
        (at * MS, name, 0, 1, 100, drops, 1, waiting)
        for at in range(3)
        for name, (_, waiting, drops) in zip(names, told, strict=True)
    ]
    samples = pd.DataFrame(lines, columns=COLUMNS.split(","))
    assert fullest(samples) == [names[1], names[0]]
    titles = [ax.get_title(loc="left") for ax in depth(plan, samples).axes][:2]
    assert titles == [names[1], names[0]]


def test_a_full_queue_is_not_hidden_by_what_it_drops() -> None:
    plan = compiled_plan()
    name = next(one.name for one in plan.ports if one.node.startswith("s"))
    lines = [(at * MS, name, 0, 1, 100, at, 9, 900_000) for at in range(3)]
    ax: Any = depth(plan, pd.DataFrame(lines, columns=COLUMNS.split(","))).axes[0]
    (full, drops, *_) = ax.lines
    assert list(full.get_ydata()) == [900] * 3
    assert list(drops.get_xdata()) == [0.001, 0.002]
    assert min(drops.get_ydata()) * ax.get_ylim()[1] > 1.05 * 900
