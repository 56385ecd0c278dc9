"""The process that sends every session's messages, open loop, on an absolute schedule.

It never reads a socket: a late or lost reply delays nothing. `Transmitter` is one
session's messages; `transmit` paces all sessions from one heap.

Where the kernel keeps a packet until the moment it names, the process wakes `ahead_ns`
before a message's moment and hands over all that are due within `ahead_ns` after it:
many messages a system call, and no program to wake at their moments. Elsewhere
`ahead_ns` is 0, and it wakes and sends at each moment.

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

from testbed.probes.batches import Train, name_of
from testbed.probes.child import read_job, read_start, say_ready
from testbed.probes.clock import Stop, become_pacer, clock_pair, sleep_until
from testbed.probes.events import CLOCK, KEEP_NS, SENT, SENT_FILE, START, EventLog
from testbed.probes.schedule import send_times
from testbed.probes.stamp import request_head, request_of_size

_CALM_NS = 3_000_000
"""A gap to the next send in which there is time to write the log."""
_COMPARE_NS = 1_000_000_000
"""How often clocks are compared. Where time is short, half as often, as the log is written."""
_MOST = 64
"""Messages a system call."""


class Transmitter:
    """The messages of one session, described by one row of the job.

    Args:
        ahead_ns: how long before its moment a message may be handed to the kernel; 0
            where the kernel does not wait for it.
    """

    def __init__(self, row: Mapping[str, Any], ahead_ns: int) -> None:
        self.index: int = row["index"]
        self.due_ns: int | None = None
        """When the next message is to be sent."""
        self._fd: int = row["fd"]
        self._row, self._ahead_ns = row, ahead_ns
        self._times: Iterator[int] = iter(())
        self._train = Train(
            (row["fragment_bytes"], name_of(row["to"], row["discard_port"])),
            (request_of_size(row["size_bytes"], row["ssid"]), name_of(row["to"], row["port"])),
            packets=row["fragments"],
            most=min(_MOST, ahead_ns // row["interval_ns"] + 1),
            timed=ahead_ns > 0,
        )
        self._seq = 0

    def begin(self, start_ns: int) -> None:
        """The schedule counts from `start_ns`."""
        row = self._row
        self._times = send_times(
            start_ns + row["start_ns"],
            row["interval_ns"],
            row["count"],
            row["arrivals"],
            row["seed"],
            row["drift_ppb"],
        )
        self.due_ns = next(self._times, None)

    def send(self, until_ns: int, offset_ns: int, log: EventLog) -> None:
        """Send the messages that are due until then, or hand them to the kernel.

        Args:
            offset_ns: CLOCK_REALTIME - CLOCK_MONOTONIC.
        """
        while self.due_ns is not None and self.due_ns <= until_ns:
            batch: list[tuple[int, int]] = []
            while self.due_ns is not None and self.due_ns <= until_ns:
                if len(batch) == self._train.most:
                    break
                due_ns = self.due_ns
                begun_ns = due_ns + offset_ns if self._ahead_ns else time.time_ns()
                seq = self._seq + len(batch)
                self._train.put(len(batch), seq, request_head(seq, begun_ns), due_ns)
                batch.append((due_ns, begun_ns))
                self.due_ns = next(self._times, None)
            taken = self._train.send(self._fd, len(batch))
            for (due_ns, begun_ns), good in zip(batch, taken, strict=True):
                log.add(SENT, not good, self.index, self._seq, due_ns, begun_ns)
                self._seq += 1


def transmit(
    transmitters: Iterable[Transmitter],
    start_ns: int,
    log: EventLog,
    stop: Stop,
    ahead_ns: int = 0,
) -> None:
    """Send everything, each message at its moment. Returns after the last, or on `stop`."""
    log.add(START, 0, 0, 0, start_ns, 0)
    offset_ns = _compare_clocks(log)
    heap: list[tuple[int, int, Transmitter]] = []

    def wait(sender: Transmitter) -> None:
        if sender.due_ns is not None:
            heapq.heappush(heap, (sender.due_ns, sender.index, sender))

    for sender in transmitters:
        sender.begin(start_ns)
        wait(sender)
    log.flush()
    kept_ns = compared_ns = due_ns = start_ns
    while heap:
        due_ns = heap[0][0]
        ready = []
        while heap and heap[0][0] <= due_ns + ahead_ns:
            ready.append(heapq.heappop(heap)[2])
        ready.sort(key=_index)  # at one moment the first session sends first
        if not _slept(due_ns - ahead_ns, stop):
            log.cover(due_ns)
            return
        for sender in ready:
            sender.send(due_ns + ahead_ns, offset_ns, log)
        for sender in ready:
            wait(sender)
        wait_times = 1 if not heap or heap[0][0] - due_ns > _CALM_NS else 2
        if due_ns - compared_ns >= wait_times * _COMPARE_NS:
            offset_ns = _compare_clocks(log)
            compared_ns = due_ns
        if heap and due_ns - kept_ns >= wait_times * KEEP_NS:
            log.cover(heap[0][0])
            kept_ns = due_ns
    if _slept(due_ns + ahead_ns, stop):
        _compare_clocks(log)
        log.end()
    else:
        log.cover(due_ns + 1)


def _index(sender: Transmitter) -> int:
    return sender.index


def _slept(moment_ns: int, stop: Stop) -> bool:
    """Sleep until the moment; False if asked to stop before."""
    while not stop:
        if sleep_until(moment_ns):
            return True
    return False


def _compare_clocks(log: EventLog) -> int:
    """CLOCK_REALTIME - CLOCK_MONOTONIC, and a row of both in the log."""
    now = clock_pair()
    log.add(CLOCK, 0, 0, min(now.width_ns, 0xFFFF_FFFF), now.monotonic_ns, now.realtime_ns)
    return now.offset_ns


def run_job() -> None:
    """Send for an engine."""
    job = read_job()
    stop = Stop()
    log = EventLog(Path(job["folder"]) / SENT_FILE, job["ids"], job["packets"])
    ahead_ns = job["ahead_ns"]
    transmitters = [Transmitter(row, ahead_ns) for row in job["sessions"]]
    say_ready()
    start_ns = read_start()
    become_pacer(first=True)
    try:
        if start_ns is not None:
            transmit(transmitters, start_ns, log, stop, ahead_ns)
    finally:
        log.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        from testbed.probes.single import run_alone

        sys.exit(run_alone(sys.argv[1:]))
    run_job()
