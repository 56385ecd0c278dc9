"""The seam between a run and the kernel it runs on."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.lab.checksums import Depth

PROJECT = Path(__file__).resolve().parents[2]
"""The folder of testbed, controllers, topologies and experiments on the host."""

GUEST_PROJECT = "/project"
GUEST_JOB = "/results"
CONSOLE = "console.log"
"""File in the job folder with what kernel and guest program print."""
COMMAND = "command"
"""File in the job folder with the guest program's command line, for a shell."""
DOOR = ".door"
"""Socket in the job folder by which a program in the lab asks the host (testbed.door). The
lab kernel knows its path (kernel/door.c)."""
EXIT = "exit"
"""File in the job folder with the guest program's exit code, written when it ended."""


@dataclass(frozen=True)
class Missing:
    """One thing a lab needs and this machine lacks."""

    what: str
    why: str
    remedy: str
    damaged: bool = False
    """It is there, but not as it was built."""

    def __str__(self) -> str:
        return f"{self.what} ({self.why}); {self.remedy}"


class Lab(Protocol):
    """A kernel to run the guest program on."""

    @property
    def name(self) -> str: ...

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        """What keeps this lab from starting; empty when it can.

        `depth`: how closely what it is made of is looked at.
        """
        ...

    @property
    def memory_bytes(self) -> int | None:
        """What the lab has for itself; None where it takes the host's."""
        ...

    def start(
        self, job: Path, argv: Sequence[str], *, interactive: bool = False, seed: int = 1
    ) -> subprocess.Popen[bytes]:
        """Run `argv` as root in the lab, with `job` at /results; return at once.

        The process ends with the exit code of `argv`, or 255 when the lab ended
        before it. kill() on the process ends the whole lab, and so does the end of
        the thread that called start(), however it ends. Interactive: input and output
        are the caller's, and when they are a terminal Ctrl-C is the guest's;
        otherwise all output goes to `job`/console.log and there is no input.
        `seed` is of all the kernel's randomness, where the lab can give it one.
        Raises LabError when the lab cannot start.
        """
        ...

    def sized(self, memory_bytes: int) -> Lab:
        """The same lab with that much memory. Raises InputError: it cannot be had, or this
        lab has none of its own."""
        ...

    def pause(self, process: subprocess.Popen[bytes], *, paused: bool) -> bool:
        """Have a lab that was started stand still with its clock, or go on; False where time
        goes on whatever stands still."""
        ...

    def describe(self) -> dict[str, str]:
        """Provenance: `lab`, `kernel` (release), `image` (id), and what else tells it apart."""
        ...
