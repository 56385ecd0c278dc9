"""A lab that is stopped from outside, and goes on, has not noticed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.results.folder import SAMPLES, SUMMARY, RunFolder
from tests.virtual.asked import asked, run
from tests.virtual.test_stuck import lab_processes

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

SECONDS, TIMES, LONGEST_S = 30, 8, 3.0


class Stopper:
    """Stops all processes of the lab again and again, in any order, at random moments."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)
        self.stopped: list[int] = []
        """How many processes each time."""

    def begin(self) -> None:
        """The second time does nothing."""
        if not self._thread.is_alive() and not self.stopped:
            self._thread.start()

    def end(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _go(self) -> None:
        lengths_s = [0.0] * (TIMES // 2) + [0.5] * (TIMES // 2 - 1) + [LONGEST_S]
        for length_s in self._random.sample(lengths_s, len(lengths_s)):
            if self._over.wait(self._random.uniform(0.01, 0.5)):
                return
            found = sorted(lab_processes())
            self._random.shuffle(found)
            self._send(found, signal.SIGSTOP)
            time.sleep(length_s)
            self._send(self._random.sample(found, len(found)), signal.SIGCONT)
            self.stopped.append(len(found))

    def _send(self, processes: list[int], what: signal.Signals) -> None:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, what)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(asked(seconds=SECONDS), tmp_path_factory.mktemp("calm"))


@pytest.mark.parametrize(("stage", "seed"), [("boot", 1), ("traffic", 2)])
def test_the_same_bytes_as_one_never_stopped(
    stage: str, seed: int, calm: RunFolder, tmp_path: Path
) -> None:
    stopper = Stopper(seed)
    if stage == "boot":
        stopper.begin()

    def show(row: dict[str, Any]) -> None:
        if row["stage"] == stage:
            stopper.begin()

    try:
        folder = run(asked(seconds=SECONDS), tmp_path, show=show)
    finally:
        stopper.end()
    assert len(stopper.stopped) >= TIMES // 2
    assert max(stopper.stopped) > 5  # the sandbox, the kernel, and programs of the guest
    assert folder.provenance.status == "ok"
    for name in (SAMPLES, SUMMARY):
        assert (calm.path / name).read_bytes() == (folder.path / name).read_bytes(), name
