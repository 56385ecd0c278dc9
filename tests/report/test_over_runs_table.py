"""Words about deadlines before, after and over runs: what is settled, and what to type."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from controllers.policies.disjoint_pair import DisjointPair
from controllers.policies.lowest_delay import LowestDelay
from testbed.analysis.independence import Observations, Sampling
from testbed.analysis.outage import Outage
from testbed.analysis.over_runs import OverRuns, pooled
from testbed.analysis.summary import Seen, SummaryRow, summarise
from testbed.plan.model import Plan, Session
from testbed.report.beforehand import beforehand, broken
from testbed.report.over_runs import over_runs_table
from testbed.report.remedies import remedies
from testbed.results.samples import tidy
from testbed.scenario.model import Slice
from testbed.scenario.scenario import Scenario
from tests.plan.networks import MBIT, MS, S, compiled, flow, probe, scenario
from tests.results import synthetic


@pytest.fixture(scope="module")
def row() -> SummaryRow:
    plan = synthetic.plan()
    session = plan.sessions[1]
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return summarise(msgspec.structs.replace(plan, sessions=(session,)), frame)[0]


def with_deadline(plan: Plan, deadline_ns: int | None) -> Plan:
    sessions: tuple[Session, ...] = tuple(
        msgspec.structs.replace(one, deadline_ns=deadline_ns) for one in plan.sessions
    )
    return msgspec.structs.replace(plan, sessions=sessions)


def test_what_bound_and_budget_settle_is_said_before_the_run() -> None:
    plan = compiled(LowestDelay())
    (session,) = plan.sessions
    assert session.legs[0].bound is not None
    assert session.legs[0].bound.latency_ns is not None
    met = beforehand(with_deadline(plan, session.legs[0].bound.latency_ns))
    assert met == (
        "Deadlines before the run: p UL met at every phase, by the bound (network calculus)."
    )
    least_ns = session.legs[0].budget.total_ns
    assert beforehand(with_deadline(plan, least_ns - 1)).endswith(
        "beyond reach: the budget alone is more."
    )
    assert beforehand(with_deadline(plan, None)) == ""


def test_what_only_packets_show_is_not_said_to_be_settled() -> None:
    flooded = scenario(flows=(flow(kind="flood", rate_bps=200_000_000),), probes=(probe(),))
    told = beforehand(compiled(LowestDelay(), msgspec.structs.replace(flooded, scheduler="fifo")))
    assert told == "Deadlines before the run: p UL left to the run to measure."


def test_a_structure_that_the_plan_breaks_is_told_once_with_its_remedy() -> None:
    gold = Slice(id="gold", sst=2, guaranteed_bps=MBIT, diversity="link")
    made = scenario(slices=(gold,), probes=(probe("p"), probe("q")))
    (told,) = broken(compiled(LowestDelay(), made), made.slices)
    assert told.startswith("Slice gold is promised diversity of link, which is broken (h1 to h2): ")
    assert told.endswith('self.policy("disjoint_pair") looks for two such paths.')
    assert broken(compiled(DisjointPair(), made), made.slices) == []


def unshown(row: SummaryRow, **fields: Any) -> SummaryRow:
    told = {"session": "p", "verdict": "not shown", "limit": "", "direction": "UL"}
    return msgspec.structs.replace(row, **(told | fields))


def asked(**params: str) -> Scenario:
    return scenario(params=params, probes=(probe(duration_ns=20 * S),))


def test_what_was_not_shown_says_what_to_type(row: SummaryRow) -> None:
    few = unshown(row, duration_needed_ns=100 * S)
    assert remedies(asked(duration="20 s", other="3 s"), [few]) == [
        'To show whether p UL meets its deadline: --set duration="102 s".'
    ]
    (line,) = remedies(asked(other="x"), [few])
    assert line.endswith('deadline: probe p with duration="102 s".')
    long = unshown(row, duration_needed_ns=3 * 3600 * S, direction="DL")
    assert remedies(asked(duration="20 s"), [few, long]) == [
        'To show whether p UL and p DL meet theirs: --set duration="3.1 h".'
    ]


def test_what_events_cost_weighs_less_in_a_longer_run(row: SummaryRow) -> None:
    """2 of 10,000 lost where 1 of 10,000 is allowed: twice as many if all runs are like it, but
    these two were lost by a cut, and of 72,247 two are few enough."""
    cut = unshown(
        row, app="p", messages=10_000, effective=10_000.0, misses=2, lost=2, reliability=0.9999,
        messages_needed=10**9, duration_needed_ns=10**9 * MS,
    )  # fmt: skip
    cost = Outage(
        event="cut a-b", at_ns=S, session="p", app="p", direction="UL", lost=2, reordered=0,
        outage_ns=3 * MS,
    )  # fmt: skip
    (line,) = remedies(asked(duration="20 s"), [cut], [cost])
    assert line == 'To show whether p UL meets its deadline: --set duration="74 s".'
    for lost in (0, 1):
        other = msgspec.structs.replace(cost, lost=lost)
        (line,) = remedies(asked(duration="20 s"), [cut], [other])
        assert "283.4 h of such traffic, of which" in line


def test_one_phase_asks_for_repetitions(row: SummaryRow) -> None:
    phase = unshown(row, limit="phases", phases=1, effective=1.0, observations_needed=368)
    (line,) = remedies(asked(), [phase])
    assert line.startswith(
        "To show whether p UL meets its deadline: all its messages saw one phase of the "
    )
    assert "senders it meets: --repeat 368, or clocks that drift" in line
    none = unshown(row, duration_needed_ns=None, reliability=None)
    assert "no sample can show" in remedies(asked(), [none])[0]
    as_many = msgspec.structs.replace(none, reliability=0.999)
    assert "as many were late or lost as the class allows" in remedies(asked(), [as_many])[0]
    assert remedies(asked(), [msgspec.structs.replace(none, verdict="met")]) == []


@pytest.fixture
def together(row: SummaryRow) -> OverRuns:
    """Ten runs of one phase each, three of them late."""
    runs = [
        Observations(np.full(100, (12.0 if n < 3 else 2.0) * MS), Sampling(phases=1))
        for n in range(10)
    ]
    rows = [
        msgspec.structs.replace(row, miss_ratio=float(n < 3), reliability=0.5, max_ns=2.0 * MS)
        for n in range(10)
    ]
    return pooled(rows, [Seen(seen, seen) for seen in runs])


@pytest.mark.parametrize("width", [100, 120])
def test_runs_that_disagree_are_said_to_depend_on_the_seed(together: OverRuns, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(over_runs_table([together], list(range(1, 11)), "A [/b] question?"))
    text = console.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert "A [/b] question?" in text
    assert "3 of 10" in text
    assert "10 obs." in text
    assert "? not shown" in text
    assert "10 runs, seeds 1 to 10: 0 of 1 deadlines met, 1 not shown." in text
    assert "a cell like 10<368: the messages are surely worth 10" in " ".join(text.split())
    assert "it depends on the seed" in " ".join(text.split())


def test_a_run_that_was_cut_short_need_not_be_longer(row: SummaryRow) -> None:
    cut = unshown(row, duration_needed_ns=15 * S)
    (line,) = remedies(asked(duration="20 s"), [cut])
    assert line.endswith("deadline: what was planned is enough, if all of it is measured.")
