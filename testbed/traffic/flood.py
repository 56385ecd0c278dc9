"""The process that sends floods: UDP at a constant rate, several packets a system call.

Each flood sends what its schedule owes, at most once a millisecond. A debt of more
than FLOOD_DEBT_NS is forgiven, so that no stall of the machine turns into a burst that
the plan does not know; what was really sent is reported.

Job: {"floods": [{id, fd, to, port, packet_bytes, rate_bps, start_ns, duration_ns}]}.
Ends after the last packet, or on SIGTERM, and then prints one line of JSON:
{id: {"packets": n, "seconds": s}}.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from testbed.plan.model import FLOOD_DEBT_NS
from testbed.probes.batches import Repeater, name_of
from testbed.probes.child import read_job, read_start, say_ready
from testbed.probes.clock import Stop, become_pacer, sleep_until

TICK_NS = 1_000_000
_MOST_PACKETS = 1024


class Flood:
    """One constant-rate sender."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.id: str = row["id"]
        self.begin_ns: int = row["start_ns"]
        self.end_ns: int = row["start_ns"] + row["duration_ns"]
        self.packets = 0
        self.gap_ns: float = row["packet_bytes"] * 8e9 / row["rate_bps"]
        """From packet to packet."""
        self._fd: int = row["fd"]
        self._repeater = Repeater(
            bytes(row["packet_bytes"]), name_of(row["to"], row["port"]), _MOST_PACKETS
        )
        self._due_ns = float(self.begin_ns)
        self.last_ns = self.begin_ns

    def shift(self, start_ns: int) -> None:
        """Times count from `start_ns`."""
        self.begin_ns += start_ns
        self.end_ns += start_ns
        self._due_ns += start_ns
        self.last_ns = self.begin_ns

    def send(self, now_ns: int) -> int | None:
        """Send what is owed; when to come again, or None at the end."""
        until_ns = min(now_ns, self.end_ns)
        self._due_ns = max(self._due_ns, until_ns - FLOOD_DEBT_NS)
        owed = min(int((until_ns - self._due_ns) / self.gap_ns) + 1, _MOST_PACKETS)
        self.packets += self._repeater.send(self._fd, owed)
        self._due_ns += owed * self.gap_ns
        self.last_ns = until_ns
        again_ns = max(round(self._due_ns), now_ns + TICK_NS)
        return again_ns if again_ns < self.end_ns else None


def flood(floods: Iterable[Flood], stop: Stop) -> None:
    """Send all floods until each is over."""
    heap = [(row.begin_ns, row.id, row) for row in floods]
    heapq.heapify(heap)
    while heap and not stop:
        due_ns, _, row = heap[0]
        if not sleep_until(due_ns):
            continue
        again_ns = row.send(time.monotonic_ns())
        if again_ns is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (again_ns, row.id, row))


def run_job() -> None:
    floods = [Flood(row) for row in read_job()["floods"]]
    stop = Stop()
    say_ready()
    start_ns = read_start()
    become_pacer(first=True)
    if start_ns is None:
        return
    for row in floods:
        row.shift(start_ns)
    flood(floods, stop)
    print(
        json.dumps(
            {
                row.id: {"packets": row.packets, "seconds": (row.last_ns - row.begin_ns) / 1e9}
                for row in floods
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    run_job()
