"""The cache of what labs are made of: each thing is built once, by one builder at a time.

    $XDG_CACHE_HOME/slicing-testbed/    (~/.cache/slicing-testbed/)
        KIND-KEY/           whole, with the manifest.txt of what went in
        KIND-KEY.part/      being built; the next builder sweeps what an interrupted one left
        KIND.lock           held by the builder

KEY is the hash of a recipe, so another recipe is another folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from testbed.errors import LabError
from testbed.lab import host

MANIFEST = "manifest.txt"

Say = Callable[[str], None]
"""Is given a line before each step."""


def folder() -> Path:
    """Where all of it is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "slicing-testbed"


def find(kind: str, key: str) -> Path | None:
    """The folder of this recipe, or None when it is not built."""
    path = folder() / f"{kind}-{key}"
    return path if (path / MANIFEST).is_file() else None


def build(kind: str, key: str, fill: Callable[[Path], None], *, space: str, say: Say) -> None:
    """Have `fill` build this recipe in an empty folder, unless it is built.

    Args:
        kind: `image` or `kernel`.
        space: how much disk it takes, for people.

    Raises LabError: a program is missing, the disk is full, or what `fill` raises.
    """
    if find(kind, key):
        return
    for lack in host.missing_to_build_image():
        raise LabError(
            f"the lab {kind} cannot be built without {lack.what}: {lack.why}", remedy=lack.remedy
        )
    cache = folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{kind}.lock", f"waiting for another build of the {kind}", say):
        if find(kind, key):
            return
        for left in cache.glob(f"{kind}-*.part"):
            say(f"removing an interrupted build, {left.name}")
            remove(left)
        part = cache / f"{kind}-{key}.part"
        try:
            part.mkdir()
            fill(part)
            part.rename(cache / f"{kind}-{key}")
        except OSError as error:
            raise LabError(
                f"cannot write the lab {kind}: {error.strerror}",
                where=str(part),
                expected=f"{space} of free disk",
                remedy="free some, or set XDG_CACHE_HOME to a folder on another disk",
            ) from error
        finally:
            remove(part)


def remove(path: Path) -> None:
    """Delete a folder, also what is write-protected in it."""
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o755)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, waiting: str, say: Say) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
