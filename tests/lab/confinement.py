"""Runs in a lab as its root, and tries to reach the host.

    python3 -m tests.lab.confinement /results/asked.json

asked.json says what the host has (see test_confinement.py). found.json, beside it, gets for
each probe what it achieved; an empty list is a probe that was refused. Settings are opened
for writing, which is what is guarded, and never written.
Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SETTINGS = (
    "sys/kernel/core_pattern",
    "sys/kernel/printk_ratelimit",
    "sys/kernel/modprobe",
    "sys/vm/drop_caches",
    "sysrq-trigger",
    "irq/default_smp_affinity",
)
SECRETS = ("kcore", "kmsg", "1/mem", "1/environ")
ROOTS = (
    *("/", "/proc", "/sys", "/dev", "/run", "/root", "/etc", "/project", "/lab-kernel"),
    *("..", "../..", "../../proc", "/results/../proc", "/proc/self/root", "/proc/1/root"),
    *("/proc/self/cwd", "/proc/1/cwd", "/mnt", "/srv", "/oldroot", "/newroot", "/host"),
)
_MS_BIND, _MS_REMOUNT = 4096, 32
_CLONE_NEWCGROUP = 0x02000000
_KEYCTL, _KEYCTL_LINK, _KEYCTL_READ, _SESSION = 250, 8, 11, -3
_libc = ctypes.CDLL(None, use_errno=True)

Probe = Callable[[dict[str, Any]], list[str]]


def opens(path: str, how: int) -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open(path, how | os.O_NONBLOCK))
        return True
    return False


def mounted(kind: str, options: str) -> Iterator[str]:
    """A mount at a place of its own, if the kernel gives it."""
    place = f"/run/probe-{len(os.listdir('/run'))}"
    Path(place).mkdir()
    command = ["mount", "-t", kind, *(["-o", options] if options else []), "none", place]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        yield place
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)


def settings_through_hostfs(asked: dict[str, Any]) -> list[str]:
    """The kernel settings of the host, through whatever the lab's kernel can mount of it."""
    link = Path("/results/planted-proc")
    link.symlink_to("/proc")
    found = []
    for root in (*ROOTS, str(link), f"{link}/self/root", *asked["folders"]):
        for place in mounted("hostfs", root):
            for at in (place, f"{place}/proc"):
                found += [f"{root}: {n}" for n in SETTINGS if opens(f"{at}/{n}", os.O_WRONLY)]
                found += [f"{root}: {n}" for n in SECRETS if opens(f"{at}/{n}", os.O_RDONLY)]
    return found


def files_through_hostfs(asked: dict[str, Any]) -> list[str]:
    """Files of the caller, and folders that can be written through hostfs.

    The sandbox's own /tmp and /dev/shm are memory and vanish with it.
    """
    own = {"/results", "/tmp", "/dev", "/dev/shm"}
    found = []
    for root in (*ROOTS, *asked["folders"]):
        for place in mounted("hostfs", root):
            found += [f"{root} reads {s}" for s in asked["secrets"] if opens(place + s, 0)]
            name = Path(asked["secrets"][0]).name
            found += [f"{root} has {name}"] * opens(f"{place}/{name}", os.O_RDONLY)
            if root not in own:
                with contextlib.suppress(OSError):
                    Path(place, asked["mark"]).touch()
                    found.append(f"{root} can be written")
    return found


def settings_of_the_kernel(asked: dict[str, Any]) -> list[str]:
    """The same settings, where the lab's kernel is the host's own."""
    if asked["lab"] != "native":
        return []
    found = [name for name in SETTINGS if opens(f"/proc/{name}", os.O_WRONLY)]
    found += [name for name in ("kcore", "kmsg") if opens(f"/proc/{name}", os.O_RDONLY)]
    for place in mounted("proc", ""):
        found += [f"anew: {name}" for name in SETTINGS if opens(f"{place}/{name}", os.O_WRONLY)]
    for name in ("power/state", "kernel/uevent_helper", "kernel/mm/transparent_hugepage/enabled"):
        found += [f"/sys/{name}"] * opens(f"/sys/{name}", os.O_WRONLY)
    return found


def files(asked: dict[str, Any]) -> list[str]:
    """Files of the caller at their own paths, and what is shown read-only made writable.

    A path of the host may be one of the image, too: whoever asked looks for the mark.
    """
    found = [f"reads {path}" for path in asked["secrets"] if opens(path, os.O_RDONLY)]
    for folder in ("/project", "/lab-kernel", *asked["folders"]):
        for flags in (_MS_REMOUNT | _MS_BIND, _MS_REMOUNT):
            _libc.mount(b"none", folder.encode(), None, flags, None)
        with contextlib.suppress(OSError):
            Path(folder, asked["mark"]).touch()
            found += [f"{folder} can be written"] * (folder == "/project")
    if asked["lab"] != "native":  # which has the image's empty file there
        found += ["/lab-kernel can be written"] * opens("/lab-kernel", os.O_WRONLY)
    if asked["lab"] == "native":  # else it is the lab kernel's own business
        for folder in ("/project", "/results"):
            found += [f"umount {folder}"] * (_libc.umount2(folder.encode(), 2) == 0)
    return found


def processes(asked: dict[str, Any]) -> list[str]:
    """Processes of the host: seen, signalled, traced, and what /proc/1 points to."""
    if asked["lab"] != "native":
        return []  # the lab kernel has processes of its own only
    found = []
    for number in asked["processes"]:
        if Path(f"/proc/{number}").exists():
            found.append(f"sees process {number}")
        with contextlib.suppress(OSError):
            os.kill(number, 0)
            found.append(f"may signal process {number}")
    for link in ("root", "cwd", "exe", "fd/0", "fd/1", "fd/2", "fd/255"):
        for secret in asked["secrets"]:
            found += [f"{link} leads to {secret}"] * opens(f"/proc/1/{link}{secret}", os.O_RDONLY)
    # the files of the host that started it
    found += ["/proc/1/exe can be written"] * (
        opens("/proc/1/exe", os.O_WRONLY)
        and Path("/proc/1/exe").stat().st_dev != Path("/").stat().st_dev
    )
    return found


def devices(asked: dict[str, Any]) -> list[str]:
    """Device files, where the host would open them."""
    found = []
    places = ["/results"] + (["/dev", "/tmp"] if asked["lab"] == "native" else [])
    for place in places:
        for kind, numbers in ((stat.S_IFBLK, (254, 0)), (stat.S_IFCHR, (1, 1))):
            path = Path(place, f"device-{kind}")
            with contextlib.suppress(OSError):
                os.mknod(path, kind | 0o600, os.makedev(*numbers))
                found.append(f"made {path}")
    if asked["lab"] == "native":
        disks = ("vda", "sda", "nvme0n1", "mem", "kmsg", "kvm", "fuse", "loop-control")
        found += [f"opened /dev/{n}" for n in disks if opens(f"/dev/{n}", os.O_RDONLY)]
    return found


def sockets(asked: dict[str, Any]) -> list[str]:
    """Sockets on which somebody of the host listens."""
    found = []
    for name in asked["sockets"]:
        with socket.socket(socket.AF_UNIX) as ours, contextlib.suppress(OSError):
            ours.connect(name.replace("@", "\0", 1))
            found.append(name)
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", asked["port"]), timeout=1).close()
        found.append(f"port {asked['port']}")
    return found


def keys(asked: dict[str, Any]) -> list[str]:
    """Keys of whoever started the lab: of the session, and of the user, whose keyring one of the
    same user may link into its own. The first number asked is that keyring's.
    """
    if asked["lab"] != "native":
        return []  # the lab kernel has keyrings of its own, and their numbers
    found = []
    room = ctypes.create_string_buffer(32)
    for ring in (None, *asked["keys"][:1]):
        if ring is not None:
            _libc.syscall(_KEYCTL, _KEYCTL_LINK, ring, _SESSION)
        for key in asked["keys"][1:]:
            if _libc.syscall(_KEYCTL, _KEYCTL_READ, key, room, len(room)) > 0:
                found.append(f"reads key {key}, keyring {ring}")
    return found


def kernel(asked: dict[str, Any]) -> list[str]:
    """What only the root of the host's kernel may do."""
    if asked["lab"] != "native":
        return []
    found = []
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        found.append("real-time priority")
    before = _libc.syscall(175, b"", 0, b"")  # init_module: EINVAL of one who may
    if before == 0 or ctypes.get_errno() not in {errno.EPERM, errno.ENOSYS}:
        found.append("loads modules")
    if _libc.unshare(_CLONE_NEWCGROUP) == 0:
        for place in mounted("cgroup2", ""):
            for group in Path(place).rglob("cgroup.procs"):
                found += [str(group)] * opens(str(group), os.O_WRONLY)
    return found


def plants(asked: dict[str, Any]) -> list[str]:
    """No probe, but traps for the host that reads the job folder afterwards."""
    job = Path("/results")
    (job / "planted-link").symlink_to(asked["secrets"][0])
    (job / "planted-folder").symlink_to(asked["folders"][0])
    program = job / "planted-program"
    program.write_text("#!/bin/sh\nid\n")
    program.chmod(0o6777)
    closed = job / "planted-closed"
    closed.mkdir()
    (closed / "file").touch()
    closed.chmod(0)
    if asked["lab"] == "native":
        os.mkfifo(job / "planted-pipe")
    else:  # a guest's pipe on hostfs is one of the host, too
        subprocess.run(["mkfifo", str(job / "planted-pipe")], check=True)
    return []


PROBES: tuple[Probe, ...] = (
    settings_through_hostfs,
    files_through_hostfs,
    settings_of_the_kernel,
    files,
    processes,
    devices,
    sockets,
    keys,
    kernel,
    plants,
)


def main(path: Path) -> None:
    asked = json.loads(path.read_text())
    found: dict[str, list[str]] = {}
    for probe in PROBES:
        found[probe.__name__] = probe(asked)
        (path.parent / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
