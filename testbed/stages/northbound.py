"""The northbound service, where an event asks it for anything."""

from __future__ import annotations

from typing import Any

from testbed.northbound.address import PORT
from testbed.northbound.child import Northbound
from testbed.plan.model import Plan
from testbed.scenario.events.order import OrderEvent
from testbed.stages.stage import Run, RunStage


class Orders(RunStage):
    north: Northbound
    slices: Any

    @classmethod
    def asked(cls, plan: Plan) -> bool:
        return any(isinstance(event, OrderEvent) for event in plan.events)

    def prepare(self) -> None:
        self.north = serve(self.run, PORT)

    def stop(self) -> None:
        self.slices = self.north.slices()
        self.run.watch.check()

    def collect(self) -> dict[str, Any]:
        self.run.note(self.north.timeline)
        return {"slices": self.slices}


def serve(run: Run, port: int) -> Northbound:
    """The service, from now to the end of the run. Raises EmulationError."""
    run.say("northbound", f"slices over HTTP at 127.0.0.1:{port}")
    run.north = Northbound(run.job, port, run.watch)
    run.stack.callback(run.north.stop)
    return run.north
