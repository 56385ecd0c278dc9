"""The ports' depth and counts, each so many ms of traffic, where that is asked for.

A line for each queue that has seen anything by then, in `ports.csv`:

    at_ns,port,queue,packets,bytes,drops,backlog_packets,backlog_bytes

Times are from the start of traffic, each when ports were asked: at a multiple of the interval or
by the kernel's timer slack, 50 us, after it. Counts are from the port's making on, and drops
with what policers dropped. Ports are asked by netlink, which in virtual time takes none: no
packet leaves a nanosecond later for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from testbed.emulation.readback import PortCounters
from testbed.plan.model import Plan
from testbed.stages.stage import RunStage

FILE = "ports.csv"
COLUMNS = "at_ns,port,queue,packets,bytes,drops,backlog_packets,backlog_bytes"


class PortSamples(RunStage):
    _thread: threading.Thread
    _problem: Exception | None = None

    @classmethod
    def asked(cls, plan: Plan) -> bool:
        return plan.sample_ports_ns is not None

    def start(self, start_ns: int) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(start_ns,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def _run(self, start_ns: int) -> None:
        try:
            with self.run.net.counting() as count, (self.run.job / FILE).open("w") as file:
                file.write(COLUMNS + "\n")
                for lines in self._samples(start_ns, count):
                    file.writelines(lines)
        except Exception as problem:  # told by stop(), in the thread that can end the run
            self._problem = problem

    def _samples(
        self, start_ns: int, count: Callable[[], list[PortCounters]]
    ) -> Iterator[list[str]]:
        """At each multiple of the interval; those are left out that the last one took."""
        every_ns = self.run.plan.sample_ports_ns
        assert every_ns is not None
        number = 0
        while not self._over.wait(max(0, start_ns + number * every_ns - time.monotonic_ns()) / 1e9):
            at_ns = time.monotonic_ns() - start_ns
            yield [line for port in count() for line in rows(at_ns, port)]
            number = max(number + 1, (time.monotonic_ns() - start_ns) // every_ns + 1)


def rows(at_ns: int, port: PortCounters) -> Iterator[str]:
    """The lines of one port at a moment."""
    for queue in port.queues or (port,):
        background = policed = 0
        number = 0
        packets, sent_bytes, drops = queue.packets, queue.sent_bytes, queue.drops
        if not isinstance(queue, PortCounters):
            number = queue.id
            packets += queue.background_packets
            sent_bytes += queue.background_bytes
            background, policed = queue.background_drops, queue.policed
        drops += background + policed
        if packets or drops or queue.backlog_packets:
            depth = f"{queue.backlog_packets},{queue.backlog_bytes}"
            yield f"{at_ns},{port.name},{number},{packets},{sent_bytes},{drops},{depth}\n"
