"""What virtual time costs: wall seconds for a virtual second, and where they go.

    python -m benchmarks.cost            probes, floods, four labs at once: two minutes or so
    python -m benchmarks.cost --soak     an hour of probes over 6 switches, ten a second
                                         (--seconds, --hertz: as long and as many as you like)

Wall time is that of traffic alone; boot and set-up are not in it. A flood's is what
it takes beyond a run without it. CPU time is that of all the lab's processes meanwhile:
on a machine that others use too, it says more than wall time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.line import HOPS, Line, Outcome, Watch, flood, prepared, probe, ran
from testbed.lab.virtual import VirtualLab
from testbed.prepare import Prepared

LABS_AT_ONCE = 4
SOAK_S = 3600
SOAK_HERTZ = 10
SETTLED_S = 600
MOST_GROWTH = 1.0
"""MiB in ten minutes: an eighth of what the soak writes."""
PACKET_BYTES = 1448
PROBES = 20_000
"""At 1 kHz, which are to take a tenth of their time at most."""
FLOOD_S = 4
"""Traffic of a run with a flood, which may be over before."""


class Cost(NamedTuple):
    """A run's traffic."""

    wall_s: float
    cpu_s: float
    lab_s: float
    received: int
    """Packets of the flood that arrived."""
    sent: int


class Work(Watch):
    """Also the CPU time of the lab's processes."""

    def __init__(self) -> None:
        super().__init__()
        self._cpu_s: list[float] = []

    def __call__(self, row: dict[str, Any]) -> None:
        super().__call__(row)
        if row["stage"] == "traffic":
            self._cpu_s.append(cpu_seconds(descendants()))

    @property
    def cpu_s(self) -> float:
        """User and system seconds of the traffic."""
        return self._cpu_s[-1] - self._cpu_s[0]


def cost(what: Prepared) -> Cost:
    work = Work()
    with ran(what, VirtualLab(), work) as outcome:
        return measured(outcome, work)


def measured(outcome: Outcome, work: Work) -> Cost:
    loads: list[dict[str, Any]] = outcome.run.record("6-loads.json") or []
    sent = sum((row["sent_bytes"] or 0) // PACKET_BYTES for row in loads)
    received = sum((row["received_bytes"] or 0) // PACKET_BYTES for row in loads)
    return Cost(work.wall_s, work.cpu_s, work.lab_s, received, sent)


def quiet(hops: int, interval_ns: int = 100_000_000, seconds: int = FLOOD_S) -> Prepared:
    """Probes alone."""
    one = probe("p", "near", "far", interval_ns=interval_ns, duration_ns=seconds * 10**9)
    return prepared(Line(hops=hops), [one])


def flooded(hops: int, rate_bps: int, seconds: int) -> Prepared:
    one = probe("p", "near", "far", interval_ns=100_000_000, duration_ns=FLOOD_S * 10**9)
    return prepared(Line(hops=hops), [one], [flood(rate_bps, seconds * 10**9)])


def probes(out: Table) -> None:
    """20,000 at 1 kHz between two hosts at one switch, and over 6 switches."""
    for hops, where in ((1, "1 switch"), (HOPS, f"{HOPS} switches")):
        run = cost(quiet(hops, interval_ns=1_000_000, seconds=PROBES // 1000))
        out.add_row(
            f"{PROBES:,} probes at 1 kHz, {where}",
            f"{run.wall_s / run.lab_s:.3f}",
            f"{run.cpu_s / run.lab_s:.3f}",
            f"{run.lab_s:.0f} s virtual in {run.wall_s:.2f} s; "
            f"{run.cpu_s / PROBES * 1e6:.0f} us of CPU time each, there and back",
        )


def floods(console: Console, out: Table) -> None:
    """100 Mbit/s and 1 Gbit/s over 6 switches; packets over 1 switch tell what a hop takes."""
    without = cost(quiet(HOPS, seconds=FLOOD_S))
    per_packet = {}
    for name, hops, rate_bps, seconds in (
        ("100 Mbit/s flood", HOPS, 100_000_000, 4),
        ("1 Gbit/s flood", HOPS, 1_000_000_000, 2),
        ("1 Gbit/s flood", 1, 1_000_000_000, 2),
    ):
        run = cost(flooded(hops, rate_bps, seconds))
        extra_s, extra_cpu_s = run.wall_s - without.wall_s, run.cpu_s - without.cpu_s
        per_packet[hops] = extra_cpu_s / run.sent
        switches = f"{hops} switch{'es' if hops > 1 else ''}"
        out.add_row(
            f"{name}, {switches}",
            f"{extra_s / seconds:.2f}",
            f"{extra_cpu_s / seconds:.2f}",
            f"{run.sent:,} packets, {per_packet[hops] * 1e6:.1f} us of CPU time each; "
            f"{run.sent - run.received} lost",
        )
    hop_s = (per_packet[HOPS] - per_packet[1]) / (HOPS - 1)
    rest_s = per_packet[1] - hop_s
    console.print(out)
    console.print(
        f"Where it goes: a full-size packet takes {per_packet[HOPS] * 1e6:.1f} us of CPU time "
        f"over {HOPS} switches. By the difference between {HOPS} switches and 1, each switch "
        f"with its port takes {hop_s * 1e6:.1f} us, together "
        f"{HOPS * hop_s / per_packet[HOPS]:.0%}; sending it and dropping it at the sink takes "
        f"the other {rest_s * 1e6:.1f} us."
    )


def together(console: Console) -> bool:
    """Whether labs that run at once measure what one alone does."""
    what = quiet(HOPS, interval_ns=5_000_000, seconds=5)

    def samples(_: int) -> tuple[bytes, float]:
        with ran(what, VirtualLab(memory_bytes=512 << 20)) as (run, watch):
            return run.samples.to_csv().encode(), watch.wall_s

    alone, alone_s = samples(0)
    with ThreadPoolExecutor(LABS_AT_ONCE) as pool:
        others = list(pool.map(samples, range(LABS_AT_ONCE)))
    same = sum(theirs == alone for theirs, _ in others)
    slowest_s = max(wall_s for _, wall_s in others)
    console.print(
        f"{LABS_AT_ONCE} labs at once: the samples of {same} are those of one alone to the byte; "
        f"traffic took {slowest_s:.1f} s wall, alone {alone_s:.1f} s"
    )
    return same == LABS_AT_ONCE


class Sizes(NamedTuple):
    """Memory at one virtual second, in MiB."""

    second: int
    host: float
    """Of all the lab's processes (Pss)."""
    guest: float
    """In use inside the lab, what its kernel would give back included."""
    needed: float
    """The same without what it would give back."""


class Memory(Watch):
    """Also the lab's memory, every virtual minute; told every ten."""

    def __init__(self, console: Console, lab_bytes: int) -> None:
        super().__init__()
        self._console, self._lab_bytes = console, lab_bytes
        self.sizes: list[Sizes] = []

    def __call__(self, row: dict[str, Any]) -> None:
        super().__call__(row)
        second = row["done"]
        if row["stage"] != "traffic" or not second or (second % 60 and second != 10):
            return
        used = (self._lab_bytes - row[name] for name in ("free_bytes", "available_bytes"))
        sizes = (proportional_bytes(descendants()), *used)
        self.sizes.append(Sizes(second, *(size / 2**20 for size in sizes)))
        if second % 600 == 0 or second == 10:
            self._console.print(
                f"{second:5} s virtual, {self.wall_s:6.1f} s wall: "
                f"{self.sizes[-1].host:.1f} MiB of the host; inside the lab "
                f"{self.sizes[-1].guest:.1f} MiB in use, {self.sizes[-1].needed:.1f} MiB needed"
            )

    def growth(self) -> Sizes | None:
        """MiB per ten minutes, by least squares over all but the first ten."""
        settled = np.array([sizes for sizes in self.sizes if sizes.second >= SETTLED_S])
        if len(settled) < 2:
            return None
        slopes = np.polyfit(settled[:, 0] / 600, settled[:, 1:], 1)[0]
        return Sizes(600, *(float(slope) for slope in slopes))


def descendants() -> list[int]:
    """All processes below this one, as this one sees them."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [int(Path("/proc/self").resolve().name)]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes, and of those of their children that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = (
                Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_bytes(pids: Sequence[int]) -> int:
    """Memory of processes, shared pages divided among those that share them (Pss)."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(r.split()[1]) for r in text.splitlines() if r.startswith("Pss:")) << 10
    return total


def soak(console: Console, seconds: int, hertz: int) -> bool:
    """Probes for an hour, and the null path."""
    lab = VirtualLab()
    watch = Memory(console, lab.memory_bytes)
    began = time.monotonic()
    what = quiet(HOPS, interval_ns=10**9 // hertz, seconds=seconds)
    with ran(what, lab, watch) as (run, _):
        samples, null = run.samples, run.null_path
        (session,) = run.plan.sessions
        planned_ns = session.legs[0].budget.total_ns
        largest_ns = abs(samples.forward_ns - planned_ns)[samples.received].max()
        lost = int((~samples.received).sum())
        console.print(
            f"soak: {len(samples):,} probes and {0 if null is None else len(null):,} on the null "
            f"path in {watch.lab_s:.0f} s virtual, "
            f"{time.monotonic() - began:.0f} s wall with boot; {lost} lost; "
            f"largest error {largest_ns:.0f} ns"
        )
    growth = watch.growth()
    if growth is None:
        return not lost
    console.print(
        f"after {SETTLED_S} s memory grows, in MiB per {growth.second} s, by {growth.host:+.2f} of "
        f"the host, {growth.guest:+.2f} in use inside the lab, {growth.needed:+.2f} needed there"
    )
    return not lost and growth.host < MOST_GROWTH and growth.guest < MOST_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(description="Wall seconds for a virtual second.")
    parser.add_argument("--soak", action="store_true", help="an hour of probes, and nothing else")
    parser.add_argument("--seconds", type=int, default=SOAK_S, help="virtual, of the soak")
    parser.add_argument("--hertz", type=int, default=SOAK_HERTZ, help="probes a second, of it")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    if asked.soak:
        return 0 if soak(console, asked.seconds, asked.hertz) else 1
    out = Table(title="wall seconds for a virtual second")
    for heading in ("traffic", "wall s", "CPU s", "measured"):
        out.add_column(heading, justify="right")
    probes(out)
    floods(console, out)
    return 0 if together(console) else 1


if __name__ == "__main__":
    sys.exit(main())
