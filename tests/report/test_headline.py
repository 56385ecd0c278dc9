"""Headlines answer the question with its numbers, and never more than was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.analysis.summary import SummaryRow, summarise_run
from testbed.plan.model import Load
from testbed.report.headline import headline
from testbed.results.folder import CONTROL, LOADS, SCENARIO, RunFolder
from testbed.scenario.scenario import Headline
from tests import ports
from tests.results import synthetic

MS = 1_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(synthetic.run_folder(tmp_path_factory.mktemp("headline") / "run"))


@pytest.fixture(scope="module")
def rows(run: RunFolder) -> list[SummaryRow]:
    return summarise_run(run)[0]


class Asked(RunFolder):
    """The made-up run, asked something else."""

    def __init__(self, run: RunFolder, kind: Headline) -> None:
        super().__init__(run.path)
        self.__dict__["scenario"] = msgspec.structs.replace(run.scenario, headline=kind)


def answer(run: RunFolder, kind: Headline, rows: list[SummaryRow]) -> str:
    return headline(Asked(run, kind), rows)


def changed(row: SummaryRow, **fields: Any) -> SummaryRow:
    return msgspec.structs.replace(row, **fields)


def test_verdicts_name_who_misses_and_by_how_much(run: RunFolder, rows: list[SummaryRow]) -> None:
    first = [changed(row, verdict="met", ground="sample") for row in rows[:2]]
    late = changed(rows[3], verdict="missed", ground="sample", miss_ratio=0.021, deadline_ns=5 * MS)
    far = changed(
        rows[3], verdict="missed", ground="budget", budget_ns=27 * MS, deadline_ns=20 * MS
    )
    assert answer(run, "verdicts", first) == "All 2 deadlines are met."
    told = answer(run, "verdicts", [*first, late])
    assert told == (
        "2 of 3 deadlines are met: telesurgery_haptic UL/DL; missed by "
        f"{late.app} {late.direction} (2.1 % lost or later; 5 ms asked)."
    )
    assert answer(run, "verdicts", [far]) == (
        f"Missed by {far.app} {far.direction} (takes 27.0 ms without any queue; 20 ms asked)."
    )
    unsure = answer(run, "verdicts", [*first, changed(rows[2], verdict="not shown")])
    assert unsure.endswith("not shown either way.")


def test_outages_say_how_long_and_what_it_cost(run: RunFolder, rows: list[SummaryRow]) -> None:
    told = answer(run, "outages", rows)
    assert told == (
        "Cut core1-agg2 at 6 s interrupts best_effort rtt for 8.00 ms, 40 messages lost (within "
        "the 50 ms of transport networks)."
    )


HOP = ("core2", "core3")
"""A link of the path that `llm_chat` shares with a flood."""


def flooded(run: RunFolder, rate_bps: int, sent_bytes: int, drops: int = 0) -> Asked:
    """The made-up run, beside a flood of 10 s over a link of 10 Mbit/s that counted so much."""
    asked = Asked(run, "isolation")
    plan = run.plan
    victim = plan.sessions[4]
    load: dict[str, Any] = {
        "id": "flood-1", "slice": "best", "kind": "flood", "src": "ue2", "dst": "cloud1",
        "src_ip": "10.0.0.1", "dst_ip": "10.0.0.2", "port": 5201, "rate_bps": rate_bps,
        "packet_bytes": 1454, "dscp": 0, "start_ns": 0, "duration_ns": 10 * 10**9,
        "paths": plan.sessions[5].paths,
    }  # fmt: skip
    slowed = tuple(
        ports.changed(port, rate_bps=10**7) if (port.node, port.peer_node) == HOP else port
        for port in plan.ports
    )
    asked.__dict__["plan"] = msgspec.structs.replace(plan, loads=(Load(**load),), ports=slowed)
    name = asked.plan.port(*HOP).name
    counted: dict[str, Any] = {"node": HOP[0], "name": name, "queues": []}
    counted |= {"sent_bytes": sent_bytes, "packets": sent_bytes // 1500, "drops": drops}
    records = {CONTROL: {"ports": [counted]}, LOADS: None}
    asked.record = records.get  # type: ignore[assignment,method-assign]
    assert set(HOP) <= set(victim.paths[0].nodes)
    return asked


def beside(rows: list[SummaryRow], word: str = "met", **fields: Any) -> list[SummaryRow]:
    """One row beside the flood's slice, and one in it."""
    victim = changed(rows[5], verdict=word, max_ns=2.0 * MS, deadline_ns=20 * MS, **fields)
    loud = changed(rows[2], slice="best", verdict="missed", max_ns=30.0 * MS, lost=0)
    assert victim.session == "llm_chat"
    return [victim, loud]


def test_isolation_is_answered_where_the_shared_link_was_overloaded(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    full = flooded(run, 15 * 10**6, 11 * 10**6, drops=5000)
    assert headline(full, beside(rows)) == (
        "Yes: llm_chat UL keeps 20 ms, 2.00 ms at most, while best floods their link core2 -> "
        "core3 to 148 % of its rate and takes up to 30.0 ms."
    )
    unsure = beside(rows, "not shown")
    assert headline(full, unsure).startswith("Not shown: llm_chat UL took 2.00 ms at most, while")
    broken = beside(rows, "missed", ground="sample", miss_ratio=0.5)
    assert headline(full, broken).startswith("No: missed by llm_chat UL (50 %")


def test_isolation_is_not_claimed_where_nothing_was_overloaded(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    idle = flooded(run, 3 * 10**6, 4 * 10**6)
    idle.__dict__["scenario"] = msgspec.structs.replace(idle.scenario, params={"flood": 0.3})
    told = headline(idle, beside(rows))
    assert told.startswith(
        "Not put to the test: the shared link core2 -> core3 was never overloaded, 32 % of its "
        "rate came to it (--set flood=1.1 overloads it); llm_chat UL keeps 20 ms"
    )
    apart = Asked(run, "isolation")
    apart.__dict__["plan"] = msgspec.structs.replace(idle.plan, ports=run.plan.ports)
    apart.record = idle.record  # type: ignore[method-assign]
    assert "no link with a rate is shared with best" in headline(apart, beside(rows))
    cut = flooded(run, 15 * 10**6, 0)
    cut.record = lambda name: None  # type: ignore[method-assign]
    assert headline(cut, beside(rows)).endswith("is not known: the run was cut short.")


def test_a_flood_that_slower_links_held_back_tests_nothing_but_policing_does(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    held = flooded(run, 15 * 10**6, 6 * 10**6)
    assert headline(held, beside(rows)).startswith("Not put to the test: ")
    name = held.plan.port(*HOP).name
    queue = {"id": 1, "sent_bytes": 6 * 10**6, "packets": 4000, "drops": 0, "policed": 7000}
    record = {"ports": [{"node": HOP[0], "name": name, "queues": [queue]}]}
    held.record = {CONTROL: record, LOADS: None}.get  # type: ignore[assignment,method-assign]
    assert "floods their link core2 -> core3 with 1" in headline(held, beside(rows))
    assert "of its rate, held to 48 % by policing, and takes up to" in headline(held, beside(rows))
    assert headline(held, beside(rows)).startswith("Yes: ")


def test_bounds_tell_who_came_nearest_or_went_beyond(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    kept = [
        changed(row, bound="kept", bound_ns=4 * MS, max_ns=n * 1.0 * MS, bound_over=0)
        for n, row in enumerate(rows[:3], start=1)
    ]
    told = answer(run, "bounds", kept)
    assert told.startswith("No: of ")
    assert "3.00 ms of 4.00 ms (75 %)" in told
    over = changed(kept[0], bound="exceeded", bound_over=5)
    assert answer(run, "bounds", [over, *kept[1:]]).startswith("Yes: 5 messages of telesurgery")
    assert answer(run, "bounds", [changed(row, bound="not judged") for row in kept]) == (
        "No bound could be judged."
    )


def test_reach_counts_those_within(run: RunFolder, rows: list[SummaryRow]) -> None:
    judged = [
        changed(row, verdict=word, max_ns=at * MS, deadline_ns=MS, lost=0)
        for row, word, at in zip(rows, ("met", "met", "missed"), (0.5, 0.9, 1.48), strict=False)
    ]
    told = answer(run, "reach", judged)
    assert told.startswith("2 of 3 (67 %) lie within 1 ms; the farthest,")
    assert told.endswith("takes up to 1.48 ms.")


def test_gain_is_what_queues_add(run: RunFolder, rows: list[SummaryRow]) -> None:
    told = answer(run, "gain", rows[:1])
    assert told.startswith("Queues add ")
    assert re.search(r"at p99.9 \(.* to .*\) to telesurgery_haptic UL \(urllc\)", told)


def test_each_kind_is_one_sentence_of_any_run(run: RunFolder, rows: list[SummaryRow]) -> None:
    kinds: tuple[Headline, ...] = ("verdicts", "outages", "isolation", "bounds", "gain", "reach")
    for kind in kinds:
        told = answer(run, kind, rows)
        assert told.endswith("."), kind
        assert "\n" not in told


def test_nothing_measured_has_no_answer(run: RunFolder) -> None:
    assert headline(run, []) == ""


def test_the_scenario_is_read_from_the_run(run: RunFolder) -> None:
    raw = (Path(run.path) / SCENARIO).read_bytes()
    assert msgspec.json.decode(raw).get("headline", "verdicts") == run.scenario.headline


def test_an_outage_of_a_run_that_was_cut_short_is_none_that_was_not_seen(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    early = Asked(run, "outages")
    early.__dict__["plan"] = msgspec.structs.replace(run.plan, events=())
    assert headline(early, rows).startswith("Not shown: ")
    late = Asked(run, "outages")
    frame = run.samples.copy()
    gone = frame["intended_ns"] > 6_000 * MS
    frame.loc[gone, "arrived"] = 0
    frame.loc[gone, ["answered", "received", "lost_forward", "lost_reverse"]] = False
    frame.loc[gone, ["forward_ns", "reverse_ns", "rtt_ns"]] = None
    late.__dict__["samples"] = frame
    told = headline(late, rows)
    assert "telesurgery_haptic UL until the run's end, 0 messages lost" in told
    assert told.endswith("(not restored).")


def test_orders_of_which_nothing_is_known_disturb_nobody_and_spare_nobody(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    assert answer(run, "orders", rows).startswith("Not shown: the run was cut short")


def test_no_deadline_is_invalid_for_a_reason_it_has_not(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    load = changed(rows[0], verdict="not valid", doubt="load")
    assert answer(run, "verdicts", [load]) == (
        "telesurgery_haptic UL not valid: a load was not sent as planned."
    )


def test_a_bound_that_an_event_ended_was_not_kept_by_all(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    kept = changed(rows[0], bound="kept", bound_ns=4 * MS, max_ns=3.0 * MS, bound_over=0)
    later = changed(kept, direction="DL", max_ns=40.0 * MS)
    told = answer(run, "bounds", [kept, later])
    assert f"of {kept.messages:,} messages none" in told
    assert "3.00 ms of 4.00 ms (75 %)" in told
    assert told.endswith("telesurgery_haptic DL took longer after the first event only.")
    assert answer(run, "bounds", [later]).startswith("No, until the first event: ")


def test_what_was_lost_or_not_measured_takes_no_time(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    lossy = changed(rows[0], lost=1)
    assert answer(run, "reach", [lossy]).endswith("telesurgery_haptic UL, loses messages.")
    none = changed(rows[0], messages=0, max_ns=None, p50=None, p99=None, p999=None)
    assert "farthest" not in answer(run, "reach", [none])
    assert answer(run, "gain", [none]).startswith("Not shown: ")
    gone = changed(none, messages=5, lost=5)
    assert answer(run, "gain", [gone]).startswith("Queues add loss at most to ")


def test_deadlines_are_told_from_short_to_long(run: RunFolder, rows: list[SummaryRow]) -> None:
    asked = [changed(rows[0], deadline_ns=ns) for ns in (20 * MS, 5 * MS, 500_000)]
    assert "lie within 500 us, 5 ms and 20 ms" in answer(run, "reach", asked)


def test_what_was_lost_without_an_event_is_not_left_out(
    run: RunFolder, rows: list[SummaryRow]
) -> None:
    spared = Asked(run, "outages")
    frame = run.samples.copy()
    spared.__dict__["samples"] = frame[frame["session"] == rows[0].session]
    quiet = [changed(rows[0], lost=0)]
    assert headline(spared, quiet) == ("Not at all: no message was lost by cut core1-agg2 at 6 s.")
    assert headline(spared, [changed(rows[0], lost=3)]).endswith("; 3 were lost otherwise.")
    gone = [changed(rows[0], lost=10_000, max_ns=None)]
    assert headline(spared, gone).startswith("Not shown: ")
