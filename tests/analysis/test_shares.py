"""Bounds of shares: losses by links apart from phases, and what phases may hide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from testbed.analysis.deadline import judge
from testbed.analysis.independence import RANDOM, Observations, Sampling
from testbed.analysis.over_runs import Pooled
from testbed.analysis.shares import CONFIDENCE, beyond, bounds, by_links, clopper_pearson, lost

MS = 1e6
ONE = Sampling(phases=1, locked=False)


def lossy(loss: float, n: int = 4000, seed: int = 1, **sampling: float) -> Observations:
    """One phase, one delay, and links that lose so many."""
    gone = np.random.default_rng(seed).random(n) < loss
    known = ONE._replace(loss=loss, most_ns=MS)._replace(**sampling)  # type: ignore[arg-type]
    return Observations(np.where(gone, math.inf, MS), known)


def test_what_links_lose_is_judged_by_message_however_few_the_phases() -> None:
    seen = lossy(0.005)
    verdict = judge(seen, MS, 0.99)
    assert (verdict.word, verdict.effective, verdict.limit) == ("met", 4000, "")
    assert (verdict.low, verdict.high) == pytest.approx(clopper_pearson(verdict.misses, 4000))
    assert judge(lossy(0.012, 400), MS, 0.99).word == "not shown"
    needed = judge(lossy(0.005, 400), MS, 0.99).needed
    assert needed is not None
    assert 400 < needed < 10_000


@pytest.mark.parametrize("most_ns", [MS, math.inf])
def test_much_loss_is_missed_whatever_queues_may_do(most_ns: float) -> None:
    verdict = judge(lossy(0.2, most_ns=most_ns), MS, 0.9)
    assert (verdict.word, verdict.limit, verdict.effective) == ("missed", "", 4000)


def test_little_loss_does_not_show_what_other_phases_do() -> None:
    """Nothing says that no queue is full at another phase."""
    verdict = judge(lossy(0.001, most_ns=math.inf), MS, 0.99)
    assert (verdict.word, verdict.effective, verdict.limit) == ("not shown", 1, "phases")
    late = judge(lossy(0.001, most_ns=2 * MS), 1.5 * MS, 0.99)
    assert (late.word, late.limit) == ("not shown", "phases")
    many = lossy(0.001, 60_000, most_ns=math.inf, phases=5000)
    assert judge(many, MS, 0.99).word == "met"


def test_drops_by_phase_do_not_pass_for_losses_by_links() -> None:
    pattern = np.where(np.arange(4000) % 20 == 0, math.inf, MS)
    none = Observations(pattern, ONE)
    beside = Observations(pattern, ONE._replace(loss=0.01))  # far more than the links lose
    in_step = Observations(np.where(np.arange(4000) < 40, math.inf, MS), ONE._replace(loss=0.01))
    for seen in (none, beside, in_step):
        assert by_links(seen) is None
        assert judge(seen, MS, 0.99).word == "not shown"
        assert judge(seen, MS, 0.9).word == "not shown"


def test_what_is_lost_for_good_is_missed_at_one_phase() -> None:
    """As by a cut: three quarters are lost, so that one in a hundred is at any mean of phases."""
    cut = Observations(np.where(np.arange(4000) < 1000, MS, math.inf), ONE)
    verdict = judge(cut, MS, 0.99)
    assert (verdict.word, verdict.effective) == ("missed", 1)
    assert verdict.low == pytest.approx(0.025 * 0.75)
    assert judge(cut, MS, 0.95).word == "not shown"  # a queue might do so at one phase in ten


def test_what_has_no_way_to_go_is_lost_at_any_phase() -> None:
    cut = Observations(np.where(np.arange(4000) < 2800, MS, math.inf), ONE._replace(gone=0.3))
    for reliability, word in ((0.99, "missed"), (0.71, "missed"), (0.7, "not shown")):
        assert judge(cut, MS, reliability).word == word
    assert lost(cut).low == 0.3
    assert cut.arrived().sampling.gone == 0
    two = Pooled([cut, Observations(np.full(2000, MS), ONE)])
    assert two.sampling.gone == pytest.approx(0.2)
    assert judge(two, MS, 0.9).word == "missed"


def test_losses_and_delays_at_few_phases_hold_together() -> None:
    """Each side of the interval, by simulation: links lose 2 %, and 5 % of phases are late."""
    random = np.random.default_rng(3)
    truth = 1 - 0.98 * 0.95
    above = below = 0
    trials = 300
    for _ in range(trials):
        first = random.integers(200)
        phase = (np.arange(2000) + first) % 200
        gone = random.random(2000) < 0.02
        delays = np.where(gone, math.inf, np.where(phase < 10, 2 * MS, MS))
        share, found = beyond(
            Observations(delays, Sampling(phases=200, locked=False, loss=0.02)), 1.5 * MS, 0.1
        )
        above += share.low > truth
        below += share.high < truth
        assert found.limit == "phases"
    assert max(above, below) / trials <= 0.025


def test_a_mean_is_at_least_a_fortieth_of_what_one_phase_shows() -> None:
    for ratio in (1e-4, 0.3, 1.0):
        assert bounds(ratio, 1.0).low == pytest.approx((1 - CONFIDENCE) * ratio, rel=0.01)
    # however rare phases that lose are, the bound exceeds the mean in 2.5 % of runs at most
    for share in (0.001, 0.02, 0.024, 0.03, 0.5):
        for ratio in (0.1, 0.6, 1.0):
            exceeds = share if bounds(ratio, 1.0).low > share * ratio else 0.0
            assert exceeds <= 0.025


def test_lost_messages_and_what_the_plan_excludes() -> None:
    none = Observations(np.full(4000, MS), ONE._replace(most_ns=MS))
    assert lost(none)[:2] == (0, 0)
    assert lost(Observations(np.full(4000, MS), ONE))[:2] == (0, 1)
    seen = lossy(0.005)
    assert lost(seen)[:2] == pytest.approx(clopper_pearson(int(np.isinf(seen.delays).sum()), 4000))
    assert lost(lossy(0.005, most_ns=math.inf)).high == 1


def test_runs_of_one_phase_over_links_that_lose() -> None:
    runs = [lossy(0.005, 1000, seed) for seed in range(5)]
    together = Pooled(runs)
    assert together.sampling.loss == pytest.approx(0.005)
    verdict = judge(together, MS, 0.99)
    assert (verdict.word, verdict.effective) == ("met", 5000)
    unknown = Pooled([lossy(0.005, 1000, seed, most_ns=math.inf) for seed in range(5)])
    assert judge(unknown, MS, 0.99).word == "not shown"
    assert len(unknown.arrived()) == sum(int(np.isfinite(run.delays).sum()) for run in runs)


def test_what_arrived_keeps_its_parts() -> None:
    delays = np.array([1.0, math.inf, 2.0, 3.0, math.inf, 4.0])
    seen = Observations(delays, RANDOM._replace(parts=(2, 5), loss=0.3)).arrived()
    assert seen.delays.tolist() == [1, 2, 3, 4]
    assert (seen.sampling.parts, seen.sampling.loss) == ((1, 3), 0)
