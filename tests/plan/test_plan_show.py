"""The tables say what the plan says."""

from __future__ import annotations

from controllers.policies.lowest_delay import LowestDelay
from testbed.plan import show
from tests.plan.networks import MS, app, compiled, flow, probe, scenario

PLAN = compiled(LowestDelay(), scenario(flows=(flow(),)))


def test_rows_fit_their_headers() -> None:
    for table in show.tables(PLAN):
        assert table.rows, table.title
        assert {len(row) for row in table.rows} == {len(table.headers)}


def test_paths() -> None:
    assert show.paths(PLAN).rows[0] == ("p.forward", "gold", "h1 > s1 > s3 > s2 > h2", "16", "1")


def test_schedules_say_the_phase_and_the_clock() -> None:
    asked = scenario(probes=(probe(start_ns=MS, phase_ns=2 * MS, drift_ppb=-1500),))
    table = show.schedules(compiled(LowestDelay(), asked))
    (row,) = table.rows
    assert table.title == "Messages (seed 1)"
    assert row[1:] == ("h1", "3.00 ms", "10.0 ms", "periodic", "1,000", "1.5 ppm fast")


def test_budget_rows_hold_the_deadline_where_it_is_judged() -> None:
    forward, reverse = show.budgets(PLAN).rows
    # 2 x 200 us of fibre, 3 switches, 146 bytes and 24 on the wire at 100 Mbit/s twice
    assert forward == (
        "p",
        "UL",
        "100",
        "400 us",
        "3.00 us",
        "0 ns",
        "27.2 us",
        "430 us",
        "5.00 ms one-way",
    )
    assert reverse[1] == "DL"
    assert reverse[-1] == "-"


def test_round_trips_have_a_row_of_their_own() -> None:
    plan = compiled(LowestDelay(), app=app(judged="rtt", deadline_ns=2 * MS))
    *_, rtt = show.budgets(plan).rows
    assert rtt == ("p", "rtt", "", "", "", "", "", "860 us", "2.00 ms rtt")


def test_ports_list_their_queues() -> None:
    rows = show.ports(PLAN).rows
    at = next(n for n, row in enumerate(rows) if row[0] == "s1-eth2")
    assert rows[at][1:5] == ("s3", "", "201 us", "100 Mbit/s")
    assert rows[at + 1][2:6] == ("0 best-effort", "", "5 Mbit/s", "100 Mbit/s")
    assert rows[at + 2][2:7] == ("1 gold", "", "10 Mbit/s", "100 Mbit/s", "0")


def test_rules_of_one_switch() -> None:
    rows = show.rules(PLAN, "s3").rows
    assert {row[0] for row in rows} == {"s3"}
    assert rows[0][1:] == (
        "100",
        "in_port=1,eth_type=0x8847,mpls_label=16",
        "set_queue:1,output:2",
        "p.forward",
    )
    assert rows[-1][-1] == "best effort"
    assert len(show.rules(PLAN).rows) == len(PLAN.rules)
