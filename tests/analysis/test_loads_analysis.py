"""A load that differs from its plan is told, in words, and in which way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest

from testbed.analysis.loads import deviations, unchecked
from testbed.plan.model import Load, Plan
from tests.results import synthetic

PLAN = synthetic.plan()
SESSION = PLAN.sessions[0]
MS = 1_000_000


def planned(kind: Literal["udp", "tcp", "flood"], start_ns: int = 0) -> Plan:
    """10 Mbit/s for a second, in packets of 1,000 bytes."""
    load = Load(
        id="l",
        slice=SESSION.slice,
        kind=kind,
        src=SESSION.sender,
        dst=SESSION.reflector,
        src_ip=SESSION.sender_ip,
        dst_ip=SESSION.reflector_ip,
        port=5001,
        rate_bps=10_000_000,
        packet_bytes=1000,
        dscp=0,
        start_ns=start_ns,
        duration_ns=10**9,
        paths=SESSION.paths,
    )
    return msgspec.structs.replace(PLAN, loads=(load,))


def row(**given: Any) -> dict[str, Any]:
    as_planned = {"first_ns": 0, "last_ns": 999_200_000, "ahead_packets": 0}
    fields = {"id": "l", "sent_bytes": 1_250_000, "seconds": 1.0, "error": None, **as_planned}
    return fields | given


@pytest.mark.parametrize("kind", ["udp", "flood"])
@pytest.mark.parametrize(
    ("given", "way", "what"),
    [
        ({}, None, ""),
        ({"first_ns": 10 * MS}, None, ""),
        ({"first_ns": 11 * MS}, "less", "began 11.0 ms late"),
        ({"ahead_packets": 1}, "more", "was 1 packet ahead of its rate in its first 10.0 ms"),
        ({"ahead_packets": 46}, "more", "was 46 packets ahead of its rate in its first 10.0 ms"),
        ({"sent_bytes": 1_313_000}, None, ""),
        ({"sent_bytes": 1_314_000}, "more", "sent 10.51 Mbit/s of 10 Mbit/s asked"),
        ({"sent_bytes": 1_187_000}, None, ""),
        ({"sent_bytes": 1_186_000}, "less", "sent 9.488 Mbit/s of 10 Mbit/s asked"),
        ({"seconds": 0.99, "sent_bytes": 1_237_500}, None, ""),
        ({"seconds": 0.98, "sent_bytes": 1_225_000}, "less", "ended 20.0 ms early"),
        ({"last_ns": 1_010 * MS}, None, ""),
        ({"last_ns": 1_011 * MS}, "less", "ended 11.0 ms late"),
        ({"sent_bytes": 0, "error": "killed"}, "less", "sent nothing: killed"),
        ({"sent_bytes": None}, "less", "sent nothing: it was not started"),
    ],
)
def test_each_way_to_deviate(
    kind: Literal["udp", "flood"], given: dict[str, Any], way: str | None, what: str
) -> None:
    plan = planned(kind)
    found = deviations(plan, [row(**given)])
    assert [(d.way, d.what) for d in found] == ([(way, what)] if way else [])
    assert all(d.hops == frozenset(pairwise(plan.loads[0].path.nodes)) for d in found)


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, None),
        ({"sent_bytes": 10_000}, None),  # the network had no room for more
        ({"sent_bytes": 1_400_000}, "more"),
        ({"seconds": 0.96}, None),
        ({"seconds": 0.9, "sent_bytes": 1_000_000, "error": "the server has terminated"}, "less"),
        ({"sent_bytes": None, "error": "refused"}, "less"),
    ],
)
def test_tcp_sends_what_it_can(given: dict[str, Any], way: str | None) -> None:
    unknown = dict.fromkeys(("first_ns", "last_ns", "ahead_packets"))
    found = deviations(planned("tcp"), [row(**unknown, **given)])
    assert [d.way for d in found] == ([way] if way else [])
    assert all(given["error"] in d.what for d in found if "error" in given)


def test_only_what_probes_could_see_is_held_against_a_load() -> None:
    end_ns = max(s.start_ns + s.interval_ns * s.count for s in PLAN.sessions)
    cut = row(seconds=0.5, sent_bytes=625_000, last_ns=None)
    assert not deviations(planned("udp", start_ns=end_ns - 500 * MS), [cut])
    assert deviations(planned("udp", start_ns=end_ns - 600 * MS), [cut])
    assert not deviations(planned("udp", start_ns=end_ns), [])


def test_what_is_not_recorded_is_not_held_against_a_load() -> None:
    assert deviations(planned("udp"), None) == ()
    (unknown,) = deviations(planned("udp"), None, reached_ns=600 * MS)
    assert (unknown.way, unknown.hops) == ("unknown", frozenset(pairwise(SESSION.paths[0].nodes)))
    assert unknown.what == "was not counted: the run was cut short before"
    assert deviations(planned("udp", start_ns=700 * MS), None, reached_ns=600 * MS) == ()
    (missing,) = deviations(planned("udp"), [])
    assert missing.what == "sent nothing: it was not started"


def test_a_load_ends_no_earlier_than_the_run_that_was_cut_short() -> None:
    cut = row(seconds=0.5, sent_bytes=625_000, last_ns=None)
    assert deviations(planned("udp"), [cut])
    assert not deviations(planned("udp"), [cut], reached_ns=500 * MS)
    assert deviations(planned("udp"), [cut], reached_ns=600 * MS)
    assert not deviations(planned("udp", start_ns=500 * MS), [], reached_ns=500 * MS)


def test_of_tcp_the_first_packets_are_not_checked() -> None:
    assert unchecked(planned("tcp")) == ("l",)
    assert unchecked(planned("udp")) == unchecked(planned("flood")) == ()
