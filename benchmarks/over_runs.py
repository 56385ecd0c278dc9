"""How often intervals over runs hold the truth: campaigns of runs of two models.

    python -m benchmarks.over_runs                 300 campaigns each, a minute or two
    python -m benchmarks.over_runs --campaigns 2000

Two periodic senders at one port: a run has one phase, drawn evenly, and one delay. M/D/1: a
run is so many successive waits in a queue with deterministic service (Lindley's recursion).
The truth is exact for the first, of a long run for the second. A row says in how many
campaigns the 95 % interval of the miss ratio held it, in how many its upper bound fell short
of it, and in how many `met` was said where a fifth more than allowed misses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from testbed.analysis.deadline import judge
from testbed.analysis.independence import RANDOM, Observations, Sampling
from testbed.analysis.over_runs import Pooled

Values = NDArray[np.float64]
MESSAGES = 2000
ONE_PHASE = Sampling(phases=1)


def phases(missing: float) -> Callable[[np.random.Generator], Observations]:
    """Runs of one phase each, a share of which misses a deadline of 1."""

    def run(draw: np.random.Generator) -> Observations:
        return Observations(np.full(MESSAGES, 2.0 * (draw.random() < missing)), ONE_PHASE)

    return run


def waits(load: float, messages: int, draw: np.random.Generator) -> Values:
    """Waits of successive arrivals at M/D/1 in service times, from its stationary state on."""
    warm = 20_000
    steps = 1.0 - draw.exponential(1 / load, messages + warm)
    sums = np.concatenate([[0.0], np.cumsum(steps)])
    found: Values = (sums - np.minimum.accumulate(sums))[warm + 1 :]
    return found


def queue(load: float, deadline: float) -> Callable[[np.random.Generator], Observations]:
    """Runs of M/D/1, as shares of the deadline."""

    def run(draw: np.random.Generator) -> Observations:
        return Observations(waits(load, MESSAGES, draw) / deadline, RANDOM)

    return run


def campaign(
    run: Callable[[np.random.Generator], Observations],
    truth: float,
    runs: int,
    draw: np.random.Generator,
) -> tuple[bool, bool, bool]:
    """Whether the interval holds the truth, is wholly below it, and `met` is said wrongly."""
    together = Pooled([run(draw) for _ in range(runs)])
    found = judge(together, 1.0, 1 - truth / 1.2)
    return found.low <= truth <= found.high, found.high < truth, found.word == "met"


def main() -> int:
    parser = argparse.ArgumentParser(description="Coverage of intervals over runs.")
    parser.add_argument("--campaigns", type=int, default=300)
    parser.add_argument("--runs", type=int, default=10)
    asked = parser.parse_args()
    cases: list[tuple[str, Callable[[np.random.Generator], Observations], float]] = [
        (f"two periodic senders, {missing:.0%} of phases miss", phases(missing), missing)
        for missing in (0.05, 0.3)
    ]
    for load in (0.5, 0.7, 0.9):
        long = waits(load, 4_000_000, np.random.default_rng(1))
        deadline = float(np.quantile(long, 0.99))
        truth = float((long > deadline).mean())
        cases.append((f"M/D/1 at {load}, 1 % misses", queue(load, deadline), truth))
    table = Table("model", "campaigns", "holds", "falls short", "met wrongly", box=None)
    worst = 0.0
    for number, (name, run, truth) in enumerate(cases):
        draw = np.random.default_rng(number)
        found = np.array(
            [campaign(run, truth, asked.runs, draw) for _ in range(asked.campaigns)], dtype=float
        )
        holds, short, wrong = found.mean(axis=0)
        worst = max(worst, wrong)
        table.add_row(name, str(asked.campaigns), f"{holds:.1%}", f"{short:.1%}", f"{wrong:.1%}")
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(f"{asked.runs} runs a campaign, {MESSAGES:,} messages each")
    console.print(table)
    return 0 if worst <= 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
