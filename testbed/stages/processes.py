"""The processes of a run: one that ends before it was to is told, by what it means."""

from __future__ import annotations

from typing import Any

from testbed.stages.stage import RunStage


class Processes(RunStage):
    def start(self, start_ns: int) -> None:
        self.run.watch.begin(start_ns)

    def stop(self) -> None:
        self.run.watch.over()

    def collect(self) -> dict[str, Any]:
        return {"died": [death.record() for death in self.run.watch.deaths()]}
