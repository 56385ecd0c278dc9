"""Runs that older versions wrote are read as if they had been written now."""

from __future__ import annotations

from pathlib import Path

import msgspec

from controllers.policies.lowest_delay import LowestDelay
from testbed.net.legs import DelayBound
from testbed.net.restoration import restored
from testbed.net.timeline import Entry
from testbed.net.walk import walk, walk_failures
from testbed.results.older import entries_of_schema_1, plan_of, plan_of_schema_1
from testbed.scenario import events
from testbed.scenario.scenario import Scenario
from tests.legs import with_bounds
from tests.plan.networks import compiled

OLDER_WAYS = Path(__file__).parent / "data" / "plan_schema_3.json"
OLD = Path(__file__).parent / "data" / "plan_schema_1.json"
"""A plan of the triangle with policers, background and reactive protection, and its scenario."""


def test_a_plan_of_schema_1() -> None:
    old = msgspec.json.decode(OLD.read_bytes())
    asked = msgspec.convert(old["scenario"], Scenario)
    found = plan_of_schema_1(old["plan"], asked)
    now = compiled(LowestDelay(), asked)
    same = (
        *("schema", "seed", "scheduler", "policy", "recovery", "hosts", "switches", "slices"),
        *("paths", "rules", "groups", "repairs", "loads", "captures", "duration_ns", "book"),
    )
    for name in same:
        assert getattr(found, name) == getattr(now, name), name
    for port, planned in zip(found.ports, now.ports, strict=True):
        assert port.transmitter.overhead_bytes == 0
        assert (port.name, port.rate_bps, port.channel) == (
            planned.name,
            planned.rate_bps,
            planned.channel,
        )
        assert [q.name for q in port.queues] == [q.name for q in planned.queues]
        assert (port.policers, port.sources) == (planned.policers, planned.sources)
    walk_failures(found)
    walk(restored(found + events.cut_fibre("s1", "s3")))


def test_events_of_schema_1() -> None:
    answer = {"status": 201, "body": None}
    rows = [
        {"of": "link", "at_ns": 5, "action": "cut", "a": "x", "b": "y", "began_ns": 6}
        | {"actual_ns": 7},
        {"of": "controller", "at_ns": 8, "action": "kill", "actual_ns": 9, "answer": answer},
    ]
    cut, kill = entries_of_schema_1({"events": rows})
    link = msgspec.structs.replace(events.cut_fibre("x", "y"), at_ns=5)
    assert cut == Entry(delta=link, began_ns=6, actual_ns=7, event=0)
    assert (kill.began_ns, kill.event, kill.told) == (9, 1, {"answer": answer})
    assert entries_of_schema_1(None) == ()


def test_a_plan_of_schema_3() -> None:
    """Its sessions went forward and in reverse."""
    old = msgspec.json.decode(OLDER_WAYS.read_bytes())
    asked = msgspec.convert(old["scenario"], Scenario)
    found = plan_of(old["plan"], asked)
    assert found is not None
    now = compiled(LowestDelay(), asked)
    assert found.loads == now.loads
    for session, planned, raw in zip(
        found.sessions, now.sessions, old["plan"]["sessions"], strict=True
    ):
        bounds = [msgspec.convert(raw[f"{leg.name}_bound"], DelayBound) for leg in session.legs]
        assert [leg.bound for leg in session.legs] == bounds
        assert session == with_bounds(planned, *bounds)
    assert plan_of(old["plan"] | {"schema": 99}, asked) is None
