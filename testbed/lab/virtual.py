"""The virtual lab: the lab kernel in virtual time. Exact on any machine, however loaded.

Time stands still while anything in the lab computes, and jumps to the next timer when
all of it sleeps. Start date and addresses are fixed and randomness is seeded, so a run
repeats.
See kernel/README.md and docs/virtual-time.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

from testbed.lab import host, kernel
from testbed.lab.base import Missing
from testbed.lab.checksums import Depth
from testbed.lab.image import Image
from testbed.lab.uml import Kernel, UmlLab

START_NS = 1_700_000_000 * 10**9
"""The lab's date at boot, since 1970."""

MEMORY_BYTES = 2 << 30
"""The same on every host, since the kernel sizes its tables by it; taken only when used."""

CLOCK = (
    "time-travel=inf-cpu",
    f"time-travel-start={START_NS}",
    "norandmaps",
)


class VirtualLab(UmlLab):
    """Virtual time, as an ordinary user."""

    def __init__(self, *, memory_bytes: int | None = None) -> None:
        super().__init__("virtual", memory_bytes=memory_bytes or MEMORY_BYTES)

    def kernel(self, built: Image) -> Kernel:
        own = kernel.existing()
        return Kernel(release=own.release, path=own.program, arguments=CLOCK)

    def pause(self, process: subprocess.Popen[bytes], *, paused: bool) -> bool:
        """Stop the lab's kernel, or let it go on where it was: nothing in it notices.

        Only the kernel's own process: the guest's wait for it.
        """
        found = host.descendant(process.pid, "lab-kernel")
        if found is None:
            return False
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(found, signal.SIGSTOP if paused else signal.SIGCONT)
        return True

    def seeded(self, seed: int) -> tuple[str, ...]:
        return (f"lab-seed={seed}",)

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        return [*super().missing(depth), *kernel.missing()]

    def describe(self) -> dict[str, str]:
        own = kernel.existing()
        charges = " ".join(f"{name}={value}" for name, value in kernel.charges().items())
        return {
            **super().describe(),
            "kernel_id": own.id,
            "kernel_source": own.source,
            "charges": charges,
        }


class LabKernelWallLab(UmlLab):
    """The lab kernel on the wall clock: to tell what virtual time changes, and what the kernel."""

    def __init__(self, *, memory_bytes: int | None = None) -> None:
        super().__init__("lab-kernel-wall", memory_bytes=memory_bytes)

    def kernel(self, built: Image) -> Kernel:
        own = kernel.existing()
        return Kernel(release=own.release, path=own.program)

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        return [*super().missing(depth), *kernel.missing()]
