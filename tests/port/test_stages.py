"""Stages together: their order, what a plan keeps of them, what they add up to."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import pytest

from testbed.port.channel import Channel
from testbed.port.curves import Bucket
from testbed.port.events import run
from testbed.port.kinds import KINDS
from testbed.port.pipeline import Pipeline
from testbed.port.policers import Policer, Policers
from testbed.port.queues import Queue, Queues
from testbed.port.stage import Arrival, Parts, Stage
from testbed.port.transmitter import Transmitter
from testbed.slices.bounds import Bound, Flow, Hop, bounds
from tests.ports import changed, shaped

MBIT = 1_000_000


def test_a_new_stage_takes_its_place() -> None:
    bucket = Policers(policers=(Policer(queue=1, rate_bps=8, burst_bytes=1),))
    port = shaped(MBIT).having(bucket)
    assert [type(stage) for stage in port.stages] == [Policers, Queues, Transmitter, Channel]
    assert port.having(bucket) == port
    assert port.selects
    assert not shaped(MBIT).selects
    assert [kind.ATTRIBUTE for kind in KINDS] == sorted(kind.ATTRIBUTE for kind in KINDS)


def test_a_port_without_stages_forwards_at_once() -> None:
    assert run(Pipeline(), [Arrival(5, 1500)]) == [(5, 5)]
    assert not Pipeline().shaped
    assert not shaped(None).shaped
    assert shaped(None, delay_ns=1).shaped


def test_stages_are_json_in_and_out() -> None:
    port = shaped(MBIT, queues=(Queue(id=0, name="best-effort"), Queue(id=1, peak_bps=MBIT // 2)))
    assert msgspec.json.decode(msgspec.json.encode(port), type=Pipeline) == port
    with pytest.raises(msgspec.ValidationError, match="'foam'"):
        msgspec.json.decode(b'{"stages":[{"stage":"foam"}]}', type=Pipeline)


def test_delay_is_the_sum_of_its_causes() -> None:
    channel = Channel(propagation_ns=1, device_ns=20, radio_ns=300)
    port = shaped(MBIT).having(channel)
    assert port.parts == Parts(1, 20, 300)
    assert port.delay_ns == 321


def test_losses_are_by_seed_and_as_many_as_asked() -> None:
    port = shaped(None, loss=0.25, seed=7)
    offered = [Arrival(n, 100) for n in range(20_000)]
    fates = run(port, offered)
    lost = [fate.delivery_ns is None for fate in fates]
    assert all(fate.start_ns == n for n, fate in enumerate(fates))
    assert sum(lost) == pytest.approx(5000, abs=200)
    assert run(port, offered) == fates
    assert run(changed(port, seed=8), offered) != fates


class _Late(Stage, frozen=True, kw_only=True):
    """Packets may be later by up to so much."""

    ATTRIBUTE: ClassVar[int] = 30
    most_ns: int

    def spread_ns(self) -> int:
        return self.most_ns


def test_what_a_stage_may_add_is_in_the_bound_and_in_later_bursts() -> None:
    port = shaped(MBIT, delay_ns=1000)
    late = msgspec.structs.replace(port, stages=(*port.stages, _Late(most_ns=50_000)))
    hops = (Hop("p0"), Hop("p1"))
    flow = Flow("f", hops, Bucket(8000, 100_000), 1, 8000, 8000, 8000)
    plain = bounds({"p0": port, "p1": port}, [flow])["f"]
    spread = bounds({"p0": late, "p1": port}, [flow])["f"]
    assert isinstance(plain, Bound)
    assert isinstance(spread, Bound)
    assert spread.fixed_ns == plain.fixed_ns
    assert spread.latency_ns == plain.latency_ns + 50_000
    # at p1 a burst may be larger by what is sent in the meantime
    assert (plain.ports[1].wait_ns, spread.ports[1].wait_ns) == (0, 1000)
