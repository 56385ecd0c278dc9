"""The process that sends every session's messages, open loop, on an absolute schedule.

It never reads a socket: a late or lost reply delays nothing. `Transmitter` is one
session's messages; `transmit` paces all sessions from one heap.

    python -m testbed.probes.sender --to ADDRESS [--count 100] [--interval "10 ms"] ...

measures one session to any RFC 8762 reflector and prints a summary.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.probes.child import read_job, read_start, say_ready
from testbed.probes.clock import Stop, become_pacer, clock_pair, sleep_until
from testbed.probes.events import CLOCK, SENT, SENT_FILE, START, EventLog
from testbed.probes.schedule import send_times
from testbed.probes.sockets import Train, name_of
from testbed.probes.stamp import ntp_from_ns, request_of_size

_CALM_NS = 3_000_000
"""A gap to the next send in which there is time to write the log."""
_CLOCK_EVERY_NS = 1_000_000_000


class Transmitter:
    """The messages of one session, described by one row of the job."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.index: int = row["index"]
        self.fd: int = row["fd"]
        self._row = row
        packet = request_of_size(row["size_bytes"], row["ssid"])
        fill = (bytes(row["fragment_bytes"]), name_of(row["to"], row["discard_port"]))
        last = (packet, name_of(row["to"], row["port"]))
        self._train = Train([fill] * (row["fragments"] - 1) + [last])
        self._seq = 0

    def times(self, start_ns: int) -> Iterator[int]:
        row = self._row
        return send_times(
            start_ns + row["start_ns"],
            row["interval_ns"],
            row["count"],
            row["arrivals"],
            row["seed"],
        )

    def send(self, due_ns: int, log: EventLog) -> None:
        """Send the next message, meant for `due_ns`."""
        seq, last = self._seq, self._train.last
        now_ns = time.time_ns()
        last[0:4] = seq.to_bytes(4, "big")
        last[4:12] = ntp_from_ns(now_ns).to_bytes(8, "big")
        taken = self._train.send(self.fd)
        log.add(SENT, not taken, self.index, seq, due_ns, now_ns)
        self._seq = seq + 1


def transmit(transmitters: Iterable[Transmitter], start_ns: int, log: EventLog, stop: Stop) -> None:
    """Send everything, each message at its moment. Returns after the last, or on `stop`."""
    log.add(START, 0, 0, 0, start_ns, 0)
    log.add(CLOCK, 0, 0, 0, *clock_pair())
    heap = []
    for sender in transmitters:
        times = sender.times(start_ns)
        first = next(times, None)
        if first is not None:
            heap.append((first, sender.index, sender, times))
    heapq.heapify(heap)
    log.flush()
    clock_due_ns = start_ns + _CLOCK_EVERY_NS
    while heap:
        due_ns, index, sender, times = heap[0]
        while not sleep_until(due_ns) and not stop:
            pass
        if stop:
            break
        sender.send(due_ns, log)
        following = next(times, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index, sender, times))
        if due_ns >= clock_due_ns and heap and heap[0][0] - due_ns > _CALM_NS:
            log.add(CLOCK, 0, 0, 0, *clock_pair())
            log.flush()
            clock_due_ns = due_ns + _CLOCK_EVERY_NS
    log.add(CLOCK, 0, 0, 0, *clock_pair())


def run_job() -> None:
    """Send for an engine."""
    job = read_job()
    stop = Stop()
    log = EventLog(Path(job["folder"]) / SENT_FILE, job["ids"])
    transmitters = [Transmitter(row) for row in job["sessions"]]
    say_ready()
    start_ns = read_start()
    become_pacer(first=True)
    try:
        if start_ns is not None:
            transmit(transmitters, start_ns, log, stop)
    finally:
        log.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        from testbed.probes.single import run_alone

        sys.exit(run_alone(sys.argv[1:]))
    run_job()
