"""The command in a process of its own, forked from one that has imported it.

Descriptors, signals, folder and exit code are a real process's; only the start of Python and
the imports, which are most of a short command's time, are paid once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from testbed.analysis import over_runs, summary
from testbed.cli import __main__ as command
from testbed.cli import console, orders
from testbed.cli import main as verbs
from testbed.plan import show
from testbed.report import html

IMPORTED = (summary, over_runs, command, console, verbs, orders, show, html)
"""What verbs import when they are called, so that no child has to."""
SECONDS = 120


def typed(
    *words: str, cwd: Path | None = None, out: int | None = None, err: int | None = None
) -> subprocess.CompletedProcess[str]:
    """`testbed WORDS...`, in a folder; `out` and `err` are descriptors that take its output."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _become(words, cwd, told.fileno() if out is None else out,
                    said.fileno() if err is None else err)  # fmt: skip
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (told, said):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(status), *texts)


def _become(words: Sequence[str], cwd: Path | None, out: int, err: int) -> None:
    """The rest of a child's life."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        if cwd is not None:
            os.chdir(cwd)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in enumerate((nothing, out, err)):
            os.dup2(descriptor, number)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["testbed", *words]
        command.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 120
        os._exit(code)
