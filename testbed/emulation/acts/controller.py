"""The controller's process is killed, or started."""

from __future__ import annotations

from testbed.emulation.acts import Lab, Told, act
from testbed.scenario.events.controller import ControllerEvent


@act(ControllerEvent)
def controller(lab: Lab, delta: ControllerEvent) -> Told:
    if delta.action == "kill":
        lab.control.kill()
    else:
        lab.control.start(keep=True)
    return None
