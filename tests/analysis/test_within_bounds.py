"""A packet or queue beyond its bound fails the run; what cannot be judged does not."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pandas as pd
import pytest

from testbed.analysis import within_bounds
from testbed.analysis.fidelity import Floor, Instrument
from testbed.analysis.loads import Deviation
from testbed.analysis.summary import SummaryRow, summarise
from testbed.net.deltas.reroute import Reroute
from testbed.net.legs import DelayBound
from testbed.net.timeline import Entry
from testbed.plan.model import Afterwards, BacklogBound, Plan
from testbed.report import wording
from testbed.results.samples import tidy
from testbed.slices.policy import LATE_NS
from tests.legs import with_bounds
from tests.results import synthetic

EXACT = Instrument(
    "virtual",
    Floor(packets=9000, lost=0, hop_ns=0, p99_ns=0, p999_ns=0, max_ns=0, stalls=0),
    np.array([0.0]),
    {},
)
LIMIT_NS = 2_000_000


def plan(limit_ns: int | None = LIMIT_NS, *, events: bool = False) -> Plan:
    """The first class of the made-up run, with a bound both ways."""
    made = synthetic.plan()
    bound = DelayBound(latency_ns=limit_ns, assumptions=("all is as planned",))
    bounded = with_bounds(made.sessions[0], bound, bound)
    session = msgspec.structs.replace(bounded, count=3000)
    return msgspec.structs.replace(made, sessions=(session,), events=made.events if events else ())


def raw(asked: Plan, took_ns: int, at: int = 2000, late_ns: int = 0) -> np.ndarray:
    rows = synthetic.raw(asked.sessions[0])
    rows["forward_ns"] = rows["reverse_ns"] = 1_000_000
    rows["schedule_error_ns"] = late_ns
    rows["forward_ns"][at] = took_ns
    return rows


def rows(asked: Plan, packets: np.ndarray, known: Instrument = EXACT) -> list[SummaryRow]:
    samples: pd.DataFrame = tidy(asked.sessions[0].id, packets).to_pandas()
    return summarise(asked, samples, known)


@pytest.mark.parametrize(
    ("took_ns", "word", "over"), [(LIMIT_NS, "kept", 0), (LIMIT_NS + 1, "exceeded", 1)]
)
def test_to_the_nanosecond(took_ns: int, word: str, over: int) -> None:
    there, back = rows(plan(), raw(plan(), took_ns))
    assert (there.bound_ns, there.bound, there.bound_over) == (LIMIT_NS, word, over)
    assert (back.bound, back.bound_over) == ("kept", 0)
    error = within_bounds.exceeded(plan(), [there, back], None)
    assert (error is None) == (word == "kept")
    if error is not None:
        assert "1 ns more than its bound" in error.what
        assert "1 of 2,000 messages" in error.where
        assert "2.00 ms at most, if all is as planned" in error.expected


def test_lost_packets_and_warm_up_are_not_held_against_it() -> None:
    packets = raw(plan(), LIMIT_NS)
    packets["forward_ns"][:100] = 9_000_000
    synthetic.lose(packets, "forward", slice(2000, 2010))
    assert {row.bound for row in rows(plan(), packets)} == {"kept"}


def test_what_is_not_judged() -> None:
    slow = LIMIT_NS + 1
    for off_ns in (LATE_NS + 1, -LATE_NS - 1):
        one = raw(plan(), slow)
        one["schedule_error_ns"][5] = off_ns
        assert rows(plan(), one)[0].bound == "not judged"
    noisy = EXACT._replace(floor=msgspec.structs.replace(EXACT.floor, p999_ns=1e6))  # type: ignore[type-var]
    assert rows(plan(), raw(plan(), slow), noisy)[0].bound == "not judged"
    assert rows(plan(None), raw(plan(), slow))[0].bound == "no bound"


@pytest.mark.parametrize(
    ("at", "word"),
    [(2500, "exceeded"), (5940, "exceeded"), (5950, "kept"), (7000, "kept"), (9500, "kept")],
)
@pytest.mark.parametrize("repaired", [False, True])
def test_only_until_the_first_link_goes_down(at: int, word: str, repaired: bool) -> None:
    """The made-up run cuts a fibre after 6 s; packets leave every ms."""
    asked = plan(events=True)
    (cut,) = asked.events
    events = (msgspec.structs.replace(cut, at_ns=9 * 10**9), cut) if repaired else (cut,)
    session = msgspec.structs.replace(asked.sessions[0], count=10_000)
    asked = msgspec.structs.replace(asked, sessions=(session,), events=events)
    assert rows(asked, raw(asked, LIMIT_NS + 1, at))[0].bound == word


@pytest.mark.parametrize(
    ("at", "word"), [(6050, "kept"), (6150, "exceeded"), (8940, "exceeded"), (8960, "kept")]
)
def test_between_events_the_bound_of_the_state_counts(at: int, word: str) -> None:
    """The cut at 6 s has happened after 10 ms and settled 100 ms later; the next is at 9 s."""
    asked = plan(events=True)
    (cut,) = asked.events
    session = msgspec.structs.replace(asked.sessions[0], count=10_000)
    paths = (session.paths[0].id, session.paths[1].id)
    after = Afterwards(
        delays_ns=dict.fromkeys(paths, 4_000_000), reroutes=(), settle_ns=100_000_000
    )
    asked = msgspec.structs.replace(
        asked,
        sessions=(session,),
        events=(cut, msgspec.structs.replace(cut, at_ns=9 * 10**9)),
        afterwards=(after,),
    )
    done = Entry(delta=cut, event=0, began_ns=cut.at_ns, actual_ns=cut.at_ns + 10_000_000)
    packets = raw(asked, 4_000_001, at)
    packets["forward_ns"][7000] = 4_000_000  # more than the plan's own bound
    samples: pd.DataFrame = tidy(session.id, packets).to_pandas()
    found = summarise(asked, samples, EXACT, (done,))
    assert found[0].bound == word
    if word == "exceeded":
        error = within_bounds.exceeded(asked, found[:1], None)
        assert error is not None
        assert "took 4.00 ms, which is 1 ns more" in error.what
        assert error.expected.startswith(
            "4.00 ms at most, that of the network as it was by then, if "
        )
        assert "exceeded of 4.00 ms, as it was after an event, one" in wording.bound(found[0])
    assert summarise(asked, samples, EXACT)[0].bound == "kept", "nothing is known of the event"


def test_a_reroute_that_did_not_come_leaves_the_state_unknown() -> None:
    asked = plan(events=True)
    (cut,) = asked.events
    after = Afterwards(delays_ns={}, reroutes=((1, 1),), settle_ns=0)
    asked = msgspec.structs.replace(asked, afterwards=(after,))
    done = Entry(delta=cut, event=0, began_ns=cut.at_ns, actual_ns=cut.at_ns)
    moved = Reroute(
        path="p", cookie=1, way=1, nodes=(), prepare=(), switch_over=(), at_ns=cut.at_ns
    )
    entry = Entry(delta=moved, began_ns=cut.at_ns, actual_ns=cut.at_ns + 20)
    assert len(within_bounds.windows(asked, (done,))) == 1
    assert within_bounds.windows(asked, (done, entry))[1].from_ns == cut.at_ns + 20


def test_a_queue_longer_than_its_bound() -> None:
    asked = msgspec.structs.replace(
        plan(), backlog_bounds=(BacklogBound(port="agg1-eth2", queue=1, bytes=1500),)
    )
    found = rows(asked, raw(asked, LIMIT_NS))

    def control(most: int | None) -> dict[str, object]:
        queue = {"id": 1, "max_backlog_bytes": most}
        return {"ports": [{"name": "agg1-eth2", "queues": [queue]}]}

    assert within_bounds.exceeded(asked, found, control(1500)) is None
    eventful = msgspec.structs.replace(asked, events=plan(events=True).events)
    assert within_bounds.exceeded(eventful, found, control(1501)) is None
    assert within_bounds.exceeded(asked, found, control(None)) is None
    error = within_bounds.exceeded(asked, found, control(1501))
    assert error is not None
    assert error.what == "queue 1 of agg1-eth2 held 1.501 kB"


@pytest.mark.parametrize(("way", "word"), [("less", "exceeded"), ("more", "not judged")])
def test_more_load_than_planned_is_not_held_against_the_emulation(
    way: Literal["less", "more"], word: str
) -> None:
    load = Deviation(load="l", way=way, what="", hops=frozenset([("elsewhere", "there")]))
    found = rows(plan(), raw(plan(), LIMIT_NS + 1), EXACT._replace(deviations=(load,)))
    assert found[0].bound == word


@pytest.mark.parametrize(("at", "word"), [(5940, "exceeded"), (5947, "kept"), (5950, "kept")])
def test_a_reply_is_due_after_its_request_and_the_reflectors_time(at: int, word: str) -> None:
    """The cut is at 6 s, 2 ms each way are bounded, and 50 ms pass at the reflector."""
    asked = plan(events=True)
    session = msgspec.structs.replace(asked.sessions[0], count=10_000)
    asked = msgspec.structs.replace(asked, sessions=(session,))
    packets = raw(asked, 1_000_000)
    packets["reverse_ns"][at] = LIMIT_NS + 1
    assert rows(asked, packets)[1].bound == word


def test_states_that_an_unfinished_run_did_not_reach_are_not_judged() -> None:
    asked = plan(events=True)
    (cut,) = asked.events
    after = Afterwards(delays_ns={}, reroutes=(), settle_ns=0)
    asked = msgspec.structs.replace(asked, afterwards=(after, after, after))
    entries = [
        Entry(delta=cut, event=number, began_ns=cut.at_ns, actual_ns=cut.at_ns)
        for number in range(2)
    ]
    assert len(within_bounds.windows(asked, entries)) == 2
