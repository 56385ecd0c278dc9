"""Each second of traffic: progress is told, and the lab's clock looked at."""

from __future__ import annotations

import threading
import time
from typing import Any

from testbed.probes.clocks import Clocks
from testbed.stages.stage import RunStage

_SECOND_NS = 1_000_000_000


class Seconds(RunStage):
    clocks: Clocks

    def start(self, start_ns: int) -> None:
        self.clocks = Clocks(start_ns)
        threading.Thread(target=self._count, args=(start_ns,), daemon=True).start()

    def _count(self, start_ns: int) -> None:
        plan = self.run.plan
        seconds = max(1, round(plan.duration_ns / _SECOND_NS))
        text = f"{len(plan.sessions)} sessions, {len(plan.loads)} loads"
        for second in range(seconds + 1):
            time.sleep(max(0, start_ns + second * _SECOND_NS - time.monotonic_ns()) / 1e9)
            self.clocks.look()
            self.run.say("traffic", text, second, seconds)

    def collect(self) -> dict[str, Any]:
        return {"began_realtime_ns": self.clocks.began_realtime_ns}

    def judge(self) -> None:
        self.clocks.check()
