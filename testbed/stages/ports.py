"""The ports: read back, their gates and background begun with traffic, and counted."""

from __future__ import annotations

from typing import Any

from testbed.files import write_json
from testbed.stages.stage import RunStage


class Ports(RunStage):
    def prepare(self) -> None:
        self._tell()

    def start(self, start_ns: int) -> None:
        if any(port.timed for port in self.run.plan.ports):
            self.run.net.start_traffic(start_ns)
            self._tell()

    def collect(self) -> dict[str, Any]:
        return {"ports": self.run.net.statistics(), "datapath": self.run.appctl("dpctl/show")}

    def _tell(self) -> None:
        write_json(self.run.job / "readback.json", self.run.net.readback())
