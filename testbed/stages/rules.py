"""The rules of the switches: traced before traffic, and their counters held against the paths.

On a busy machine a switch may answer late, and a revalidator that is at a flow just then
leaves it out when all are asked to bring their counters up to date. Both pass, so nothing is
said to be wrong before it was so for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from testbed.emulation.proof import TraceResult, check_counters, trace_paths
from testbed.errors import EmulationError
from testbed.plan.model import Plan
from testbed.probes.carried import carried
from testbed.stages.stage import RunStage

SETTLE_S, SETTLE_STEP_S = 30.0, 0.5
"""How long counters may take to tell of all packets, and how often they are looked at."""


class Counting(Protocol):
    """A controller."""

    def counters(self) -> dict[str, Any]: ...


class Rules(RunStage):
    traces: list[TraceResult]
    status: dict[str, Any]
    wrong: EmulationError | None

    def prepare(self) -> None:
        self.run.say("prove", "asking the switches which way every path takes")
        self.traces = trace_paths(self.run.plan, self.run.appctl)

    def stop(self) -> None:
        run = self.run
        run.say("collect", "counters and queues")
        self.status, self.wrong = counters(run.plan, run.control, run.appctl, run.job)
        run.note(run.control.timeline)

    def collect(self) -> dict[str, Any]:
        return self.status | {"traces": self.traces}

    def judge(self) -> None:
        if self.wrong is not None:
            raise self.wrong


def counters(
    plan: Plan, control: Counting, appctl: Callable[[str], str], job: Path
) -> tuple[dict[str, Any], EmulationError | None]:
    """The controller's status with all rules' counters, and what is wrong with those."""
    arrived = carried(plan, job / "samples") if not plan.events else {}
    end = time.monotonic() + SETTLE_S
    while True:
        appctl("revalidator/purge")
        status = control.counters()
        wrong = None if plan.events else _wrong(plan, status, arrived)
        if wrong is None or time.monotonic() > end:
            return status, wrong
        time.sleep(SETTLE_STEP_S)


def _wrong(plan: Plan, status: dict[str, Any], arrived: dict[str, int]) -> EmulationError | None:
    """What counters have against the plan, where nothing but it has happened."""
    if status["silent"]:
        return EmulationError(
            f"no counters came from {', '.join(status['silent'])}",
            where="OpenFlow, after traffic",
            expected=f"an answer of every switch within {SETTLE_S:.0f} s",
            remedy="a less busy machine, or the virtual lab, whose clock waits",
        )
    try:
        check_counters(plan, status["counters"], arrived)
    except EmulationError as error:
        return error
    return None
