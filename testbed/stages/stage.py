"""A stage of a run, and what the stages of a run share."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from testbed.net.timeline import Entry, read_timeline
from testbed.plan.model import Plan

if TYPE_CHECKING:
    from testbed.emulation.appctl import Appctl
    from testbed.emulation.control import Controller
    from testbed.emulation.network import LabNet
    from testbed.emulation.watch import Watch
    from testbed.northbound.child import Northbound


class Say(Protocol):
    """Tells whoever watches what is being done, and how many of how many are."""

    def __call__(self, stage: str, text: str, done: int = 0, of: int = 0) -> None: ...


@dataclass(eq=False)
class Run:
    """A plan whose network stands and has its rules."""

    job: Path
    plan: Plan
    say: Say
    stack: ExitStack
    """Undoes what stages leave, however the run ends."""
    watch: Watch
    net: LabNet
    control: Controller
    appctl: Appctl
    north: Northbound | None = None
    """While there is one."""
    noted: list[Entry] = field(default_factory=list)
    """What other processes carried out, by CLOCK_MONOTONIC."""

    def timelines(self) -> list[Path]:
        """What other processes write of what they carry out, the controller first."""
        return [self.control.timeline, *([self.north.timeline] if self.north else [])]

    def note(self, timeline: Path) -> None:
        """With what another process has written there, if it has done anything."""
        if timeline.exists():
            self.noted += read_timeline(timeline)

    def ready(self) -> None:
        """Return when no packet meets a switch that is not ready for it."""
        assert self.net.ovs is not None
        self.net.ovs.wait_ready()


class RunStage:
    """Something a run does.

    Of all stages `prepare` is called in their order, then `start`; once traffic flows, `stop`
    in the reverse order, `collect` in order, and when everything is written, `judge` in the
    reverse order. What one raises ends the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @classmethod
    def asked(cls, plan: Plan) -> bool:
        """Whether a plan has anything to do for it."""
        return True

    def prepare(self) -> None:
        """Get ready. Raises EmulationError."""

    def start(self, start_ns: int) -> None:
        """Traffic starts at `start_ns` (CLOCK_MONOTONIC), soon. Raises EmulationError."""

    def stop(self) -> None:
        """Return when it is over, or end it. Raises EmulationError."""

    def collect(self) -> dict[str, Any]:
        """What 4-control.json tells of it."""
        return {}

    def judge(self) -> None:
        """Raises EmulationError if what was measured cannot be what was asked for."""
