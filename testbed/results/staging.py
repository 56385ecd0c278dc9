"""A hidden folder that vanishes unless it is committed.

A child process, the janitor, creates the folder and removes it when its standard
input ends: at the end of the `with` block, and also when this process is killed
at any moment, since the kernel then closes the pipe. What is to be kept is renamed
out of the folder, or the folder itself is, in one step.

Both processes hold a shared flock on the folder. A folder nobody holds was left by
a machine that lost power; the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import ResultError

PREFIX = ".staging-"

_JANITOR = """
import fcntl, os, shutil, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
path = sys.argv[1]
try:
    while True:
        os.mkdir(path)
        try:
            held = os.open(path, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_SH)
        except OSError:
            pass  # a file system without locks
        if os.path.exists(path):  # else a sweep came between
            break
except OSError as error:
    print(error.errno, flush=True)
    sys.exit(1)
print(0, flush=True)
sys.stdin.buffer.read()
for _ in range(100):  # a lab that is just ending may still write
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        break
    time.sleep(0.1)
"""


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A new hidden folder in `root`, gone after the block unless it was renamed.

    Raises ResultError if `root` cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(root, error) from error
    sweep(root)
    path = root.resolve() / f"{PREFIX}{secrets.token_hex(6)}"
    janitor = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _JANITOR, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us; the janitor ends when we do
    )
    assert janitor.stdin is not None
    assert janitor.stdout is not None
    held = -1
    try:
        code = int(janitor.stdout.readline() or 5)
        if code:
            raise unwritable(root, OSError(code, os.strerror(code)))
        held = os.open(path, os.O_RDONLY)
        _flock(held, fcntl.LOCK_SH)
        yield path
    finally:
        if held >= 0:
            os.close(held)
        janitor.stdin.close()
        janitor.stdout.close()
        janitor.wait()


def sweep(root: Path) -> list[Path]:
    """Remove staging folders in `root` that no living process holds; returns them."""
    removed = []
    for path in root.glob(f"{PREFIX}*"):
        try:
            held = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            if _flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
        finally:
            os.close(held)
    return removed


def unwritable(path: Path, error: OSError) -> ResultError:
    """The ResultError for a folder that refused a write."""
    full = error.errno in (28, 122)  # ENOSPC, EDQUOT
    return ResultError(
        f"cannot write results: {error.strerror or error}",
        where=str(path),
        expected="a folder this user may write, with space for the samples",
        remedy=(
            f"free some space (`df -h {path}`), or set TESTBED_HOME to a folder with more"
            if full
            else "correct its permissions, or set TESTBED_HOME to another folder"
        ),
    )


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how)
    except OSError:
        return False
    return True
