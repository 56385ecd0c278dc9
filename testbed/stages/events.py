"""The plan's deltas at their times, and the timeline of all that happened."""

from __future__ import annotations

from typing import Any

from testbed.emulation.acts import Lab
from testbed.emulation.schedule import Schedule
from testbed.stages.stage import RunStage


class Events(RunStage):
    schedule: Schedule

    def start(self, start_ns: int) -> None:
        run = self.run
        lab = Lab(run.net, run.control, run.north)
        self.schedule = Schedule(run.plan.events, lab, start_ns, run.job / "timeline.jsonl")

    def stop(self) -> None:
        self.schedule.finish()
        self.run.watch.check()

    def collect(self) -> dict[str, Any]:
        self.schedule.complete(self.run.noted)
        return {}
