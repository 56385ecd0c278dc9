"""The plan's STAMP sessions and the null path's. Traffic is over when theirs is."""

from __future__ import annotations

from testbed.probes.engine import ProbeEngine
from testbed.probes.null_path import NullPath
from testbed.stages.stage import RunStage


class Probes(RunStage):
    engine: ProbeEngine

    def prepare(self) -> None:
        run = self.run
        run.say("measure", f"opening {len(run.plan.sessions)} probe sessions")
        null = NullPath(run.plan, run.net.netns, run.net.arrangement)
        run.stack.callback(null.close)
        self.engine = ProbeEngine(null.plan, null.netns, run.job)
        run.stack.callback(self.engine.close)
        self.engine.prepare()

    def start(self, start_ns: int) -> None:
        self.engine.start(start_ns)

    def stop(self) -> None:
        self.engine.finish(self.run.watch.check)
        self.run.watch.check()
