"""The cache of what labs are made of: each thing is built once, by one builder at a time.

    $XDG_CACHE_HOME/slicing-testbed/    (~/.cache/slicing-testbed/)
        KIND-KEY/           whole, with the manifest.txt of what went in, and checksums.txt
        KIND-KEY.X.part/    being built; the next builder sweeps what an interrupted one left
        KIND-KEY.X.old/     replaced; swept once no lab holds it
        KIND.lock           held by the builder

KEY is the hash of a recipe, so another recipe is another folder. A folder appears by one
rename, when all of it is on disk. One that was damaged since is found out by its
checksums, and built again where building was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError
from testbed.folders import remove
from testbed.lab import checksums, host
from testbed.lab.base import Missing
from testbed.lab.checksums import Depth
from testbed.process import shared

MANIFEST = "manifest.txt"

_LEAST_FREE_BYTES = 16 << 20
"""With less a disk is full: compilers remove the file that had no room."""

Say = Callable[[str], None]
"""Is given a line before each step."""


def folder() -> Path:
    """Where all of it is kept. Raises LabError for a user without a home.

    A relative XDG_CACHE_HOME is none (XDG Base Directory Specification).
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise LabError(
            "this user has no home folder to keep the lab image in",
            where="HOME, XDG_CACHE_HOME",
            expected="one of them set to the full path of a folder this user may write",
            remedy="export XDG_CACHE_HOME=FOLDER",
        ) from error
    return base / "slicing-testbed"


@dataclass(frozen=True)
class Cached:
    """One kind of thing that is kept.

    Attributes:
        kind: `image` or `kernel`.
        why: what needs it.
        remedy: what to do where it is not built.
        vital: patterns of the files without which no lab starts, looked at before each start.
        space: how much disk a build takes, for people.
    """

    kind: str
    why: str
    remedy: str
    vital: tuple[str, ...]
    space: str

    @property
    def name(self) -> str:
        """As people call it."""
        return f"the lab {self.kind}"

    @property
    def again(self) -> str:
        """The command that builds a damaged one again."""
        return f"testbed {self.kind} build"

    def place(self, key: str) -> Path:
        """The folder of a recipe, built or not."""
        return folder() / f"{self.kind}-{key}"

    def faults(self, key: str, depth: Depth) -> list[str] | None:
        """What of it is damaged, a phrase each; None where it is not built."""
        place = self.place(key)
        return checksums.faults(place, depth) if os.path.lexists(place) else None

    def existing(self, key: str, depth: Depth | None = None) -> Path:
        """The folder of a recipe. Raises LabError when it is not built, or damaged; without
        `depth` it is only looked whether it is there, for `missing` has told the rest.
        """
        found = self.faults(key, depth) if depth else self._unlisted(key)
        if found is None:
            raise LabError(f"{self.name} is not built", remedy=self.remedy)
        if found:
            raise LabError(
                f"{self.name} is damaged: {checksums.told(found)}",
                where=str(self.place(key)),
                expected=f"all as it was built ({checksums.NAME})",
                remedy=f"{self.again} (it builds a damaged one again)",
            )
        return self.place(key)

    def _unlisted(self, key: str) -> list[str] | None:
        place = self.place(key)
        if not os.path.lexists(place):
            return None
        needed = (MANIFEST, checksums.NAME)
        return [f"{name} is missing" for name in needed if not (place / name).is_file()]

    def missing(self, key: str, depth: Depth = "vital") -> list[Missing]:
        """It, when it is not built, or damaged."""
        found = self.faults(key, depth)
        if found is None:
            return [Missing(self.name, self.why, self.remedy)]
        if found:
            what = f"an undamaged lab {self.kind}"
            return [Missing(what, checksums.told(found), f"run `{self.again}`", damaged=True)]
        return []

    def build(
        self, key: str, fill: Callable[[Path], None], *, say: Say, force: bool = False
    ) -> None:
        """Have `fill` build this recipe in an empty folder, unless it is there and whole.

        `force`: even then. Raises LabError: a program is missing, the disk is full, or what
        `fill` raises.
        """
        if not force and self.faults(key, "whole") == []:
            return
        for lack in host.missing_to_build_image():
            raise LabError(
                f"{self.name} cannot be built without {lack.what}: {lack.why}", remedy=lack.remedy
            )
        cache = folder()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            waiting = f"waiting for another build of the {self.kind}"
            with _locked(cache / f"{self.kind}.lock", waiting, say) as waited:
                found = self.faults(key, "whole")
                if found == [] and (waited or not force):
                    return
                if found:
                    say(f"{self.name} is damaged: {checksums.told(found)}; building it again")
                self._sweep(say)
                self._make(key, fill)
                self._sweep(say)
        except OSError as error:
            raise LabError(
                f"cannot write {self.name}: {error.strerror}",
                where=str(error.filename or cache),
                expected=f"a folder this user may write, with {self.space} of free disk",
                remedy="free some, or set XDG_CACHE_HOME to another folder",
            ) from error

    def _make(self, key: str, fill: Callable[[Path], None]) -> None:
        place = self.place(key)
        # a name of its own: what an interrupted build left may still be written to
        part = Path(tempfile.mkdtemp(".part", f"{place.name}.", place.parent))
        try:
            part.chmod(0o755)
            try:
                fill(part)
            except LabError as error:  # what failed for want of space may say anything
                if shutil.disk_usage(part).free < _LEAST_FREE_BYTES:
                    full = errno.ENOSPC
                    raise OSError(full, os.strerror(full), str(place.parent)) from error
                raise
            checksums.write(part, self.vital)
            _to_disk(part)
            if os.path.lexists(place):
                place.rename(part.with_suffix(".old"))
            part.rename(place)
            _sync(place.parent)
        finally:
            remove(part)

    def _sweep(self, say: Say) -> None:
        for left in folder().glob(f"{self.kind}-*.part"):
            say(f"removing an interrupted build, {left.name}")
            remove(left)
        for left in folder().glob(f"{self.kind}-*.old"):
            if not _is_held(left):
                remove(left)


def hold(path: Path) -> None:
    """Keep a folder from being removed by a builder as long as this process lives."""
    _held(path, path.stat().st_ino)


@functools.cache
def _held(path: Path, _inode: int) -> int:
    fd = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def _is_held(path: Path) -> bool:
    """Whether a lab runs on a folder."""
    if not path.is_dir():
        return False
    fd = os.open(path, os.O_RDONLY)
    try:
        return shared(fd)
    finally:
        os.close(fd)


def _to_disk(path: Path) -> None:
    """Wait until all of the file system that `path` is on is written. Raises OSError."""
    done = subprocess.run(
        ["sync", "--file-system", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(5, done.stderr.strip() or "sync failed", str(path))


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(path: Path, waiting: str, say: Say) -> Iterator[bool]:
    """Whether another had to be waited for."""
    with path.open("w") as lock:
        waited = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield waited
