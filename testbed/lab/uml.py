"""A lab on User-Mode Linux: a kernel that runs as an ordinary process on the lab image.

The kernel runs inside bubblewrap: its root is the image (read-only), the project is
read-only at /project, the job folder is /results, its memory and sockets are on
private tmpfs. It sees nothing else of the host, no /proc and no /sys either, since a guest
can mount through hostfs whatever its kernel's process sees. It ends with its caller.

    caller --fork--> unshare --> bwrap --> [ new namespaces: sh --> linux (UML) --> guest ]
"""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testbed.errors import InputError
from testbed.lab import host, image, unprivileged
from testbed.lab.base import EXIT, GUEST_JOB, GUEST_PROJECT, PROJECT, Missing
from testbed.lab.checksums import Depth
from testbed.lab.process import HANDSHAKE, spawn
from testbed.lab.sandbox import PROGRAMS, bubblewrap
from testbed.process import ALIVE
from testbed.units import show_memory

LEAST_MEMORY_BYTES = 256 << 20
"""Twice what the smallest network takes. With too little, the kernel is busy for ever
with reading programs anew that it has just forgotten."""

_SOCKETS_BYTES = 16 << 20
"""What else the kernel's process keeps where its memory is, at most."""

_GUEST_INIT = f"{GUEST_PROJECT}/testbed/lab/guest-init"

_SUPERVISE = rf"""
{HANDSHAKE}
exec {{LAB_HANDSHAKE}}>&-
setarch --addr-no-randomize "$@"  # which the kernel else asks of /proc/self/exe
exit "$(cat {GUEST_JOB}/{EXIT} 2>/dev/null || echo 255)"
"""


@dataclass(frozen=True)
class Kernel:
    """A UML kernel.

    Attributes:
        release: as `uname -r` tells it.
        path: the program on the host; None for the image's own.
        modules: folder of its modules, <release>/ inside; None for the image's own.
        arguments: boot arguments beside those every lab needs.
    """

    release: str
    path: Path | None = None
    modules: Path | None = None
    arguments: tuple[str, ...] = ()


class UmlLab:
    """The lab of one kernel. `memory_bytes` is the guest's; None takes a share of the host's."""

    def __init__(self, name: str, *, memory_bytes: int | None = None) -> None:
        self.name = name
        self.memory_bytes = memory_bytes or max(
            LEAST_MEMORY_BYTES, min(2 << 30, host.available_memory_bytes() // 2)
        )

    def kernel(self, built: image.Image) -> Kernel:
        """The kernel this lab boots."""
        raise NotImplementedError

    def seeded(self, seed: int) -> tuple[str, ...]:
        """Boot arguments that make the kernel's randomness follow from `seed`; here it cannot."""
        return ()

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        lacks = host.missing_programs(PROGRAMS, "confines the lab's kernel")
        lacks += host.missing_user_namespaces()
        lacks += host.missing_memory(LEAST_MEMORY_BYTES)
        lacks += image.missing(depth)
        return lacks + unprivileged.missing()

    def describe(self) -> dict[str, str]:
        built = image.existing()
        kernel = self.kernel(built)
        return {
            "lab": self.name,
            "kernel": kernel.release,
            "image": built.id,
            "arguments": " ".join(kernel.arguments),
            "memory_bytes": str(self.memory_bytes),
        }

    def start(
        self, job: Path, argv: Sequence[str], *, interactive: bool = False, seed: int = 1
    ) -> subprocess.Popen[bytes]:
        job = job.resolve()
        return spawn(
            self,
            job,
            argv,
            lambda handshake, terminal: self._command(job, seed, handshake, terminal),
            interactive=interactive,
        )

    def sized(self, memory_bytes: int) -> Self:
        """The same lab with other memory, in whole MiB. Raises InputError."""
        total_bytes = host.memory_bytes()
        if not LEAST_MEMORY_BYTES <= memory_bytes <= total_bytes:
            little = memory_bytes < LEAST_MEMORY_BYTES
            raise InputError(
                f"a lab with {show_memory(memory_bytes)} of memory cannot "
                + ("work" if little else "be had: this machine has less"),
                where="--memory",
                expected=f"{show_memory(LEAST_MEMORY_BYTES)} to {show_memory(total_bytes)}, "
                "which is all that this machine has",
            )
        other = copy.copy(self)
        other.memory_bytes = memory_bytes >> 20 << 20
        return other

    def pause(self, process: subprocess.Popen[bytes], *, paused: bool) -> bool:
        """The wall's clock goes on."""
        return False

    def _command(self, job: Path, seed: int, handshake: int, terminal: bool) -> list[str]:
        built = image.existing()
        kernel = self.kernel(built)
        shared = {PROJECT: GUEST_PROJECT, job: GUEST_JOB}
        program = "/usr/bin/linux.uml"
        if kernel.path is not None:
            program = "/lab-kernel"
            shared[kernel.path] = program
        if kernel.modules is not None:
            shared[kernel.modules] = "/usr/lib/uml/modules"
        env = {"LAB_HANDSHAKE": str(handshake), "LAB_TERMINAL": "yes" if terminal else ""}
        env["TMPDIR"] = "/tmp"  # noqa: S108 - private to the sandbox; holds the guest's memory
        kind = os.environ.get("TERM", "dumb") if terminal else "dumb"
        first = unprivileged.prefix(built.root, shared)
        if first:
            root, results = unprivileged.PLACE, unprivileged.at(GUEST_JOB)
            read = {}  # is in the image
        else:
            root, results = built.root, job
            read = {path: inside for path, inside in shared.items() if path != job}
        # a session of its own: else what breaks out of the kernel could type into the terminal
        confined = bubblewrap(
            root,
            proc=False,
            tmp_bytes=self.memory_bytes + _SOCKETS_BYTES,
            read=read,
            # what is mounted cannot be removed or renamed: the lab is known by it
            write={results: GUEST_JOB, results / ALIVE: f"{GUEST_JOB}/{ALIVE}"},
            env=env,
        )
        return [
            *first,
            *confined,
            "--new-session",
            *("bash", "-c", _SUPERVISE, "lab", program),
            f"mem={self.memory_bytes >> 20}M",
            *("uml_dir=/tmp", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "hostfs=/"),
            *("ro", f"init={_GUEST_INIT}", f"TERM={kind}", "ipv6.disable_ipv6=1"),
            # tty0: the kernel's words; tty1: the guest program's
            *("quiet", "con=null", "con0=null,fd:2"),
            "con1=fd:0,fd:1" if terminal else "con1=null,fd:1",
            *kernel.arguments,
            *self.seeded(seed),
        ]
