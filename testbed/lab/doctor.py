"""What this machine has and lacks for the labs. Reads only; the command line prints it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from types import ModuleType

from testbed.lab import cache, checksums, host, image, kernel
from testbed.lab.choice import LABS

IMAGE_BYTES = 1 << 30
"""Disk an image takes while it is built."""
MEMORY_BYTES = 1 << 30
"""Memory below which a lab is likely to be killed."""


@dataclass(frozen=True)
class Check:
    """One finding. `detail`: what was found; `remedy`: what to do when not ok."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def diagnose() -> list[Check]:
    """All findings: first the labs, then what they stand on."""
    return [
        *(_lab(name) for name in LABS),
        _python(),
        _machine(),
        _namespaces(),
        _subordinate_ids(),
        *(_program(name, package) for name, package in host.PACKAGES.items()),
        _built(image),
        _built(kernel),
        _disk(),
        _memory(),
    ]


def _lab(name: str) -> Check:
    lacks = LABS[name].missing("whole")
    return Check(
        f"lab {name}",
        not lacks,
        "; ".join(f"{missing.what}: {missing.why}" for missing in lacks) or "can start",
        "; ".join(dict.fromkeys(missing.remedy for missing in lacks)),
    )


def _python() -> Check:
    ok = (3, 11) <= sys.version_info < (3, 14)
    return Check("python", ok, platform.python_version(), "take Python 3.11, 3.12 or 3.13")


def _machine() -> Check:
    found = f"{platform.system()} {platform.machine()}"
    return Check("machine", found == "Linux x86_64", found, "a Linux x86_64 machine, or vagrant up")


def _namespaces() -> Check:
    lacks = host.missing_user_namespaces()
    detail = "an ordinary user may make them" if not lacks else "not allowed here"
    return Check("user namespaces", not lacks, detail, lacks[0].remedy if lacks else "")


def _subordinate_ids() -> Check:
    lacks = [lack for lack in host.missing_to_build_image() if "subordinate" in lack.what]
    detail = "as the image's build needs" if not lacks else f"lacks {lacks[0].what}"
    return Check("subordinate ids", not lacks, detail, lacks[0].remedy if lacks else "")


def _program(name: str, package: str) -> Check:
    path = host.program(name)
    return Check(
        name, path is not None, path or "not installed", f"scripts/setup (package {package})"
    )


def _built(part: ModuleType) -> Check:
    """The image or the kernel, every file of it read."""
    kept: cache.Cached = part.CACHED
    faults = kept.faults(part.key(), "whole")
    if faults is None:
        detail = f"not built in {cache.folder()}"
    elif faults:
        detail = f"damaged: {checksums.told(faults)}, in {kept.place(part.key())}"
    else:
        detail = f"{part.existing().id} in {kept.place(part.key())}"
    remedy = kept.again if faults else kept.remedy
    return Check(f"lab {kept.kind}", faults == [], detail, remedy)


def _disk() -> Check:
    folder = cache.folder()
    while not os.path.exists(folder):  # noqa: PTH110 - Path's raises where it may not look
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Check(
        "disk",
        free >= IMAGE_BYTES or not image.missing(),
        f"{free / 1e9:.1f} GB free at {folder}",
        "free 1 GB, or set XDG_CACHE_HOME to a folder on another disk",
    )


def _memory() -> Check:
    available = host.available_memory_bytes()
    cores = len(os.sched_getaffinity(0))
    return Check(
        "memory",
        available >= MEMORY_BYTES,
        f"{available / 1e9:.1f} GB available, {cores} processors",
        "end other programs: a lab takes up to 2 GB",
    )
