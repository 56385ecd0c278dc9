"""Sums over the legs of a session."""

from __future__ import annotations

import msgspec
import pytest

from testbed.net.legs import (
    Budget,
    DelayBound,
    Leg,
    Reflector,
    assumptions,
    bound_over_ns,
    budget_over,
)
from testbed.plan.model import Session
from tests.legs import there_and_back
from tests.probes.plans import session


class Working(msgspec.Struct, frozen=True):
    """An end that takes time of a round trip, at most `most_ns`."""

    least_ns: int = 300
    most_ns: int | None = 700
    hold_ns: int = 700


def bounded(leg: Leg, latency_ns: int | None, *why: str) -> Leg:
    bound = DelayBound(latency_ns=latency_ns, assumptions=("all is as planned", *why))
    return msgspec.structs.replace(leg, bound=bound)


def chain(middle: object) -> Session:
    """There, on from what works there, and back."""
    one = session("one", fragments=3, fragment_bytes=1448)
    parts = Budget(propagation_ns=1000, device_ns=20, serialisation_ns=7, radio_ns=4)
    first, last = there_and_back(one.paths[0], one.paths[1], parts)
    first = msgspec.structs.replace(first, end=middle)
    between = msgspec.structs.replace(first, name="onward", called="on", end=Reflector())
    legs = (bounded(first, 2000), bounded(between, 3000, "no link is down"), bounded(last, 4000))
    return msgspec.structs.replace(one, legs=legs)


def test_a_round_trip_is_its_legs_and_what_ends_them() -> None:
    legs = chain(Working()).legs
    total = budget_over(legs)
    assert (total.propagation_ns, total.radio_ns, total.compute_ns) == (3000, 12, 300)
    assert total.total_ns == 3 * 1031 + 300
    assert bound_over_ns(legs) == 2000 + 3000 + 4000 + 700
    assert bound_over_ns(chain(Working(most_ns=None)).legs) is None
    assert assumptions(legs) == ("all is as planned", "no link is down")


def test_what_ends_the_last_leg_is_no_part_of_it() -> None:
    first, onward, _ = chain(Working()).legs
    assert budget_over((first,)) == first.budget
    assert bound_over_ns((onward, first)) == 5000, "a reflector's time is not counted"
    assert bound_over_ns((first, bounded(onward, None))) is None


def test_a_session_knows_its_legs_by_name() -> None:
    one = chain(Working())
    first, onward, last = one.legs
    assert one.over("rtt") == one.legs
    assert one.over("onward") == (onward,)
    assert one.before("rtt") == one.before("forward") == ()
    assert one.before("reverse") == (first, onward)
    assert [one.called(name) for name in ("forward", "onward", "rtt")] == ["UL", "on", "rtt"]
    assert one.payloads(first) == (1448, 1448, 100), "a message"
    assert one.payloads(last) == (100,), "and what answers it"
    with pytest.raises(KeyError):
        one.over("sideways")
