"""What this machine offers to labs: programs, namespaces, memory. Reads, never changes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed.lab import unprivileged
from testbed.lab.base import Missing

PACKAGES = {"mmdebstrap": "mmdebstrap", "newuidmap": "uidmap", "bwrap": "bubblewrap"}
"""The programs labs need on the host, and the Debian package of each."""

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Path of a program, also in the folders of administrators that PATH may lack."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def missing_programs(packages: Mapping[str, str], why: str) -> list[Missing]:
    """The programs (name -> Debian package) that are not installed."""
    return [
        Missing(f"the program {name}", why, f"run scripts/setup, or `sudo apt install {package}`")
        for name, package in packages.items()
        if program(name) is None
    ]


def available_memory_bytes() -> int:
    """Memory that can be taken without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 2 << 30


def memory_bytes() -> int:
    """All the memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def missing_memory(least_bytes: int) -> list[Missing]:
    """Memory, when less than that can be taken."""
    available_bytes = available_memory_bytes()
    if available_bytes >= least_bytes:
        return []
    return [
        Missing(
            f"{least_bytes >> 20} MiB of memory",
            f"{available_bytes >> 20} MiB are available, and with less a lab does not get on",
            "end other programs",
        )
    ]


def missing_user_namespaces() -> list[Missing]:
    """Whether an ordinary user may make user namespaces; names the setting that forbids it."""
    if (unshare := program("unshare")) is None:
        return []
    command = unprivileged.as_user([unshare, "--user", "--map-root-user", "--mount", "true"])
    done = subprocess.run(command, capture_output=True, check=False, cwd="/")
    if done.returncode == 0:
        return []
    remedy = "allow user namespaces on this machine (a container may forbid them altogether)"
    for setting, bad, good in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "15000"),
    ):
        path = Path("/proc/sys") / setting.replace(".", "/", 1)
        if path.is_file() and path.read_text().strip() == bad:
            remedy = f"sudo sysctl -w {setting}={good}"
            break
    return [Missing("user namespaces", "a lab's root is root only in one of its own", remedy)]


def subordinate_ids(file: str = "/etc/subuid") -> int:
    """How many subordinate ids the user has in /etc/subuid or /etc/subgid."""
    names = {str(os.getuid()), _user()}
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return 0
    ranges = [line.split(":") for line in lines if line.count(":") == 2]
    return sum(int(count) for name, _, count in ranges if name in names and count.isdigit())


def _user() -> str:
    """The user's name, or the number of one without, as containers may have."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def missing_to_build_image() -> list[Missing]:
    """What keeps the user from building the lab image."""
    lacks = missing_programs(PACKAGES, "builds the lab image") + missing_user_namespaces()
    if os.geteuid() != 0 and min(map(subordinate_ids, ("/etc/subuid", "/etc/subgid"))) < 65536:
        name = _user()
        lacks.append(
            Missing(
                f"a range of 65536 subordinate ids for {name}",
                "Debian's packages belong to several users",
                "run scripts/setup, or `sudo usermod --add-subuids 100000-165535 "
                f"--add-subgids 100000-165535 {name}` with a range free in /etc/subuid",
            )
        )
    return lacks


def descendant(pid: int, name: str) -> int | None:
    """The nearest descendant of a process whose program is called that."""
    names: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            begin, _, rest = stat.read_text(errors="replace").rpartition(")")
        except OSError:  # it just ended
            continue
        child = int(stat.parent.name)
        names[child] = begin.partition("(")[2]
        children.setdefault(int(rest.split()[1]), []).append(child)
    waiting = [pid]
    for one in waiting:
        if names.get(one) == name:
            return one
        waiting += children.get(one, ())
    return None


def _kernel_has(module: str) -> bool:
    if (Path("/sys/module") / module).is_dir():
        return True
    builtin = Path("/lib/modules") / os.uname().release / "modules.builtin"
    return builtin.is_file() and f"/{module}.ko" in builtin.read_text().replace("-", "_")


def _loadable(module: str) -> bool:
    modprobe = program("modprobe")
    if modprobe is None:
        return False
    command = [modprobe, "--dry-run", "--quiet", module]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def missing_modules(modules: Mapping[str, str]) -> list[Missing]:
    """The kernel modules (name -> what needs it) that are not there and cannot be loaded."""
    lacks = []
    for module, why in modules.items():
        if _kernel_has(module):
            continue
        if not _loadable(module):
            remedy = "take a kernel that has it, such as Debian's linux-image-amd64"
        elif os.geteuid() != 0:
            remedy = f"sudo modprobe -a {' '.join(modules)}"
        else:
            continue
        lacks.append(Missing(f"the kernel module {module}", why, remedy))
    return lacks


def load_modules(modules: Mapping[str, str]) -> None:
    """Load those that are not; an ordinary user can load none, and missing_modules() tells."""
    absent = [module for module in modules if not _kernel_has(module)]
    if absent and os.geteuid() == 0 and (modprobe := program("modprobe")):
        subprocess.run([modprobe, "-aq", *absent], capture_output=True, check=False)
