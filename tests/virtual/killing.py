"""Runs inside a lab: one run after the other, in each of which something is done to it.

    python3 -m tests.virtual.killing JOB

JOB has a folder for each run, by what is done: the name of a process that is killed, or
`clock`, which is set. A run is the guest program's, with its files.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from testbed import guest
from testbed.emulation.control import ORDERS, STATUS

WORDS = {
    "ovs-vswitchd": "ovs-vswitchd unix:",
    "ovsdb-server": "ovsdb-server /",
    "tcpdump": "tcpdump -i",
    "sender": "testbed.probes.sender",
    "receiver": "testbed.probes.receiver",
    "reflector": "testbed.probes.reflector",
    "flood": "testbed.traffic.constant",
    "northbound": "testbed.northbound --port",
    "controller": "controllers.launch",
    "controller again": "controllers.launch",
    "iperf3 server": "iperf3 -s",
    "iperf3 client": "iperf3 -c",
}
"""What is killed, and what to look for in its command line."""
AT_S, STEP_S = 1.5, 3600


def matching(words: str) -> Iterator[int]:
    """The processes whose command line holds the words."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in line and int(entry.parent.name) not in (1, os.getpid()):
            yield int(entry.parent.name)


def disturb(what: str) -> None:
    """Do it, once."""
    if what == "clock":
        time.clock_settime(time.CLOCK_REALTIME, time.time() + STEP_S)
    elif what != "nothing":
        (found,) = set(matching(WORDS[what]))
        os.kill(found, signal.SIGKILL)


class Progress(guest.Progress):
    """Disturbs its run in its second second of traffic; a controller again at its end."""

    what = "nothing"

    def __call__(self, stage: str, text: str, done: int = 0, of: int = 0) -> None:
        super().__call__(stage, text, done, of)
        if stage == "traffic" and done == 1:
            time.sleep(AT_S - 1)
            disturb(self.what)
        if stage == "collect" and self.what == "controller again":
            threading.Thread(target=self._end_the_next, daemon=True).start()

    def _end_the_next(self) -> None:
        while not list(matching(WORDS["controller"])):
            time.sleep(0.001)
        disturb(self.what)


guest.Progress = Progress  # type: ignore[misc]

if __name__ == "__main__":
    for job in sorted(Path(sys.argv[1]).glob("*/job.json")):
        Progress.what = job.parent.name
        guest.main([sys.argv[0], str(job.parent)])
        for left in (STATUS, ORDERS):
            left.unlink(missing_ok=True)
    sys.stdout.flush()
    os._exit(0)
