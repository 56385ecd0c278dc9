"""What root's tests do as an ordinary user."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab import cache, image, unprivileged
from testbed.lab.base import PROJECT

_CLONE_NEWNS = 0x00020000


def _closed() -> Path | None:
    """The topmost folder on the way to the project that others cannot enter."""
    above = reversed(PROJECT.parents)
    return next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)


def _open_the_way() -> None:
    """Show the project where it is to users who could not enter, in this mount namespace."""
    closed = _closed()
    if closed is None:
        return
    subprocess.run(["mount", "--bind", str(PROJECT), "/media"], check=True)
    empty = ["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(closed)]
    subprocess.run(empty, check=True)
    PROJECT.mkdir(parents=True)
    subprocess.run(["mount", "--bind", "/media", str(PROJECT)], check=True)


def as_user(start: Callable[[], int], place: Path, job: Path) -> int:
    """Run `start` as an ordinary user who owns the image and the job folder.

    A child of this process, since that user may not be able to start Python from its home; it
    finds the cache at a place of its own.
    """
    closed = _closed()
    if closed is not None and Path(sys.base_prefix).is_relative_to(closed):
        pytest.skip(f"optional: {closed}, where project and Python are, is closed to others")
    root = image.existing().root
    unprivileged.hand_over(root, job)
    user = root.stat().st_uid
    for folder in (place, job):
        os.chown(folder, user, user)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            ctypes.CDLL(None).unshare(_CLONE_NEWNS)
            for command in (
                ["mount", "--make-rprivate", "/"],
                ["mount", "--bind", str(cache.folder().parent), "/srv"],
            ):
                subprocess.run(command, check=True)
            _open_the_way()
            os.environ["XDG_CACHE_HOME"] = "/srv"
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            code = start()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
