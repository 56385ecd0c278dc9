"""The controller ends, or starts again."""

from __future__ import annotations

import msgspec

from testbed.errors import InputError
from testbed.net.state import State, effect
from testbed.scenario.events.controller import ControllerEvent
from testbed.units import show_ns


@effect(ControllerEvent)
def controller(state: State, delta: ControllerEvent) -> State:
    """Switches keep their rules; those without get theirs when it starts."""
    expected = "kill" if state.condition.controller else "start"
    if delta.action != expected:
        runs = "runs" if expected == "kill" else "does not run"
        raise InputError(
            f"the controller {runs} at {show_ns(delta.at_ns)}",
            where=delta.text,
            expected=f"{expected} first",
        )
    if delta.action == "kill":
        now = msgspec.structs.replace(state.condition, controller=False)
    else:
        now = msgspec.structs.replace(state.condition, controller=True, bare=())
    return msgspec.structs.replace(state, condition=now)
