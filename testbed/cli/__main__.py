"""The command `testbed`, and `python -m testbed.cli`.

Ctrl-C ends it quietly already while it imports, which takes a third of a second, and the module
`signal`, for which `_signal` stands here, a part of that. While Python itself starts, before
this is read, `scripts/testbed` holds Ctrl-C back.
"""

import _signal  # type: ignore[import-not-found]  # no stub: CPython's own
import os
import sys


def main() -> None:
    """Carry out the command line."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: else what is opened next takes its number
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: PTH123, SIM115 - stays open
    before = _signal.getsignal(_signal.SIGINT)
    if before != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _at_once)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))
    from testbed.cli.main import main as verbs

    _signal.signal(_signal.SIGINT, before)
    try:
        verbs(prog_name="testbed")
    finally:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # what is left is the interpreter's end


def _at_once(number: int, _frame: object) -> None:
    os.write(2, b"stopped; nothing is left running\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
