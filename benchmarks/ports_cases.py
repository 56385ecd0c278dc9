"""Cases in which the lab's ports are held against the reference model.

Every rate, load and kind of arrival, and with them, in turn, one to nine hops, six
ways to schedule, buffers that overflow, and small, middle and full-size packets.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from testbed.port.background import Background, Source
from testbed.port.gates import Gate
from testbed.port.pipeline import Pipeline, stages
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from testbed.scenario.model import Frozen

RATES = (20_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000)
LOADS = (0.3, 0.8, 1.5)
ARRIVALS = ("poisson", "periodic", "bursty")
SIZES = (64, 594, 1514)
MEAN_BYTES = sum(SIZES) / len(SIZES)
BURST = 20

LIMIT = 40
SCHEDULERS: dict[str, tuple[Queue, ...]] = {
    "fifo": (Queue(id=0, limit_packets=LIMIT),),
    "priority-2": tuple(Queue(id=n, level=1 - n, limit_packets=LIMIT) for n in range(2)),
    "priority-4": tuple(Queue(id=n, level=3 - n, limit_packets=LIMIT) for n in range(4)),
    "drr-4": tuple(
        Queue(id=n, quantum_bytes=1514 * (n + 1), limit_packets=LIMIT) for n in range(4)
    ),
    "mixed-4": tuple(
        Queue(
            id=n,
            level=(2, 1, 1, 0)[n],
            quantum_bytes=(1514, 3000, 500, 1514)[n],
            limit_packets=LIMIT,
            limit_bytes=(0, 20_000, 0, 5_000)[n],
        )
        for n in range(4)
    ),
}


def shaped(rate_bps: int, **given: Any) -> Pipeline:
    """A port by what testbed.port.pipeline.stages() takes."""
    return Pipeline(stages=stages(rate_bps, **given))


def promises(rate_bps: int) -> tuple[Queue, ...]:
    """Queues with promised and peak rates: shares of the port, as slices have them."""
    return tuple(
        Queue(
            id=n,
            level=(7, 0, 1, 0)[n],
            limit_packets=LIMIT,
            promised_bps=rate_bps * (5, 30, 20, 10)[n] // 100,
            peak_bps=rate_bps * (0, 60, 0, 10)[n] // 100,
        )
        for n in range(4)
    )


class Case(Frozen, frozen=True, kw_only=True):
    """One stream of packets over one chain of equal ports."""

    name: str
    port: Pipeline
    hops: int
    load: float
    arrivals: str
    packets: int
    seed: int
    classes: int = 0
    """Queue numbers that packets name; 0: as many as the port has queues."""

    def offered(self) -> Iterator[tuple[int, int, int]]:
        """(time ns, frame bytes, queue) of every packet, from time 0."""
        rng = random.Random(self.seed)
        classes = self.classes or len(self.port.queues)
        gap_ns = MEAN_BYTES * 8e9 / (self.port.rate_bps or 0) / self.load
        time = 0.0
        for number in range(self.packets):
            yield round(time), rng.choice(SIZES), rng.randrange(classes)
            if self.arrivals == "poisson":
                time += rng.expovariate(1 / gap_ns)
            elif self.arrivals == "periodic":
                time += gap_ns
            elif number % BURST == BURST - 1:
                time += rng.expovariate(1 / gap_ns / BURST)


def background_cases(packets: int) -> list[Case]:
    """Packets that share their ports with modelled background of a third to a half."""
    made = []
    for seed, (rate, scheduler) in enumerate(
        itertools.product(RATES[1:], ("fifo", "priority-4", "drr-4", "promises"))
    ):
        queues = SCHEDULERS.get(scheduler) or promises(rate)
        sources = tuple(
            Source(
                queue=queue.id,
                rate_bps=rate // (2 + seed % 2) // len(queues),
                sizes=((64, 7), (594, 4), (1514, 1)) if queue.id % 2 == 0 else ((1514, 1),),
                arrivals=("poisson", "periodic")[queue.id // 2],
                burst=(1, 1, 1, 5)[queue.id],
                seed=1000 * seed + queue.id,
            )
            for queue in queues
        )
        hops = 1 + seed % 4
        made.append(
            Case(
                name=f"{rate // 10**6} Mbit/s, 30% + background, {scheduler}, {hops} hops",
                port=shaped(rate, delay_ns=seed * 1000, queues=queues, sources=sources),
                hops=hops,
                load=0.3,
                arrivals="poisson",
                packets=packets,
                seed=seed,
            )
        )
    return made


def scheduling_cases(packets: int) -> list[Case]:
    """Strict priority, gates and policers, alone and together, at three rates; in every
    other case modelled background shares the port, and is policed and gated too."""
    made = []
    ports = [(rate, name, port) for rate in RATES[:3] for name, port in scheduled(rate).items()]
    for seed, (rate, name, port) in enumerate(ports):
        hops = 1 + seed % 3
        load = (0.8, 1.5)[seed % 2]
        shared = (seed + seed // 6) % 2 == 0
        sources = (
            Source(queue=1, rate_bps=rate // 5, sizes=((64, 7), (1514, 1)), seed=seed),
            Source(queue=3, rate_bps=rate // 10, arrivals="periodic", burst=4, seed=seed),
        )
        made.append(
            Case(
                name=f"{rate // 10**6} Mbit/s, {load:.0%} bursty"
                f"{' + background' * shared}, {name}, {hops} hops",
                port=port.having(Background(sources=sources)) if shared else port,
                hops=hops,
                load=load,
                arrivals="bursty",
                packets=packets,
                seed=seed,
                classes=4,
            )
        )
    return made


def scheduled(rate_bps: int) -> dict[str, Pipeline]:
    """Ports by what schedules and polices them; the cycle takes 24 full frames."""
    full_ns = 1514 * 8 * 10**9 // rate_bps
    strict = SCHEDULERS["priority-4"]
    one_by_one = tuple(
        Gate(interval_ns=full_ns * frames + n, open=(n,)) for n, frames in enumerate((9, 3, 5, 7))
    )
    mixed = (
        Gate(interval_ns=full_ns * 10 + 1, open=(0, 1)),
        Gate(interval_ns=full_ns // 2, open=()),
        Gate(interval_ns=full_ns * 3 // 2, open=(1, 3)),
        Gate(interval_ns=full_ns * 12, open=(0, 2, 3)),
    )
    policers = tuple(
        Policer(queue=n, rate_bps=rate_bps * share // 100, burst_bytes=burst)
        for n, share, burst in ((1, 10, 3028), (2, 20, 20_000), (3, 5, 1600))
    )
    base_ns = 12_345
    return {
        "strict priority": shaped(rate_bps, queues=strict),
        "gates": shaped(rate_bps, queues=strict, gates=one_by_one, gate_base_ns=base_ns),
        "gates that overlap": shaped(
            rate_bps, queues=promises(rate_bps), gates=mixed, overhead_bytes=24
        ),
        "policed fifo": shaped(rate_bps, queues=SCHEDULERS["fifo"], policers=policers),
        "policed priority": shaped(rate_bps, queues=strict, policers=policers),
        "policed gates": shaped(rate_bps, queues=strict, gates=one_by_one, policers=policers[:1]),
    }


def cases(packets: int, only: int | None = None) -> list[Case]:
    """All combinations of rate, load and arrivals, the rest in turn; or some of them."""
    made = []
    hops, schedulers = itertools.cycle(range(1, 10)), itertools.cycle([*SCHEDULERS, "promises"])
    for seed, (rate, load, arrivals) in enumerate(itertools.product(RATES, LOADS, ARRIVALS)):
        scheduler, over = next(schedulers), next(hops)
        if seed % 9 == 8:  # or schedulers would keep step with load and arrivals
            next(schedulers)
        made.append(
            Case(
                name=f"{rate // 10**6} Mbit/s, {load:.0%} {arrivals}, {scheduler}, {over} hops",
                port=shaped(
                    rate,
                    delay_ns=(seed * 77_777) % 500_000,
                    overhead_bytes=(0, 24)[seed % 2],
                    queues=SCHEDULERS.get(scheduler) or promises(rate),
                ),
                hops=over,
                load=load,
                arrivals=arrivals,
                packets=packets,
                seed=seed,
            )
        )
    return made if only is None else random.Random(1).sample(made, only)
