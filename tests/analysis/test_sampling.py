"""What a plan tells of the phases that a session sees, and of the parts of its run."""

from __future__ import annotations

from math import gcd

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.independence import Sampling
from testbed.analysis.sampling import sampling, severed
from testbed.net.paths import Backup, Carried, Path
from testbed.net.tables import Match
from testbed.plan.matches import carried
from testbed.plan.model import Load, Plan, Session
from testbed.port.background import Source
from testbed.port.gates import Gate
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.events.node import NodeEvent
from tests.legs import with_paths
from tests.ports import changed
from tests.results import synthetic

MS = 1_000_000
PLAN = msgspec.structs.replace(synthetic.plan(), events=())
FAR = msgspec.structs.replace(
    PLAN.sessions[4].paths[0], nodes=("ue1", "agg1", "core2", "core3", "cloud1")
)
SESSION = msgspec.structs.replace(PLAN.sessions[0], interval_ns=2 * MS, count=5000)


def other(interval_ns: int, id_: str = "other") -> Session:
    return msgspec.structs.replace(SESSION, id=id_, interval_ns=interval_ns, count=5000)


def of(*others: Session, session: Session = SESSION, **plan: object) -> Sampling:
    made = msgspec.structs.replace(PLAN, sessions=(session, *others), **plan)
    return sampled(made, session)


def sampled(plan: Plan, session: Session = SESSION) -> Sampling:
    due = session.start_ns + session.interval_ns * np.arange(session.count)
    return sampling(plan, session, (session.paths[0],), due)


def load(kind: str, rate_bps: int, **fields: int) -> Load:
    return Load(
        id="load",
        slice=SESSION.slice,
        kind=kind,
        src=SESSION.sender,
        dst=SESSION.reflector,
        src_ip=SESSION.sender_ip,
        dst_ip=SESSION.reflector_ip,
        port=5001,
        rate_bps=rate_bps,
        packet_bytes=1250,
        dscp=0,
        start_ns=fields.get("start_ns", 0),
        duration_ns=fields.get("duration_ns", 10**10),
        paths=SESSION.paths,
    )


def background(arrivals: str, **fields: int) -> Plan:
    """On the first port of the session's path."""
    source = Source(
        id="b",
        slice=SESSION.slice,
        queue=0,
        rate_bps=3_000_000,
        sizes=((750, 1),),
        arrivals=arrivals,  # type: ignore[arg-type]
        burst=1,
        seed=1,
        start_ns=fields.get("start_ns", 0),
        stop_ns=fields.get("stop_ns", 10**10),
    )
    first = PLAN.port(*SESSION.paths[0].nodes[:2])
    ports = tuple(
        changed(port, sources=(source,)) if port == first else port for port in PLAN.ports
    )
    return msgspec.structs.replace(PLAN, sessions=(SESSION,), ports=ports)


def test_alone_there_is_no_phase() -> None:
    assert of() == Sampling(phases=None, locked=False, parts=())


@pytest.mark.parametrize(
    ("interval_ns", "phases"),
    [(2 * MS, 1), (MS, 1), (4 * MS, 2), (5 * MS, 5), (1_999_999, 1_999_999)],
)
def test_exact_periods_meet_at_few_phases(interval_ns: int, phases: int) -> None:
    assert of(other(interval_ns)).phases == phases


@given(st.integers(1, 300), st.integers(1, 300))
def test_phases_are_the_places_packets_fall_on(own: int, theirs: int) -> None:
    session = msgspec.structs.replace(SESSION, interval_ns=own, count=theirs)
    places = {own * n % theirs for n in range(theirs)}
    one = msgspec.structs.replace(other(theirs), count=10**6)
    assert of(one, session=session).phases == len(places) == theirs // gcd(own, theirs)


def test_others_that_meet_each_other_have_a_phase_too() -> None:
    """Each is seen at very many phases by the session, but they at one by one another."""
    beside = other(1_999_999, "a"), other(1_999_999, "b")
    assert of(beside[0]).phases == 1_999_999
    assert of(*beside).phases == 1
    poisson = msgspec.structs.replace(SESSION, arrivals="poisson")
    assert of(beside[0], session=poisson).phases is None
    assert of(*beside, session=poisson).phases == 1


def test_a_drift_moves_the_phase() -> None:
    """10 s of packets every 2 ms beside others every 2 ms: at 200 ppm they move by 2 ms."""
    for drift_ppb, phases in ((200_000, 1), (200_100, None), (-200_100, None), (0, 1)):
        session = msgspec.structs.replace(SESSION, drift_ppb=drift_ppb)
        assert of(other(2 * MS), session=session).phases == phases
        beside = msgspec.structs.replace(other(2 * MS), drift_ppb=drift_ppb)
        assert of(beside).phases == phases
        both = msgspec.structs.replace(beside, drift_ppb=drift_ppb)
        assert of(both, session=session).phases == 1


def test_who_never_meets_the_session_does_not_count() -> None:
    apart = with_paths(other(2 * MS), _elsewhere(SESSION), _elsewhere(SESSION))
    assert of(apart).phases is None
    over = msgspec.structs.replace(other(2 * MS), start_ns=100 * 10**9)
    assert of(over).phases is None


def _elsewhere(session: Session) -> Path:
    return msgspec.structs.replace(session.paths[0], nodes=tuple(reversed(session.paths[0].nodes)))


@pytest.mark.parametrize(
    ("kind", "rate_bps", "expected"),
    [
        ("flood", 2_500_000, (2, False)),  # every 4 ms
        ("flood", 100_000_000, (1, False)),  # every 0.1 ms, but a load wakes once in 1 ms
        ("udp", 2_000_000, (5, False)),
        ("tcp", 100_000_000, (None, True)),
    ],
)
def test_loads(kind: str, rate_bps: int, expected: tuple[int | None, bool]) -> None:
    found = of(loads=(load(kind, rate_bps),))
    assert (found.phases, found.locked) == expected


def test_background_is_random_or_has_a_period() -> None:
    assert sampled(background("poisson")) == Sampling(phases=None, locked=False, parts=())
    assert sampled(background("periodic")).phases == 1  # 750 bytes at 3 Mbit/s: 2 ms


def test_gates_have_a_cycle() -> None:
    first = PLAN.port(*SESSION.paths[0].nodes[:2])
    gates = (Gate(interval_ns=5 * MS, open=(0,)), Gate(interval_ns=5 * MS, open=(1,)))
    ports = tuple(changed(port, gates=gates) if port == first else port for port in PLAN.ports)
    assert of(ports=ports, duration_ns=10**10).phases == 5


def test_a_run_has_parts_where_the_plan_changes_it() -> None:
    event = LinkEvent(at_ns=5 * 10**9, action="cut", a="agg1", b="core1")
    assert of(events=(event,)).parts == (2500,)
    flood = load("flood", 2_500_000, start_ns=3 * 10**9, duration_ns=2 * 10**9)
    assert of(loads=(flood,)).parts == (1500, 2500)
    assert of(loads=(flood,), events=(event,)).parts == (1500, 2500)
    near = msgspec.structs.replace(event, at_ns=5 * 10**9 + 49 * 2 * MS)
    assert of(events=(event, near)).parts == (2500,)  # too few for an average of their own
    assert of(events=(msgspec.structs.replace(event, at_ns=20 * MS),)).parts == ()
    assert sampled(background("poisson", start_ns=4 * 10**9)).parts == (2000,)


def test_answers_are_of_the_part_in_which_they_leave() -> None:
    """Requests every 2 ms from 0 on; each answer leaves 50 ms and the way there later."""
    event = LinkEvent(at_ns=5 * 10**9, action="cut", a="agg1", b="core1")
    plan = msgspec.structs.replace(PLAN, sessions=(SESSION,), events=(event,))
    due = SESSION.start_ns + SESSION.interval_ns * np.arange(SESSION.count)
    leave = due + 50 * MS + SESSION.legs[0].budget.total_ns
    (first,) = sampling(plan, SESSION, (SESSION.paths[1],), due).parts
    assert leave[first - 1] < event.at_ns <= leave[first]
    assert sampling(plan, SESSION, (SESSION.paths[0], SESSION.paths[1]), due).parts == (2500,)


def test_nothing_was_sent() -> None:
    empty = np.array([], dtype=np.int64)
    assert sampling(PLAN, SESSION, (SESSION.paths[0],), empty) == Sampling(locked=False)


def test_copies_and_what_stands_in_for_a_path_are_met_as_well() -> None:
    """The other's own way meets the session nowhere, its second way everywhere."""
    away = with_paths(other(200_000), FAR, FAR)
    cut = LinkEvent(at_ns=MS, action="cut", a="core2", b="core3")

    def second(failed: tuple[str, str] | None) -> Session:
        backup = Backup(failed=failed, nodes=SESSION.paths[0].nodes, label=99)
        return with_paths(away, msgspec.structs.replace(FAR, backups=(backup,)))

    assert of(away).phases is None
    assert of(second(None)).phases == 1
    assert of(second(("core2", "core3"))).phases is None
    assert of(second(("core2", "core3")), events=(cut,)).phases == 1


def placed(of: Session, nodes: tuple[str, ...], **match: object) -> Carried:
    """What an order gave to the packets of a session's way there."""
    path = msgspec.structs.replace(of.paths[0], id="ordered", cookie=1 << 32, nodes=nodes)
    ends = {"ipv4_src": of.sender_ip, "ipv4_dst": of.reflector_ip}
    return Carried(path=path, matches=(msgspec.convert(ends | match, Match),))


def test_ways_that_orders_gave_are_met_as_well() -> None:
    """Two of one period: the other's own way meets the session nowhere, its ordered one does."""
    back = msgspec.structs.replace(
        SESSION.paths[0], cookie=99, nodes=tuple(reversed(SESSION.paths[0].nodes))
    )
    away = msgspec.structs.replace(with_paths(other(200_000), back, back), dscp=40)
    plan = msgspec.structs.replace(
        PLAN, sessions=(SESSION, away), paths=carried((SESSION, away), ())
    )
    due = SESSION.start_ns + SESSION.interval_ns * np.arange(SESSION.count)

    def seen(*taken: Carried) -> int | None:
        return sampling(plan, SESSION, (SESSION.paths[0],), due, taken).phases

    assert seen() is None
    assert seen(placed(away, SESSION.paths[0].nodes)) == 1
    assert seen(placed(away, SESSION.paths[0].nodes, dscp=40)) == 1
    assert seen(placed(away, SESSION.paths[0].nodes, dscp=8)) is None, "not its packets"
    assert seen(placed(away, SESSION.paths[0].nodes, src_port=9)) is None, "nor these"
    assert seen(placed(SESSION, back.nodes)) == 1, "where the session goes to the other"


def test_losses_are_of_the_way_that_loses_least() -> None:
    """Packets that were on another way are not lost by the links of the first one."""
    ports = tuple(
        changed(port, loss=0.1) if port.node == SESSION.paths[0].nodes[0] else port
        for port in PLAN.ports
    )
    plan = msgspec.structs.replace(
        PLAN, sessions=(SESSION,), paths=carried((SESSION,), ()), ports=ports
    )
    due = np.arange(10)

    def loss(*taken: Carried) -> float:
        return sampling(plan, SESSION, (SESSION.paths[0],), due, taken).loss

    assert loss() == pytest.approx(0.1)
    assert loss(placed(SESSION, SESSION.paths[0].nodes[1:])) == 0
    assert loss(placed(SESSION, SESSION.paths[0].nodes)) == pytest.approx(0.1)


def test_links_lose_messages_by_their_packets_and_copies_make_up_for_them() -> None:
    hops = list(zip(SESSION.paths[0].nodes, SESSION.paths[0].nodes[1:], strict=False))
    lossy = {hops[0]: 0.1, hops[-1]: 0.2, (hops[0][1], hops[0][0]): 0.5}
    ports = tuple(
        changed(port, loss=lossy.get((port.node, port.peer_node), 0.0)) for port in PLAN.ports
    )
    three = msgspec.structs.replace(SESSION, fragments=3)
    plan = msgspec.structs.replace(PLAN, sessions=(three,), ports=ports)
    due = np.arange(10)
    assert sampling(plan, three, (three.paths[0],), due).loss == pytest.approx(1 - 0.72**3)
    assert sampling(plan, three, (three.paths[1],), due).loss == pytest.approx(0.5)
    assert sampling(plan, three, (three.paths[0], three.paths[1]), due).loss == pytest.approx(
        1 - 0.72**3 * 0.5
    )
    copied = msgspec.structs.replace(
        three.paths[0], backups=(Backup(failed=None, nodes=FAR.nodes, label=9),)
    )
    assert sampling(plan, three, (copied,), due).loss == 0


def test_what_is_due_while_the_only_way_is_cut_has_no_way_to_go() -> None:
    due = MS * np.arange(10)
    a, b = SESSION.paths[0].nodes[1:3]

    def out(*events: LinkEvent | NodeEvent, path: Path = SESSION.paths[0]) -> list[int]:
        plan = msgspec.structs.replace(PLAN, sessions=(SESSION,), events=events)
        found: list[int] = np.flatnonzero(severed(plan, (path,), due, 2 * MS)).tolist()
        return found

    cut = LinkEvent(at_ns=3 * MS, action="cut", a=b, b=a)
    mend = LinkEvent(at_ns=8 * MS, action="mend", a=a, b=b)
    assert out(cut) == [3, 4, 5, 6, 7, 8, 9]
    assert out(mend, cut) == [3, 4, 5]  # what is due later may still be there in time
    assert out(msgspec.structs.replace(cut, action="silence"), mend) == [3, 4, 5]
    assert out(LinkEvent(at_ns=3 * MS, action="cut", a="agg1", b="core2")) == []
    assert out(NodeEvent(at_ns=6 * MS, action="drop", node=b), cut, mend) == [3, 4, 5, 6, 7, 8, 9]
    assert out(NodeEvent(at_ns=6 * MS, action="restart", node=b)) == []
    beside = Backup(failed=(a, b), nodes=FAR.nodes, label=9)
    assert out(cut, path=msgspec.structs.replace(SESSION.paths[0], backups=(beside,))) == []
