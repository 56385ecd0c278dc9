"""What happens to the controller."""

from __future__ import annotations

from typing import Literal

from testbed.scenario.delta import Delta


class ControllerEvent(Delta, frozen=True, kw_only=True, tag="controller"):
    """The controller is killed, or started again; switches keep their rules meanwhile."""

    action: Literal["kill", "start"]

    @property
    def text(self) -> str:
        return f"{self.action} controller"


def kill_controller() -> ControllerEvent:
    """The controller ends at once. Switches go on by the rules they have."""
    return ControllerEvent(action="kill")


def start_controller() -> ControllerEvent:
    """A killed controller starts again, and puts the rules in place of those there are."""
    return ControllerEvent(action="start")
