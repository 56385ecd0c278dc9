"""Packets kept at the ports that are asked for."""

from __future__ import annotations

from testbed.stages.stage import RunStage


class Captures(RunStage):
    def prepare(self) -> None:
        folder = self.run.job / "captures"
        folder.mkdir()
        self.run.net.start_captures(self.run.plan.captures, folder, self.run.watch)

    def stop(self) -> None:
        self.run.net.stop_captures(self.run.watch)
