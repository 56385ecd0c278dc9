"""Several runs together: worth as many observations as they are independent."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from testbed.analysis.fidelity import NOTHING_KNOWN
from testbed.analysis.independence import RANDOM, Observations, Sampling
from testbed.analysis.over_runs import OverRuns, Pooled, over_runs
from testbed.analysis.over_runs import pooled as of_all
from testbed.analysis.percentiles import Estimate, Refused
from testbed.analysis.shares import clopper_pearson
from testbed.analysis.summary import Seen, SummaryRow, observations, summarise
from testbed.errors import InputError
from testbed.results.folder import RunFolder
from testbed.results.samples import tidy
from tests.results import synthetic

MS = 1_000_000
ONE_PHASE = Sampling(phases=1)
Values = NDArray[np.float64]


@pytest.fixture(scope="module")
def row() -> SummaryRow:
    """Of a session with a deadline of 10 ms and 99.99 %."""
    plan = synthetic.plan()
    session = plan.sessions[1]
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return summarise(msgspec.structs.replace(plan, sessions=(session,)), frame)[0]


def constant(late: bool, n: int = 1000) -> Observations:
    """A run of two periodic senders: one phase, one delay."""
    return Observations(np.full(n, 12.0 * MS if late else 2.0 * MS), ONE_PHASE)


def pooled(rows: list[SummaryRow], runs: list[Observations]) -> OverRuns:
    return of_all(rows, [Seen(seen, seen) for seen in runs])


def of_run(row: SummaryRow, seen: Observations, **fields: object) -> SummaryRow:
    """The row, with as many misses as were seen."""
    late = int(np.count_nonzero(seen.delays > 10 * MS))
    told = {"misses": late, "miss_ratio": late / len(seen), "max_ns": float(seen.delays.max())}
    return msgspec.structs.replace(row, messages=len(seen), **{**told, **fields})


def test_runs_of_one_phase_are_one_observation_each(row: SummaryRow) -> None:
    runs = [constant(late=n < 3) for n in range(10)]
    found = pooled([of_run(row, seen) for seen in runs], runs)
    assert found.effective == pytest.approx(10)
    assert (found.miss_low, found.miss_high) == pytest.approx(clopper_pearson(3, 10))
    assert (found.over, found.runs) == (3, 10)
    assert found.miss_ratio == pytest.approx(0.3)
    assert found.verdict == "missed"  # 99.99 % is asked
    assert found.p99 == Refused(worth=10, needed=368)
    assert isinstance(found.p50, Estimate)
    assert (found.max_least_ns, found.max_ns) == (2 * MS, 12 * MS)


def test_ten_phases_in_time_do_not_show_a_reliability(row: SummaryRow) -> None:
    runs = [constant(late=False) for _ in range(10)]
    found = pooled([of_run(row, seen) for seen in runs], runs)
    assert found.verdict == "not shown"
    assert found.miss_high == pytest.approx(0.3085, abs=1e-4)
    assert found.runs_needed == 36_887


def test_independent_messages_count_each() -> None:
    draw = np.random.default_rng(1)
    runs = [Observations(draw.exponential(1.0, 2000), RANDOM) for _ in range(5)]
    found = Pooled(runs).effective(5.0, 0.01)
    assert found.size == pytest.approx(10_000)


def test_what_differs_between_runs_counts_as_runs() -> None:
    """Where each run has a miss ratio of its own, though its messages are independent."""
    draw = np.random.default_rng(2)
    runs = [
        Observations((draw.random(2000) < ratio).astype(float), RANDOM)
        for ratio in draw.uniform(0, 0.4, 12)
    ]
    found = Pooled(runs).effective(0.5, 0.2)
    assert 12 < found.size < 500
    ratios = np.array([seen.delays.mean() for seen in runs])
    inside = [seen.delays for seen in runs]
    p = float(np.concatenate(inside).mean())
    assert found.size < p * (1 - p) / (float(np.var(ratios, ddof=1)) / len(runs))


def test_the_bound_decides_without_counting(row: SummaryRow) -> None:
    runs = [constant(late=False) for _ in range(2)]
    rows = [of_run(row, seen, verdict="met", ground="bound") for seen in runs]
    assert pooled(rows, runs).verdict == "met"
    assert pooled(rows, runs).ground == "bound"
    one_of_two = [rows[0], msgspec.structs.replace(rows[1], ground="sample")]
    assert pooled(one_of_two, runs).verdict == "not shown"


def test_a_run_the_lab_could_not_resolve_spoils_all(row: SummaryRow) -> None:
    runs = [constant(late=False) for _ in range(2)]
    rows = [of_run(row, runs[0]), of_run(row, runs[1], verdict="not valid")]
    assert pooled(rows, runs).verdict == "not valid"


def test_lost_messages_stay_lost(row: SummaryRow) -> None:
    runs = [Observations(np.array([MS, math.inf] * 50), RANDOM) for _ in range(4)]
    found = pooled([of_run(row, seen, lost=50) for seen in runs], runs)
    assert (found.lost, found.miss_ratio, found.messages) == (200, 0.5, 400)


def test_one_seed_twice_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = RunFolder(synthetic.run_folder(tmp_path_factory.mktemp("runs") / "run"))
    with pytest.raises(InputError, match="two runs have seed 7"):
        over_runs([folder, folder])


def test_the_order_of_the_runs_does_not_matter() -> None:
    draw = np.random.default_rng(1)
    alike = [Observations(np.repeat(draw.exponential(1.0, 500), 4), RANDOM) for _ in range(5)]
    alone = Observations(draw.exponential(1.0, 2000), RANDOM)
    first, last = (Pooled(runs).effective(3, 0.05) for runs in ([alone, *alike], [*alike, alone]))
    assert first.surely == pytest.approx(last.surely)
    assert first.surely > 0.9 * first.size


def test_a_run_that_measured_nothing_is_none_that_kept_its_deadline(row: SummaryRow) -> None:
    runs = [constant(late=True), Observations(np.array([]), RANDOM)]
    rows = [of_run(row, runs[0]), msgspec.structs.replace(row, messages=0, miss_ratio=0.0)]
    found = pooled(rows, runs)
    assert (found.over, found.over_low, found.over_high) == (1, *clopper_pearson(1, 1))


def test_what_was_overdue_in_a_run_that_was_cut_short_is_late_over_runs_too() -> None:
    made = synthetic.plan()
    (session,) = (s for s in made.sessions if s.app == "telesurgery_haptic")
    plan = msgspec.structs.replace(made, sessions=(session,), events=())
    cut = tidy(session.id, synthetic.raw(session)).to_pandas()
    out = cut["seq"] >= session.count - 2000
    cut.loc[out, "arrived"] = 0
    cut.loc[out, ["answered", "received"]] = False
    cut.loc[out, ["forward_ns", "reverse_ns", "rtt_ns"]] = pd.NA
    row, _ = summarise(plan, cut)
    seen = observations(plan, session, "forward", cut, NOTHING_KNOWN)
    assert row.overdue > 1900
    found = of_all([row, row], [seen, seen])
    assert (found.messages, found.misses) == (2 * row.messages, 2 * row.misses)
    assert (found.lost, found.verdict) == (0, "missed")
    # a percentile is of messages whose fate is known
    assert isinstance(found.p50, Estimate)
    assert np.isfinite(found.p50.high)
    assert len(seen.settled) == len(seen.judged) - row.overdue
