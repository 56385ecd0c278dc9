"""The background flows of real packets."""

from __future__ import annotations

from testbed.stages.stage import RunStage
from testbed.traffic.loads import Loads


class FlowLoads(RunStage):
    loads: Loads

    def prepare(self) -> None:
        run = self.run
        self.loads = Loads(run.plan, run.net.netns, run.job, run.watch)
        run.stack.callback(self.loads.stop)
        self.loads.prepare()

    def start(self, start_ns: int) -> None:
        self.loads.start(start_ns)

    def stop(self) -> None:
        self.loads.stop()
