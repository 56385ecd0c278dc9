"""The process that looks after a staging folder, and what it must not throw away.

    python -I -S janitor.py FOLDER [keep]

creates the folder, says 0 or the number of an error, and when its standard input ends
removes the folder, unless it is to keep a measurement and one is in it. It takes nothing
but the standard library, so that it is there in no time.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))  # -I and -S leave it out
from testbed.folders import remove

LOG_FOLDER = "samples"
"""Of a job folder: the probes' logs (testbed.probes.events)."""
SENT_LOG = "sent.bin"
COLLECTED = "0-provenance.json"
"""Is there when the samples have been taken out of the logs."""

KEEP = "keep"
"""Second argument: a measurement stays."""

_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
"""How a file is opened that a program in a lab may have replaced."""
_MAGIC_BYTES, _LENGTH_BYTES, _EVENT_BYTES = 8, 4, 24
_SENT = b"\1"
_ROWS_BEFORE = 16
"""More than there are before the first message."""


def measured(folder: Path) -> bool:
    """Whether a staging folder holds a measurement: a message was sent."""
    try:
        if (folder / COLLECTED).exists():
            return True
        sent = os.open(folder / LOG_FOLDER / SENT_LOG, _PLAIN)
        with os.fdopen(sent, "rb") as log:
            log.seek(_MAGIC_BYTES)
            log.seek(int.from_bytes(log.read(_LENGTH_BYTES), "little"), os.SEEK_CUR)
            kinds = [log.read(_EVENT_BYTES)[:1] for _ in range(_ROWS_BEFORE)]
            return _SENT in kinds
    except OSError:
        return False


def _make(folder: Path) -> int:
    """The folder, held; 0 or the number of an error."""
    os.umask(0o077)
    try:
        while True:
            folder.mkdir()
            try:
                held = os.open(folder, os.O_RDONLY)
                fcntl.flock(held, fcntl.LOCK_SH)
            except OSError:
                pass  # a file system without locks
            if folder.exists():  # else a sweep came between
                return 0
    except OSError as error:
        return error.errno or 1


def _main(folder: Path, *, keep: bool) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    code = _make(folder)
    print(code, flush=True)
    if code:
        return 1
    sys.stdin.buffer.read()
    for _ in range(100):  # a lab that is just ending may still write
        if keep and measured(folder):
            break
        remove(folder)
        if not os.path.lexists(folder):
            break
        time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), keep=KEEP in sys.argv[2:]))
