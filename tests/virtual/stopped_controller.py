"""Runs inside the virtual lab: the guest program, whose controller is stopped at a stage.

python3 -m tests.virtual.stopped_controller JOB STAGE
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from testbed import guest
from testbed.emulation import control

STAGE = sys.argv[2]
controllers: list[int] = []


class Controller(control.Controller):
    def start(self, *, keep: bool = False, repair: bool = True) -> subprocess.Popen[bytes]:
        process = super().start(keep=keep, repair=repair)
        controllers.append(process.pid)
        return process


class Progress(guest.Progress):
    def __call__(self, stage: str, text: str, done: int = 0, of: int = 0) -> None:
        super().__call__(stage, text, done, of)
        if stage == STAGE:
            os.kill(controllers[0], signal.SIGSTOP)


control.Controller = Controller  # type: ignore[misc]
guest.Progress = Progress  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(guest.main(sys.argv))
