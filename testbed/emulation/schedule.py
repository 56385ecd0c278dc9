"""A plan's deltas, each carried out at its time and written into the timeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from testbed.emulation.acts import Lab, carry_out
from testbed.net.timeline import Entry, Timeline, since
from testbed.scenario.delta import Delta
from testbed.scenario.events.order import OrderEvent


class Schedule:
    """Carries deltas out in a thread of its own, from creation on.

    The thread stays: processes that a delta started end with it.
    """

    def __init__(self, deltas: Sequence[Delta], lab: Lab, start_ns: int, path: Path) -> None:
        """Times count from `start_ns` (CLOCK_MONOTONIC); `path` is the timeline's."""
        self._deltas, self._lab, self._start_ns = deltas, lab, start_ns
        self._timeline, self._turn = Timeline(path), threading.Lock()
        self._asking: list[threading.Thread] = []
        self._problem: Exception | None = None
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._all()
        finally:
            self._over.set()
        threading.Event().wait()

    def _all(self) -> None:
        for number, delta in enumerate(self._deltas):
            time.sleep(max(0, self._start_ns + delta.at_ns - time.monotonic_ns()) / 1e9)
            if isinstance(delta, OrderEvent):  # others do not wait for its answer
                asking = threading.Thread(target=self._do, args=(number, delta), daemon=True)
                self._asking.append(asking)
                asking.start()
            else:
                self._do(number, delta)

    def _do(self, number: int, delta: Delta) -> None:
        began_ns = time.monotonic_ns() - self._start_ns
        try:
            told = carry_out(self._lab, delta) or {}
            actual_ns = time.monotonic_ns() - self._start_ns
            done = Entry(
                delta=delta, began_ns=began_ns, actual_ns=actual_ns, event=number, told=told
            )
            with self._turn:
                self._timeline.add(done)
        except Exception as problem:  # told by finish(), in the thread that can end the run
            self._problem = self._problem or problem

    def finish(self) -> None:
        """All has happened. Raises what kept a delta from happening."""
        self._over.wait()
        for thread in self._asking:
            thread.join()
        if self._problem is not None:
            raise self._problem

    def complete(self, noted: Iterable[Entry]) -> None:
        """Bring what other processes noted, by CLOCK_MONOTONIC, into the timeline."""
        self._timeline.complete(since(self._start_ns, noted))
