"""Starting a lab's process so that it cannot outlive its caller, whatever ends the caller."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.errors import LabError
from testbed.lab import cache, image, keys, unprivileged
from testbed.lab.base import COMMAND, CONSOLE, EXIT, Lab, Missing
from testbed.process import ended, hold

HANDSHAKE = r'echo ready >&"$LAB_HANDSHAKE" && read -r go <&"$LAB_HANDSHAKE" || exit 255'
"""First line of what a lab runs (bash), once it is sure to be killed with its caller.

Asking the kernel to die with one's parent leaves a moment in which the parent may be
dead already. So the lab tells that it has asked, and goes on only when it is answered.
"""


def lacking(lab: Lab, lacks: Sequence[Missing]) -> LabError:
    """The error for the first of what a lab lacks."""
    return LabError(
        f"the {lab.name} lab lacks {lacks[0].what}: {lacks[0].why}",
        where=f"lab {lab.name}",
        remedy=lacks[0].remedy,
    )


def spawn(
    lab: Lab,
    job: Path,
    argv: Sequence[str],
    command: Callable[[int, bool], list[str]],
    *,
    interactive: bool,
    keyless: bool = False,
) -> subprocess.Popen[bytes]:
    """Start what runs `argv` from job/command.

    `command` is given the descriptor of the handshake and whether input and output
    are a terminal; an interactive guest has input only from a terminal. `keyless`: of the
    host's kernel it gets no keys (keys.py).
    Raises LabError when the lab lacks something.
    """
    lacks = lab.missing()
    if lacks:
        raise lacking(lab, lacks)
    cache.hold(image.existing().root)
    terminal = interactive and os.isatty(0) and os.isatty(1)
    (job / EXIT).unlink(missing_ok=True)
    (job / COMMAND).write_text(f"exec {shlex.join(argv)}\n")
    (job / CONSOLE).touch()
    unprivileged.hand_over(image.existing().root, job)
    ours, theirs = socket.socketpair()
    with ours, (job / CONSOLE).open("ab") as console, os.fdopen(hold(job)) as alive:
        with theirs:
            started = command(theirs.fileno(), terminal)
            try:
                process = subprocess.Popen(
                    started,
                    stdin=None if terminal else subprocess.DEVNULL,
                    stdout=None if interactive else console,
                    stderr=console,
                    pass_fds=[theirs.fileno(), alive.fileno()],
                    start_new_session=not interactive,  # Ctrl-C is the caller's to act on
                    preexec_fn=keys.without(refused=keyless),  # noqa: PLW1509 - system calls only
                )
            except OSError as error:
                raise LabError(
                    f"the {lab.name} lab cannot be started: {error.strerror}",
                    where=started[0],
                    remedy="check PATH, and the limits of this user (ulimit -a)",
                ) from error
            except subprocess.SubprocessError as error:
                raise LabError(
                    f"the {lab.name} lab cannot be kept from this user's kernel keys",
                    where="keyrings(7)",
                    expected="a kernel with seccomp filters",
                    remedy="--lab virtual or --lab wall",
                ) from error
        try:
            with contextlib.suppress(OSError):  # it ended already: its exit code tells
                if ours.recv(16):
                    ours.sendall(b"go\n")
        except BaseException:
            ours.close()  # whatever is not killed with it ends here
            alive.close()  # or it would be us that ended() sees
            process.kill()
            process.wait()
            ended(job)
            raise
    return process
