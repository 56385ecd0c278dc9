"""The lab kernel: User-Mode Linux with virtual time, built once by an ordinary user and cached.

    recipe      kernel/config, *.c, *.patch, port/*, this build       -> key (their hash)
    tools       mmdebstrap -> folder         Debian's compiler and its linux-source package
    build       unpack, patch, configure, make; confined to the folder, without network
    cache       kernel-<key>/                see cache.py

        linux           the program
        config          the options it was made with
        manifest.txt    source, compiler and tools with their versions -> id

The tools are Debian's own and names, dates and paths are fixed, so one id is one
program, bit for bit, whoever builds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError
from testbed.folders import remove
from testbed.lab import cache, image
from testbed.lab.base import PROJECT, Missing
from testbed.lab.cache import Say
from testbed.lab.checksums import Depth
from testbed.lab.sandbox import bubblewrap
from testbed.process import dying_with_caller

RECIPE = PROJECT / "kernel"
SOURCE = "linux-source-6.12"
TOOLS = ("bc", "bison", "flex", "gcc", "libc6-dev", "make", "patch", "xz-utils")
LAYOUT = 2
"""Changes when the build itself does."""

_PLACES = {
    "door.c": "arch/um/kernel",
    "lab.c": "arch/um/kernel",
    "port": "net/sched",
    "txtime.c": "net/ipv4",
}
"""Where our own files and folders go in the source."""
_FIXED = {
    "ARCH": "um",
    "LC_ALL": "C.UTF-8",
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "testbed",
    "KBUILD_BUILD_HOST": "lab",
    "KBUILD_BUILD_VERSION": "1",
}
_STEPS = 1440
"""About how many lines make prints."""
CACHED = cache.Cached(
    kind="kernel",
    why="virtual time needs one of our own",
    remedy="run `testbed kernel build`",
    vital=("*",),
    space="3 GB",
)


@dataclass(frozen=True)
class BuiltKernel:
    """A lab kernel that exists."""

    program: Path
    key: str
    """Hash of the recipe."""
    id: str
    """Hash of the recipe and of the versions of source and tools."""
    release: str
    """As `uname -r` tells it."""
    source: str
    """Debian package and version of the source."""


def key() -> str:
    """Hash of the recipe, 12 hex digits."""
    digest = hashlib.sha256(json.dumps([LAYOUT, SOURCE, TOOLS, _FIXED, _PLACES]).encode())
    for path in sorted(_recipe_files()):
        name = str(path.relative_to(RECIPE))
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _recipe_files() -> Iterator[Path]:
    yield RECIPE / "config"
    yield from RECIPE.glob("*.patch")
    for name in _PLACES:
        ours = RECIPE / name
        yield from ours.iterdir() if ours.is_dir() else [ours]


def existing(depth: Depth | None = None) -> BuiltKernel:
    """The kernel of the present recipe. Raises LabError when it is not built, or damaged."""
    this = key()
    folder = CACHED.existing(this, depth)
    text = (folder / cache.MANIFEST).read_text()
    release, source = text.splitlines()[:2]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return BuiltKernel(folder / "linux", this, f"{this}-{digest[:12]}", release, source)


def charges() -> dict[str, int]:
    """What the kernel lets a program that waits by asking do for nothing, and what it
    charges then, ns of virtual time: the constants of kernel/lab.c, which explains them."""
    found = re.findall(r"^#define\s+(\w+)\s+(\d+)$", (RECIPE / "lab.c").read_text(), re.MULTILINE)
    return {name.lower(): int(value) for name, value in found}


def missing() -> list[Missing]:
    """The kernel, when it is not built, or damaged: all of it is read, in 5 ms."""
    return CACHED.missing(key(), "whole")


def build(say: Say = lambda text: None, *, force: bool = False) -> BuiltKernel:
    """The kernel, built if there is no undamaged one (five minutes on two cores, 2 GB of
    disk meanwhile).

    Args:
        say: called with a line before each step and at every tenth of the compilation.
        force: build it in any case.

    Raises LabError with the failed tool's own words.
    """
    # the key is taken now: the recipe may be edited meanwhile
    CACHED.build(key(), lambda part: _build(part, say), say=say, force=force)
    return existing()


def _build(part: Path, say: Say) -> None:
    root = part / "root"
    root.mkdir()
    recipe = root / "recipe"
    shutil.copytree(RECIPE, recipe)
    say(f"Debian's {SOURCE} and compiler")
    image.unpack_debian(root, (*TOOLS, SOURCE), "the lab kernel")
    (root / "build").mkdir()
    say("unpacking the source")
    _inside(root, f"tar -xf /usr/src/{SOURCE}.tar.xz --strip-components=1 {_foreign()}")
    say("patching and configuring")
    for patch in sorted(recipe.glob("*.patch")):
        _inside(root, f"patch -p1 --no-backup-if-mismatch </recipe/{patch.name}")
    for name, place in _PLACES.items():
        into = root / "build" / place / name
        (shutil.copytree if (recipe / name).is_dir() else shutil.copy)(recipe / name, into)
    _inside(root, "KCONFIG_ALLCONFIG=/recipe/config make allnoconfig")
    _check_options(recipe / "config", root / "build/.config")
    _compile(root, say)
    _inside(root, "strip -o /build/linux.stripped linux")
    shutil.copy(root / "build/.config", part / "config")
    shutil.copy(root / "build/linux.stripped", part / "linux")
    release = _inside(root, "make -s kernelrelease").strip()
    versions = _inside(root, "dpkg-query -W -f '${Package} ${Version}\\n'").splitlines()
    source = next(line for line in versions if line.split()[0] == SOURCE)
    (part / cache.MANIFEST).write_text("\n".join([release, source, *versions]) + "\n")
    remove(root)


def _foreign() -> str:
    """Other architectures' code is not unpacked; their Kconfig files are read."""
    others = "alpha arc arm arm64 csky hexagon loongarch m68k microblaze mips nios2 openrisc"
    others += " parisc powerpc riscv s390 sh sparc xtensa"
    kinds = ("*.[chS]", "*.dts", "*.dtsi")
    return " ".join(
        f"'--exclude={SOURCE}/arch/{name}/{kind}'" for name in others.split() for kind in kinds
    )


def _check_options(asked: Path, got: Path) -> None:
    """Raises LabError for options that kconfig dropped."""
    have = set(got.read_text().splitlines())
    lost = [
        line
        for line in asked.read_text().splitlines()
        if line.startswith("CONFIG_") and line not in have
    ]
    if lost:
        raise LabError(
            f"the kernel source does not take {', '.join(lost)}",
            where=str(asked),
            expected="options whose dependencies are also asked for",
        )


def _sandbox(root: Path) -> list[str]:
    return bubblewrap(root, writable=True, env=_FIXED, flags=("--chdir", "/build"))


def _inside(root: Path, command: str) -> str:
    done = subprocess.run(
        [*_sandbox(root), "sh", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
        preexec_fn=dying_with_caller(),
    )
    if done.returncode:
        raise _failed(command, done.stdout + done.stderr)
    return done.stdout


def _compile(root: Path, say: Say) -> None:
    jobs = len(os.sched_getaffinity(0))
    log = root.parent / "build.log"
    with (
        log.open("w") as words,
        subprocess.Popen(
            [*_sandbox(root), "nice", "make", f"-j{jobs}", "linux"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o022,
            preexec_fn=dying_with_caller(),  # noqa: PLW1509 - no other thread runs
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for number, line in enumerate(process.stdout):
                words.write(line)
                if number % (_STEPS // 10) == 0:
                    say(f"compiling on {jobs} CPUs, {min(number * 100 // _STEPS, 99)} %")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise _failed("make", log.read_text(errors="replace"))
    log.unlink()


def _failed(command: str, words: str) -> LabError:
    errors = [line for line in words.splitlines() if "error" in line.lower()]
    return LabError(
        "cannot build the lab kernel: " + (errors[0] if errors else image.reason(words)),
        where=command,
        expected=f"Debian's {SOURCE} to build with kernel/config and kernel/*.patch",
        remedy="the wall lab needs no build: --lab wall",
    )


def main() -> int:
    """Build the kernel and say where it is."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half built goes

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:4.0f} s] {text}", flush=True)

    try:
        kernel = build(say)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    say(f"lab kernel {kernel.release}, id {kernel.id}, in {kernel.program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
