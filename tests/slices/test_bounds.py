"""No packet of the reference model exceeds its bound; bounds by hand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.slices.network_calculus import cases, play


@pytest.mark.parametrize("kind", ["fifo", "strict_priority", "shared", "htb", "peak", "time_aware"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_packet_exceeds_its_bound(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    for outcome in play(case):
        if outcome.bound is not None:
            assert outcome.most_ns <= outcome.bound.latency_ns, outcome
            assert outcome.bound.fixed_ns <= outcome.bound.latency_ns
