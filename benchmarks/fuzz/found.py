"""What happens to inputs: each is carried out, timed and judged."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

HANG_S = 1.0
GIVEN_UP_S = 20
GROWTH_BYTES = 32 << 20
"""Over the second half of the inputs, at most."""


class Found:
    """What happened to the inputs of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ends: Counter[str] = Counter()
        self.bad: list[str] = []
        self.count = 0
        self.longest_s = 0.0
        self._rss = {0: rss()}

    def judge(self, data: Any, work: Callable[[], str], size: int = 0) -> None:
        """Do the work for an input, and note how it ended."""
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, GIVEN_UP_S)
        try:
            end = work()
        except TestbedError as refused:
            end = type(refused).__name__
        except Exception as error:
            end = f"CRASH {type(error).__name__}: {error}"[:160]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        took_s = time.perf_counter() - began
        self.count += 1
        self.longest_s = max(self.longest_s, took_s)
        if took_s > HANG_S * max(1, size / 1e6):
            end = f"HANG of {took_s:.1f} s ({end})"
        if end.startswith(("CRASH", "HANG")):
            self.bad.append(f"{end}  input {data!r}"[:400])
        self.ends[end] += 1
        if not self.count % 100:
            self._rss[self.count] = rss()

    def report(self, planned: int) -> bool:
        """Print it; whether nothing was bad."""
        half = self._rss.get(max((n for n in self._rss if n <= planned // 2), default=0), 0)
        ends = ", ".join(f"{n:,} {end}" for end, n in self.ends.most_common(9))
        print(
            f"{self.kind}: {self.count:,} inputs, {len(self.bad)} bad, the longest took "
            f"{self.longest_s:.2f} s; memory {half >> 20} MiB half-way, {rss() >> 20} MiB at "
            f"the end\n  {ends}",
            flush=True,
        )
        if rss() - half > GROWTH_BYTES and self.count > 1000:
            self.bad.append("memory grows")
        for bad in self.bad[:10]:
            print(f"  BAD {bad}")
        return not self.bad


def rss(pid: int | str = "self") -> int:
    """Bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def give_up(*_: object) -> None:
    raise TimeoutError(f"not done after {GIVEN_UP_S} s")
