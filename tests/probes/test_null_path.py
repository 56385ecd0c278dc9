"""The null path sends as many packets as its claims need, and not many more."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.percentiles import needed
from testbed.plan.model import Plan, Session
from testbed.probes.null_path import ENOUGH, LEAST_NS, null_plan
from tests.probes.plans import MS, plan, session

S = 1_000_000_000


def asked(seconds: float, *intervals_ns: int, warmup_ns: int = 0) -> Plan:
    rows = [
        session(f"p{n}", interval_ns=each, warmup_ns=warmup_ns)
        for n, each in enumerate(intervals_ns)
    ]
    return msgspec.structs.replace(plan(*rows), duration_ns=round(seconds * S))


def null(of: Plan, *, virtual: bool) -> Session:
    (found,) = null_plan(of, virtual=virtual).sessions
    return found


@pytest.mark.parametrize(
    ("seconds", "interval_ns", "virtual", "count"),
    [
        (3600, S, True, ENOUGH),
        (3600, S, False, ENOUGH),
        (6 * 3600, S, True, ENOUGH),
        (6 * 3600, S, False, 6 * 3600),
        (3600, MS, True, ENOUGH),
        (3600, MS, False, 360_000),
        (5, MS, True, 500),
        (5, S, False, 500),
    ],
)
def test_packets_of_a_run(seconds: float, interval_ns: int, virtual: bool, count: int) -> None:
    assert null(asked(seconds, interval_ns, 2 * S), virtual=virtual).count == count


@given(st.floats(40.01, 1e5), st.integers(0, 20 * S), st.integers(MS, 10 * S), st.booleans())
def test_no_run_is_too_long_for_a_p999(
    seconds: float, warmup_ns: int, interval_ns: int, virtual: bool
) -> None:
    found = null(asked(seconds + warmup_ns / S, interval_ns, warmup_ns=warmup_ns), virtual=virtual)
    judged = found.count - warmup_ns // found.interval_ns - 1
    assert judged >= needed(99.9)
    assert found.interval_ns >= LEAST_NS
    if virtual:
        assert judged <= ENOUGH
    else:
        assert found.interval_ns <= max(interval_ns, LEAST_NS)
