"""The native lab: this machine's own kernel, in private namespaces, on the lab image.

    caller --fork--> unshare --fork--> [ new user, net, mount, pid, ipc, uts namespaces:
                                         native-init (1)
                                         [ new user, mount, net, ipc namespaces below:
                                           native-init (2), the guest program ] ]

The guest program, Open vSwitch and Python are the image's, so that only the kernel
differs from the other labs, and no daemon of the host is asked. Its root is an
overlay of the image whose upper half is memory: it writes nothing outside the job
folder, and all vanishes with its last process. Real root is needed for one thing
only, to load kernel modules; where they are loaded an ordinary user can run it, and root's
runs as one too (see unprivileged.py).
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.errors import InputError
from testbed.lab import host, image, unprivileged
from testbed.lab.base import GUEST_JOB, GUEST_PROJECT, PROJECT, Lab, Missing
from testbed.lab.checksums import Depth
from testbed.lab.process import spawn

MODULES = {
    "overlay": "the guest's writable root",
    "veth": "links between nodes",
    "openvswitch": "the switches",
    "sch_netem": "propagation delay",
    "sch_htb": "rates and queues per slice",
}
"""Kernel modules and what needs them."""


class NativeLab:
    """This machine's kernel. `modules`: what it must have loaded, or be able to load."""

    name = "native"
    memory_bytes: int | None = None

    def __init__(self, modules: dict[str, str] | None = None) -> None:
        self.modules = MODULES if modules is None else modules

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        lacks = host.missing_programs(
            {"unshare": "util-linux", "setpriv": "util-linux"}, "makes private namespaces"
        )
        lacks += host.missing_user_namespaces()
        lacks += host.missing_modules(self.modules)
        return lacks + image.missing(depth) + unprivileged.missing()

    def describe(self) -> dict[str, str]:
        return {
            "lab": self.name,
            "kernel": platform.release(),
            "image": image.existing().id,
            "machine": platform.version(),
        }

    def start(
        self, job: Path, argv: Sequence[str], *, interactive: bool = False, seed: int = 1
    ) -> subprocess.Popen[bytes]:
        job = job.resolve()
        host.load_modules(self.modules)
        return spawn(
            self,
            job,
            argv,
            lambda handshake, terminal: self._command(job, handshake, terminal),
            interactive=interactive,
            keyless=True,
        )

    def sized(self, memory_bytes: int) -> Lab:
        """It has none of its own."""
        raise InputError(
            "the native lab takes this machine's memory as it needs it",
            where="--memory",
            remedy="--lab virtual or --lab wall, or no --memory",
        )

    def pause(self, process: subprocess.Popen[bytes], *, paused: bool) -> bool:
        """This kernel's clock cannot be stopped."""
        return False

    @staticmethod
    def _command(job: Path, handshake: int, terminal: bool) -> list[str]:
        spaces = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts"]
        root, project, started = image.existing().root, PROJECT, job
        # no overlay of a folder with other mounts in it: the image once more, without them
        alone = "/srv"
        binds = {root: alone, project: GUEST_PROJECT, job: GUEST_JOB}
        first = unprivileged.prefix(root, binds)
        if first:
            root, project, started = (unprivileged.at(inside) for inside in binds.values())
        init = project / "testbed/lab/native-init"
        # a session of its own: else the guest could type into the terminal
        session = ["setsid", "--wait"] if terminal else []
        variables = {
            "LAB_HANDSHAKE": str(handshake),
            "LAB_TERMINAL": "yes" if terminal else "",
            "TERM": os.environ.get("TERM", "dumb") if terminal else "dumb",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        return [
            *first,
            *("setpriv", "--pdeathsig", "KILL", "env", "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *("unshare", *spaces, "--fork", "--kill-child", *session),
            *("bash", str(init), str(root), str(project), str(started)),
        ]
