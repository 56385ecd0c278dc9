"""Bubblewrap argument lists: a root folder of our own, no host files, all namespaces private.

    setpriv, unshare --> bwrap, process 1 of ENDING --> bwrap, process 1 inside --> the command

Bubblewrap's inner process waits, before it can ask to die with the outer one, for a word of
it that never comes if the outer one is killed just then. So the outer one is the first
process of a namespace of processes (ENDING): when it ends, the kernel ends all in there,
whatever they are at. It ends with `unshare`, and `unshare` with the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

ENDING = (
    *("setpriv", "--pdeathsig", "KILL"),
    *(
        "unshare",
        "--user",
        "--map-current-user",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
        "--",
    ),
)
"""What all processes of a sandbox end with."""
PROGRAMS = {"bwrap": "bubblewrap", "unshare": "util-linux", "setpriv": "util-linux"}
"""What a sandbox is made with, and the Debian package of each."""


def bubblewrap(
    root: Path,
    *,
    writable: bool = False,
    network: bool = False,
    proc: bool = True,
    tmp_bytes: int | None = None,
    read: Mapping[Path, str] | None = None,
    write: Mapping[Path, str] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Iterable[str] = (),
) -> list[str]:
    """A command prefix that runs what follows as root of `root`.

    Args:
        read, write: host paths and where they appear inside.
        network: keep the host's network.
        tmp_bytes: what /tmp may hold; None is half of the host's memory.
        proc: show the sandbox's processes and the kernel's settings, not to be written.
        env: the whole environment inside.
    """
    command = [*ENDING, "bwrap", "--unshare-all", "--die-with-parent", "--uid", "0", "--gid", "0"]
    command += ["--share-net"] if network else ["--hostname", "lab"]
    command += ["--bind" if writable else "--ro-bind", str(root), "/"]
    size = [] if tmp_bytes is None else ["--size", str(tmp_bytes)]
    command += ["--dev", "/dev", *size, "--tmpfs", "/tmp"]  # noqa: S108 - inside
    # the settings are open to user id 0 of the host, and to no capability: root's sandbox is
    # denied them by the mount alone, and denied to mount anew
    command += ["--proc", "/proc", "--remount-ro", "/proc"] if proc else []
    command += ["--cap-drop", "ALL"]
    for option, binds in (("--ro-bind", read), ("--bind", write)):
        for outside, inside in (binds or {}).items():
            command += [option, str(outside), inside]
    command += ["--clearenv"]
    for name, value in {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}.items():
        command += ["--setenv", name, value]
    return [*command, *flags]
