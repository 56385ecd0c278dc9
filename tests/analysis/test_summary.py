"""The summary of a made-up run against numbers computed by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from testbed.analysis.fidelity import NOTHING_KNOWN, Floor
from testbed.analysis.percentiles import Estimate, Refused
from testbed.analysis.summary import (
    SummaryRow,
    record,
    summarise,
    write_summary,
)
from testbed.net.legs import budget_over
from testbed.plan.model import Load, Plan, Session
from testbed.probes.arrivals import MISSING
from testbed.report import wording
from testbed.results.folder import RunFolder
from testbed.results.samples import tidy
from testbed.scenario.events.link import LinkEvent
from tests.results import synthetic


@pytest.fixture(scope="module")
def plan() -> Plan:
    return synthetic.plan()


def _rows(plan: Plan, raws: dict[str, np.ndarray]) -> dict[tuple[str, str], SummaryRow]:
    samples = pd.concat([tidy(name, rows).to_pandas() for name, rows in raws.items()])
    return {(row.app, row.direction): row for row in summarise(plan, samples)}


def test_one_row_per_judged_direction(plan: Plan) -> None:
    rows = _rows(plan, synthetic.raws(plan))
    assert list(rows) == [
        ("telesurgery_haptic", "UL"),
        ("telesurgery_haptic", "DL"),
        ("v2x_l4_coop", "UL"),
        ("ar_vr_dl", "UL"),
        ("hft_order", "rtt"),
        ("llm_chat", "UL"),
        ("best_effort", "rtt"),
    ]
    haptic = rows["telesurgery_haptic", "UL"]
    assert (haptic.messages, haptic.warmup, haptic.lost) == (10_000, 1_000, 0)
    assert haptic.verdict == "met"
    assert isinstance(haptic.p50, Estimate)
    assert haptic.residual_p50_ns == haptic.p50.value - haptic.budget_ns
    assert rows["v2x_l4_coop", "UL"].verdict == "not shown"
    assert isinstance(rows["v2x_l4_coop", "UL"].p999, Refused)
    assert isinstance(rows["llm_chat", "UL"].p99, Refused)
    assert rows["hft_order", "rtt"].verdict == "missed"
    assert rows["best_effort", "rtt"].verdict == "no deadline"
    assert rows["telesurgery_haptic", "DL"].path.startswith("edge1>agg2>")


def _one(plan: Plan, name: str) -> Session:
    return next(s for s in plan.sessions if s.app == name)


def test_a_session_alone_is_as_many_observations_as_packets(plan: Plan) -> None:
    session = _one(plan, "telesurgery_haptic")
    alone = msgspec.structs.replace(plan, sessions=(session,))
    row = _rows(alone, {session.id: synthetic.raw(session)})[session.app, "UL"]
    assert (row.verdict, row.ground, row.limit, row.phases) == ("met", "sample", "", None)
    assert (row.effective, row.observations_needed, row.messages_needed) == (10_000, 3688, 3688)
    assert row.duration_needed_ns == (1_000 + 3_688) * session.interval_ns
    assert isinstance(row.p999, Estimate)
    assert row.p999.by == "sample"
    flat = record(row)
    assert flat["p999_high_ns"] == row.p999.high


def test_a_lost_packet_among_many_is_a_percentile_of_its_own(plan: Plan) -> None:
    session = _one(plan, "telesurgery_haptic")
    rows = synthetic.raw(session)
    for seq in np.random.default_rng(1).choice(10_000, 1000, replace=False):
        synthetic.lose(rows, "reverse", slice(1000 + seq, 1001 + seq))
    alone = msgspec.structs.replace(plan, sessions=(session,))
    down = _rows(alone, {session.id: rows})[session.app, "DL"]
    assert (down.lost, down.verdict) == (1000, "missed")
    assert isinstance(down.p99, Estimate)
    assert math.isinf(down.p99.value)


def test_numbers_of_a_known_sample(plan: Plan) -> None:
    session = msgspec.structs.replace(_one(plan, "ar_vr_dl"), warmup_ns=160_000_000)
    rows = synthetic.raw(session)
    rows["forward_ns"] = 1_000_000 + 1_000 * rows["seq"]
    rows["schedule_error_ns"] = 5
    synthetic.lose(rows, "forward", slice(20, 21))
    rows["reordered_forward"][[5, 30, 40]] = True
    row = summarise(
        msgspec.structs.replace(plan, sessions=(session,)), tidy(session.id, rows).to_pandas()
    )[0]
    assert (row.warmup, row.messages, row.lost, row.misses) == (10, 690, 1, 1)
    assert row.first_ns == 1_000_000
    assert row.min_ns == 1_010_000
    assert row.max_ns == 1_699_000
    assert isinstance(row.p50, Refused)  # a delay that only grows was observed once
    assert row.effective < 6
    assert row.ipdv_p99_ns == 1_000
    assert row.schedule_error_p99_ns == 5
    assert row.reordered == 2  # the other was in the warm-up


def test_a_reverse_loss_leaves_the_forward_delay(plan: Plan) -> None:
    session = _one(plan, "telesurgery_haptic")
    rows = synthetic.raw(session)
    synthetic.lose(rows, "reverse", slice(5000, 6000))
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    assert got[session.app, "UL"].lost == 0
    down = got[session.app, "DL"]
    assert down.lost == 1000
    assert down.verdict == "missed"
    assert (type(down.p99), down.limit) == (Refused, "correlated")  # one outage
    assert 5 < down.effective < 20
    assert down.availability == pytest.approx(1 - 999 / 10_000)


def test_what_never_arrived_was_not_answered(plan: Plan) -> None:
    session = _one(plan, "telesurgery_haptic")
    rows = synthetic.raw(session)
    synthetic.lose(rows, "forward", slice(5000, 6000))
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    up, down = got[session.app, "UL"], got[session.app, "DL"]
    assert (up.lost, up.verdict) == (1000, "missed")
    assert (down.lost, down.unstamped, down.messages) == (0, 0, up.messages - 1000)


def test_a_message_is_there_when_all_of_it_is(plan: Plan) -> None:
    """Of three packets, one a message is lost; the last one always came and was answered."""
    one = _one(plan, "telesurgery_haptic")
    session = msgspec.structs.replace(one, judged=("forward", "reverse", "rtt"))
    rows = synthetic.raw(session)
    rows["packets"] = rows["arrived"] = 3
    some = slice(5000, 5010)
    rows["arrived"][some] = 2
    rows["lost_forward"][some] = True
    rows["reordered_packets"][:1001] = 2
    for name in ("forward_ns", "rtt_ns"):
        rows[name][some] = MISSING
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    there, back, trip = (got[session.app, way] for way in ("UL", "DL", "rtt"))
    assert (there.messages, there.lost, there.misses) == (10_000, 10, 10)
    assert (there.packets, there.packets_lost, there.packets_reordered) == (30_000, 10, 2)
    assert (back.messages, back.lost, back.packets, back.packets_lost) == (10_000, 0, 10_000, 0)
    assert (trip.lost, trip.packets, trip.packets_lost) == (10, 40_000, 10)


def test_a_packet_faster_than_its_budget_is_the_labs_error(plan: Plan) -> None:
    session = _one(plan, "hft_order")
    rows = synthetic.raw(session)
    total_ns = budget_over(session.legs).total_ns
    rows["forward_ns"], rows["reverse_ns"] = total_ns, 0
    rows["forward_ns"][1500] = total_ns - 700
    floor = Floor(packets=9, lost=0, hop_ns=0, p99_ns=0, p999_ns=0, max_ns=0, stalls=0)
    samples = tidy(session.id, rows).to_pandas().assign(schedule_error_ns=0)
    one = msgspec.structs.replace(plan, sessions=(session,))
    (row,) = summarise(one, samples, NOTHING_KNOWN._replace(floor=floor))
    assert (row.min_ns, row.fidelity_ns, row.fidelity_shaper_ns) == (total_ns - 700, 700, 700)


@pytest.mark.parametrize("way", ["forward", "reverse"])
def test_a_round_trip_is_lost_with_either_way(plan: Plan, way: str) -> None:
    session = _one(plan, "hft_order")
    rows = synthetic.raw(session)
    synthetic.lose(rows, way, slice(1000, 1010))
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    row = got[session.app, "rtt"]
    assert (row.lost, row.messages, row.unstamped) == (10, 1_800, 0)
    assert row.misses >= 10


@pytest.mark.parametrize(("beyond_ns", "available"), [(0, 1.0), (1, 1 - 999 / 10_000)])
def test_a_packet_past_its_deadline_is_unavailability(
    plan: Plan, beyond_ns: int, available: float
) -> None:
    session = _one(plan, "telesurgery_haptic")
    assert session.deadline_ns is not None
    rows = synthetic.raw(session)
    for name in ("forward_ns", "forward_intended_ns"):
        rows[name][5000:6000] = session.deadline_ns + beyond_ns
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    assert got[session.app, "UL"].availability == pytest.approx(available)


def test_a_packet_without_a_timestamp_is_neither_lost_nor_judged(plan: Plan) -> None:
    session = _one(plan, "hft_order")
    rows = synthetic.raw(session)
    rows["reverse_ns"][500] = rows["rtt_ns"][500] = rows["rtt_intended_ns"][500] = MISSING
    rows["sent_ns"][600] = rows["forward_ns"][600] = rows["rtt_ns"][600] = MISSING
    row = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})[
        session.app, "rtt"
    ]
    assert (row.lost, row.unstamped, row.messages) == (0, 2, 1_798)


def test_traffic_that_was_not_offered_as_planned_shows_nothing(plan: Plan) -> None:
    session = _one(plan, "telesurgery_haptic")
    rows = synthetic.raw(session)
    rows["schedule_error_ns"] = session.interval_ns + 1
    got = _rows(msgspec.structs.replace(plan, sessions=(session,)), {session.id: rows})
    assert {row.verdict for row in got.values()} == {"not valid"}
    assert all(row.misses == 0 for row in got.values())


def test_session_without_packets(plan: Plan) -> None:
    rows = _rows(plan, {_one(plan, "llm_chat").id: synthetic.raw(_one(plan, "llm_chat"))})
    silent = rows["v2x_l4_coop", "UL"]
    assert (silent.messages, silent.verdict, silent.max_ns) == (0, "not shown", None)


def test_round_trip_budget_is_both_ways(plan: Plan) -> None:
    session = _one(plan, "hft_order")
    assert (
        budget_over(session.legs).total_ns
        == session.legs[0].budget.total_ns + session.legs[1].budget.total_ns
    )


def test_csv_and_json(tmp_path: Path) -> None:
    run = synthetic.run_folder(tmp_path / "run")
    write_summary(run)
    table = RunFolder(run).summary
    assert len(table) == 7
    assert table["p999_ns"].isna().sum() == 4  # refused: an empty cell
    rows = summarise(RunFolder(run).plan, RunFolder(run).samples)
    assert list(table.columns) == list(record(rows[0]))
    plain = RunFolder(run).summary_rows()
    # two losses in a hundred
    assert [plain[-1][f"p99{nine}_{what}"] for nine in ("", "9") for what in ("ns", "low_ns")] == (
        ["inf"] * 4
    )
    assert [plain[-2][f"p999_{what}"] for what in ("ns", "low_ns", "by")] == [None] * 3  # refused
    assert plain[-1]["deadline_ns"] is None
    for row, flat in zip(rows, plain, strict=True):
        assert flat["deadline_ns"] == row.deadline_ns
        assert flat["verdict"] == row.verdict
        assert flat["messages"] == row.messages
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_phases_are_those_that_the_verdict_counts(plan: Plan) -> None:
    """A run beside TCP that was cut short while nothing came any more: so the delays repeat."""
    session = _one(plan, "telesurgery_haptic")
    load = Load(
        id="l", slice="best", kind="tcp", src="ue1", dst="edge1", src_ip="10.0.0.1",
        dst_ip="10.0.0.2", port=5201, rate_bps=10**7, packet_bytes=1448, dscp=0, start_ns=0,
        duration_ns=plan.duration_ns, paths=session.paths,
    )  # fmt: skip
    alone = msgspec.structs.replace(plan, sessions=(session,), loads=(load,), events=())
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    out = frame["seq"] >= session.count // 2
    frame.loc[out, "arrived"] = 0
    frame.loc[out, ["answered", "received"]] = False
    frame.loc[out, ["forward_ns", "reverse_ns", "rtt_ns"]] = pd.NA
    row, _ = summarise(alone, frame)
    assert (row.limit, row.phases, row.lost) == ("phases", 1, 0)
    assert "all messages saw one phase" in wording.verdict(row)


def test_a_cut_for_good_is_missed_at_one_phase_too(plan: Plan) -> None:
    """30 % are lost beside a sender in step, where 0.1 % may be."""
    session = _one(plan, "telesurgery_haptic")
    beside = msgspec.structs.replace(session, id="beside")
    at_ns = session.warmup_ns + 7000 * session.interval_ns
    a, b = session.paths[0].nodes[1:3]
    cut = LinkEvent(at_ns=at_ns, action="cut", a=a, b=b)
    made = msgspec.structs.replace(plan, sessions=(session, beside), events=(cut,))
    rows = synthetic.raw(session)
    synthetic.lose(rows, "forward", slice(8000, len(rows)))
    frame = tidy(session.id, rows).to_pandas()
    row = summarise(made, frame)[0]
    assert (row.verdict, row.limit, row.phases) == ("missed", "phases", 1)
    assert row.miss_low == pytest.approx(0.3)
    assert isinstance(row.p99, Estimate)
    assert math.isinf(row.p99.low)
    # one that came nevertheless: the plan does not tell what is lost
    frame.loc[frame["seq"] == 9000, "lost_forward"] = False
    frame.loc[frame["seq"] == 9000, "forward_ns"] = 10**6
    one = summarise(made, frame)[0]
    assert one.miss_low == pytest.approx(0.025 * one.miss_ratio)
