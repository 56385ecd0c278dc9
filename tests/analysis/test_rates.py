"""Rates and MTU of slices against sessions and loads whose traffic is known."""

from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd
import pytest

from testbed.analysis.rates import WINDOW_NS, rates
from testbed.analysis.terms import Promise
from testbed.plan.model import Load, Plan, Session
from testbed.port.background import Source
from testbed.port.policers import Policer
from testbed.results.samples import tidy
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.model import Slice
from tests.legs import with_paths
from tests.ports import changed
from tests.results import synthetic

MS, S = 1_000_000, 1_000_000_000
FRAME_BITS = 8 * (1000 + 42 + 4 + 24)
"""With the label of the core, on the wire."""
OFFERED = 1000 * FRAME_BITS
"""A message a millisecond."""


@pytest.fixture
def session() -> Session:
    made = synthetic.plan().sessions[0]
    forward = msgspec.structs.replace(made.paths[0], label=16)
    made = with_paths(made, forward)
    return msgspec.structs.replace(made, size_bytes=1000, judged=("forward",))


def plan_of(*sessions: Session, loads: tuple[Load, ...] = ()) -> Plan:
    return msgspec.structs.replace(synthetic.plan(), sessions=sessions, loads=loads)


def frame(session: Session) -> pd.DataFrame:
    rows = synthetic.raw(session)
    rows["schedule_error_ns"] = 0
    found: pd.DataFrame = tidy(session.id, rows).to_pandas()
    return found[found["intended_ns"] >= session.warmup_ns]


def gone(rows: pd.DataFrame, which: pd.Series) -> pd.DataFrame:
    rows = rows.copy()
    rows.loc[which, "arrived"] = 0
    rows.loc[which, "answered"] = False
    rows.loc[which, "lost_forward"] = True
    return rows


def judged(
    plan: Plan, samples: dict[Any, pd.DataFrame], loads: object = None, **terms: Any
) -> dict[tuple[str, str], Promise]:
    slice_ = Slice(id=plan.sessions[0].slice, sst=1, **terms)
    return {(row.session, row.term): row for row in rates(plan, [slice_], samples, loads)}


def one(session: Session, rows: pd.DataFrame, plan: Plan | None = None, **terms: Any) -> Promise:
    (row,) = judged(plan or plan_of(session), {session.id: rows}, **terms).values()
    return row


def test_a_guarantee_is_shown_by_as_much_offered(session: Session) -> None:
    rows = frame(session)
    kept = one(session, rows, guaranteed_bps=OFFERED)
    assert (kept.held, kept.found, kept.condition) == ("kept", OFFERED, "over 2 s")
    more = one(session, rows, guaranteed_bps=2 * OFFERED)
    assert (more.held, more.found) == ("not shown", OFFERED)
    assert more.condition == (
        "only 8.56 Mbit/s was offered over 2 s: add a flow of 8.56 Mbit/s to the slice"
    )


def test_a_guarantee_is_broken_by_one_window(session: Session) -> None:
    """Half the messages of one second: a quarter less over two seconds."""
    rows = frame(session)
    second = (rows["intended_ns"] // S == 5) & (rows["seq"] % 2 == 0)
    row = one(session, gone(rows, second), guaranteed_bps=OFFERED)
    assert (row.held, row.found) == ("broken", 0.75 * OFFERED)
    assert one(session, gone(rows, second), guaranteed_bps=OFFERED // 2).held == "kept"
    assert one(session, gone(rows, second), guaranteed_bps=OFFERED, loss=0.26).held == "kept"


def test_what_is_lost_below_the_guarantee_breaks_it(session: Session) -> None:
    rows = frame(session)
    few = gone(rows, rows["seq"] % 10 == 0)
    assert one(session, few, guaranteed_bps=2 * OFFERED).held == "broken"
    two = gone(rows, rows["seq"].isin([5000, 5001]))
    assert one(session, two, guaranteed_bps=2 * OFFERED).held == "not shown"  # an average of 2 s


def test_a_window_with_an_event_says_so(session: Session) -> None:
    rows = frame(session)
    cut = LinkEvent(at_ns=5 * S, action="cut", a="agg1", b="core1")
    out = (rows["intended_ns"] >= 5 * S) & (rows["intended_ns"] < 5 * S + 100 * MS)
    plan = msgspec.structs.replace(plan_of(session), events=(cut,))
    row = one(session, gone(rows, out), plan, guaranteed_bps=2 * OFFERED)
    assert (row.held, round(row.found or 0)) == ("broken", round(0.95 * OFFERED))
    assert row.condition.endswith(" on, with cut agg1-core1")


def test_flows_of_a_slice_share_its_guarantee_where_they_share_a_link(session: Session) -> None:
    """One loses all, while the other has the whole rate on the links of both."""
    other = msgspec.structs.replace(session, id="other", sender_port=7)
    rows, none = frame(session), gone(frame(other), frame(other)["seq"] >= 0)
    samples: dict[Any, pd.DataFrame] = {session.id: rows, "other": none}
    found = judged(plan_of(session, other), samples, guaranteed_bps=OFFERED)
    assert {row.held for row in found.values()} == {"kept"}
    nodes = ("cloud1", "core3", "core1")
    apart = with_paths(other, msgspec.structs.replace(other.paths[0], nodes=nodes, src="cloud1"))
    found = judged(plan_of(session, apart), samples, guaranteed_bps=OFFERED)
    assert {row.session: row.held for row in found.values()} == {
        session.id: "kept",
        "other": "broken",
    }


def test_modelled_background_of_the_slice_may_have_had_its_share(session: Session) -> None:
    rows = frame(session)
    lost = gone(rows, rows["seq"] % 2 == 0)
    plan = plan_of(session)
    source = Source(
        id="b",
        slice=session.slice,
        queue=1,
        rate_bps=1,
        sizes=((64, 1),),
        arrivals="poisson",
        burst=1,
        seed=1,
        start_ns=0,
        stop_ns=1,
    )
    hop = session.paths[0].nodes[1:3]
    ports = tuple(
        changed(port, sources=(source,)) if (port.node, port.peer_node) == hop else port
        for port in plan.ports
    )
    beside = msgspec.structs.replace(plan, ports=ports)
    row = one(session, lost, beside, guaranteed_bps=OFFERED)
    assert row.held == "not shown"
    assert "background" in row.condition
    assert one(session, lost, guaranteed_bps=OFFERED).held == "broken"


def test_a_maximum_is_shown_by_more_offered(session: Session) -> None:
    rows = frame(session)
    assert one(session, rows, maximum_bps=OFFERED // 2).held == "broken"
    assert one(session, rows, maximum_bps=2 * OFFERED).held == "not shown"
    half = gone(rows, rows["seq"] % 2 == 0)
    row = one(session, half, maximum_bps=OFFERED // 2 + 1)
    assert row.held == "kept"
    assert row.found == pytest.approx(OFFERED / 2, rel=1e-3)


def test_a_policers_burst_may_pass(session: Session) -> None:
    rows = gone(frame(session), frame(session)["seq"] % 2 == 0)
    limit = round(0.45 * OFFERED)
    plan = plan_of(session)
    burst_bytes = round(0.06 * OFFERED * WINDOW_NS / S / 8)
    policer = Policer(
        queue=session.paths[0].queue, name="q", rate_bps=limit, burst_bytes=burst_bytes
    )
    hop = session.paths[0].nodes[1:3]
    ports = tuple(
        changed(port, policers=(policer,)) if (port.node, port.peer_node) == hop else port
        for port in plan.ports
    )
    assert one(session, rows, plan, maximum_bps=limit).held == "broken"
    policed = msgspec.structs.replace(plan, ports=ports)
    assert one(session, rows, policed, maximum_bps=limit).held == "kept"


def a_load(session: Session) -> Load:
    """A packet a millisecond from 2 s on, in the session's slice and on its path."""
    path = session.paths[0]
    return Load(
        id="load",
        slice=session.slice,
        kind="udp",
        src=path.src,
        dst=path.dst,
        src_ip="10.0.0.1",
        dst_ip="10.0.0.2",
        port=5201,
        rate_bps=8_000_000,
        packet_bytes=1000,
        dscp=0,
        start_ns=2 * S,
        duration_ns=8 * S,
        paths=(path, session.paths[1]),
    )


def test_loads_count_with_their_totals(session: Session) -> None:
    load = a_load(session)
    plan = plan_of(session, loads=(load,))
    samples: dict[Any, pd.DataFrame] = {session.id: frame(session)}

    def carried(received: float) -> list[dict[str, object]]:
        sent = 8 * 1000 * 1000  # a packet a millisecond
        return [
            {
                "id": "load",
                "sent_bytes": sent,
                "received_bytes": round(sent * received),
                "seconds": 8.0,
            }
        ]

    both = 2 * OFFERED
    found = judged(plan, samples, carried(1.0), guaranteed_bps=both)
    assert {row.held for row in found.values()} == {"kept"}
    found = judged(plan, samples, carried(0.5), guaranteed_bps=both)
    assert found["load", "guaranteed rate"].held == "broken"
    assert found["load", "guaranteed rate"].found == pytest.approx(1.5 * OFFERED)
    assert "over 8 s" in found["load", "guaranteed rate"].condition
    assert found[session.id, "guaranteed rate"].held == "kept"  # it lost nothing
    assert judged(plan, samples, carried(0.5), guaranteed_bps=OFFERED)[
        "load", "guaranteed rate"
    ].held == ("kept")


def test_a_frame_that_arrives_shows_an_mtu(session: Session) -> None:
    rows = frame(session)
    size = 1000 + 42 + 4
    assert one(session, rows, mtu_bytes=size).held == "kept"
    larger = one(session, rows, mtu_bytes=size + 1)
    assert (larger.held, larger.condition) == (
        "not shown",
        'the largest frame sent was 1046 B: add a flow with packet="1001 B" to the slice',
    )
    jumbo = one(session, rows, mtu_bytes=9000)
    assert jumbo.condition.endswith(": the lab sends none over 1494 B")
    assert one(session, gone(rows, rows["seq"] >= 0), mtu_bytes=size).held == "broken"


def test_what_was_under_way_when_the_run_was_cut_short_was_not_lost(session: Session) -> None:
    """200 messages on their way at 3.5 s, in a window of which half was sent."""
    rows = frame(session)
    rows = rows[rows["intended_ns"] < 3_500 * MS].copy()
    out = rows["intended_ns"] >= 3_300 * MS
    rows.loc[out, "arrived"] = 0
    rows.loc[out, ["answered", "received"]] = False
    rows.loc[out, ["forward_ns", "reverse_ns", "rtt_ns"]] = pd.NA
    assert one(session, rows, guaranteed_bps=OFFERED).held == "kept"
    lost = rows.assign(lost_forward=rows["lost_forward"] | out)
    assert one(session, lost, guaranteed_bps=OFFERED).held == "broken"


def test_no_frame_that_was_not_sent_broke_an_mtu(session: Session) -> None:
    row = one(session, frame(session).iloc[:0], mtu_bytes=1000)
    assert (row.held, row.condition) == ("not shown", "nothing was sent")


def test_what_waits_when_a_load_ends_breaks_no_maximum(session: Session) -> None:
    load = a_load(session)
    samples: dict[Any, pd.DataFrame] = {session.id: frame(session)}
    sent = 8 * 1000 * 1000
    row = {"id": "load", "sent_bytes": sent, "received_bytes": sent // 2, "seconds": 8.0}

    def with_room_for(packets: int) -> Promise:
        plan = plan_of(session, loads=(load,))
        ports = [changed(p, buffer_packets=packets) for p in plan.ports]
        plan = msgspec.structs.replace(plan, ports=tuple(ports))
        limit = round(1.45 * OFFERED)  # 1.5 of it came
        return judged(plan, samples, [row], maximum_bps=limit)["load", "maximum rate"]

    assert with_room_for(1).held == "broken"
    kept = with_room_for(1000)
    assert kept.held == "kept"
    assert "what waited in queues at the end came later" in kept.condition


def test_a_load_of_which_nothing_is_known_shows_no_rate(session: Session) -> None:
    plan = plan_of(session, loads=(a_load(session),))
    samples: dict[Any, pd.DataFrame] = {session.id: frame(session)}
    terms = {"guaranteed_bps": 2 * OFFERED, "maximum_bps": OFFERED // 2}
    for row in judged(plan, samples, None, **terms).values():
        assert (row.held, row.found) == ("not shown", None)
        assert row.condition == "what load load sent is not known"
