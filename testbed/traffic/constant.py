"""The process that sends constant-rate UDP: the loads of kind `udp` and `flood`.

Packet k of a load is due k x (packet bits) / rate after its start, by the clock of the
load (drift_ppb). Of a `udp` load each
packet leaves at its own moment, where the kernel keeps packets until the moments they
name. Elsewhere, and of a `flood` everywhere, the process sends what is due at most once a
millisecond, several packets a system call. A debt of more than FLOOD_DEBT_NS is forgiven,
so that no stall of the machine turns into a burst that the plan does not know.

Job: {"loads": [{id, fd, to, port, packet_bytes, rate_bps, start_ns, duration_ns, drift_ppb,
timed}]}.
Ends after the last packet, or on SIGTERM, and then prints one line of JSON:

    {id: {"packets", "seconds", "first_ns", "last_ns", "ahead_packets"}}

`first_ns` and `last_ns` are when the first and the last packet entered the network, ns
after the load's start, and `ahead_packets` is how many packets the load was ahead of its
schedule at most, in its first FIRST_NS. These three are read from the kernel's transmit
stamps, so they are of the packets and not of what this program meant to do; null is
unknown.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from testbed.plan.pacing import by_clock, stretched
from testbed.probes.batches import Inbox, Repeater, name_of
from testbed.probes.child import read_job, read_start, say_ready
from testbed.probes.clock import Stop, become_pacer, clock_pair, sleep_until
from testbed.traffic.kinds.flood import FLOOD_DEBT_NS, FLOOD_TICK_NS

AHEAD_NS = 100_000_000
"""How long before its moment a packet may be handed to the kernel."""
FIRST_NS = 10_000_000
_MOST_PACKETS = 1024
"""A waking; so many of the largest fit twice into the socket's buffer."""


class Constant:
    """One constant-rate sender."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.id: str = row["id"]
        self.begin_ns: int = row["start_ns"]
        self._duration_ns: int = row["duration_ns"]
        self._bits_ns: int = row["packet_bytes"] * 8_000_000_000
        self._rate_bps: int = row["rate_bps"]
        self._drift_ppb: int = row["drift_ppb"]
        self._count = self._due_by(self._duration_ns - 1)
        self._first = min(self._due_by(FIRST_NS), _MOST_PACKETS)
        """How many packets are due first, and stamped."""
        self._fd: int = row["fd"]
        self._ahead_ns = 0
        if row["timed"]:
            most_ns = _MOST_PACKETS * self._bits_ns // self._rate_bps // 2
            self._ahead_ns = min(AHEAD_NS, most_ns)
        self._repeater = Repeater(
            bytes(row["packet_bytes"]),
            name_of(row["to"], row["port"]),
            _MOST_PACKETS,
            timed=row["timed"],
        )
        self._next = 0
        """The packet that is due next."""
        self._stamped: list[int] = []
        """Packets that were to be stamped, in order of sending."""
        self._sent = 0
        """Packets that the kernel took."""

    def shift(self, start_ns: int) -> None:
        """Times count from `start_ns`."""
        self.begin_ns += start_ns

    @property
    def wake_ns(self) -> int:
        """When to come for the packet that is due next."""
        return self.begin_ns + self._due_ns(self._next) - self._ahead_ns

    def send(self, now_ns: int) -> int | None:
        """Send what is due; when to come again, or None at the end."""
        at_ns = now_ns - self.begin_ns
        if not self._ahead_ns:
            forgiven_ns = min(at_ns, self._duration_ns) - FLOOD_DEBT_NS
            self._next = max(self._next, self._due_by(forgiven_ns - 1))
        due = min(self._due_by(at_ns + 2 * self._ahead_ns), self._count)
        due = min(due, self._next + _MOST_PACKETS)
        first = self._first if self._stamped else max(self._first, self._next + 1)
        self._hand_over(min(due, first), stamped=True)
        self._hand_over(min(due, self._count - 1), stamped=False)
        self._hand_over(due, stamped=True)
        end_ns = self.begin_ns + self._duration_ns
        if self._next == self._count:
            return end_ns if now_ns < end_ns else None
        if self._ahead_ns:
            return self.wake_ns
        return min(max(self.wake_ns, self._tick_ns(at_ns)), end_ns)

    def report(self, now_ns: int, offset_ns: int) -> dict[str, Any]:
        """What was sent by now; `offset_ns` is CLOCK_REALTIME - CLOCK_MONOTONIC."""
        stamps: dict[int, int] = {}
        for number, stamp_ns in Inbox().read_stamps(self._fd):
            stamps.setdefault(number, stamp_ns - offset_ns - self.begin_ns)
        at_ns = {packet: stamps[n] for n, packet in enumerate(self._stamped) if n in stamps}
        first = sorted(at for packet, at in at_ns.items() if packet < self._first)
        passed_ns = max(now_ns - self.begin_ns, 0)
        return {
            # what still waits for its moment was not sent
            "packets": min(self._sent, self._due_by(passed_ns)),
            "seconds": min(passed_ns, self._duration_ns) / 1e9,
            "first_ns": min(at_ns.values(), default=None),
            "last_ns": at_ns.get(self._count - 1),
            "ahead_packets": max(
                (sent - self._due_by(at) for sent, at in enumerate(first, start=1)), default=None
            ),
        }

    def _due_ns(self, packet: int) -> int:
        return stretched(packet * self._bits_ns // self._rate_bps, self._drift_ppb)

    def _tick_ns(self, at_ns: int) -> int:
        """When a tick ends that begins so long after the start."""
        own_ns = by_clock(at_ns, self._drift_ppb) + FLOOD_TICK_NS
        return self.begin_ns + stretched(own_ns, self._drift_ppb)

    def _due_by(self, at_ns: int) -> int:
        """How many packets are due by then."""
        if at_ns < 0:
            return 0
        own_ns = by_clock(at_ns, self._drift_ppb)
        return ((own_ns + 1) * self._rate_bps - 1) // self._bits_ns + 1

    def _hand_over(self, until: int, *, stamped: bool) -> None:
        """The packets before `until` that are still to be sent."""
        packets = range(self._next, until)
        if not packets:
            return
        moments = [self.begin_ns + self._due_ns(p) for p in packets] if self._ahead_ns else ()
        taken = self._repeater.send(self._fd, len(packets), moments, stamped=stamped)
        self._sent += taken
        if stamped:
            self._stamped += packets[:taken]
        self._next = until


def send_all(rows: Iterable[Constant], stop: Stop) -> None:
    """Send all loads until each is over."""
    heap = [(row.wake_ns, row.id, row) for row in rows]
    heapq.heapify(heap)
    while heap and not stop:
        wake_ns, _, row = heap[0]
        if not sleep_until(wake_ns):
            continue
        again_ns = row.send(time.monotonic_ns())
        if again_ns is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (again_ns, row.id, row))


def run_job() -> None:
    rows = [Constant(row) for row in read_job()["loads"]]
    stop = Stop()
    say_ready()
    start_ns = read_start()
    become_pacer(first=True)
    if start_ns is None:
        return
    for row in rows:
        row.shift(start_ns)
    send_all(rows, stop)
    now = clock_pair()
    print(
        json.dumps({row.id: row.report(now.monotonic_ns, now.offset_ns) for row in rows}),
        flush=True,
    )


if __name__ == "__main__":
    run_job()
