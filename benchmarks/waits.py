"""Mean waits in the lab's ports against queueing theory.

    python -m benchmarks.waits [--seconds VIRTUAL]

Poisson background of full-size packets on a 10 Gbit/s port: one queue against M/D/1,
three strict priorities against Cobham's formula for priorities without interruption.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from testbed.emulation.lab_qdisc import QueueStatistics
from testbed.lab.virtual import VirtualLab
from testbed.port.background import Source
from testbed.port.pipeline import Pipeline, stages
from testbed.port.queues import Queue
from testbed.reference.waiting import Load, cobham
from testbed.scenario.model import Frozen

RATE_BPS = 10_000_000_000
BYTES = 1500
SERVICE_S = BYTES * 8 / RATE_BPS
SHARES: tuple[tuple[float, ...], ...] = ((0.3,), (0.8,), (0.9,), (0.1, 0.2, 0.5), (0.3, 0.3, 0.3))


class Waited(Frozen, frozen=True):
    queues: tuple[QueueStatistics, ...]


def port(shares: tuple[float, ...], seed: int) -> Pipeline:
    made = stages(
        RATE_BPS,
        queues=tuple(Queue(id=n, level=n, limit_packets=100_000) for n in range(len(shares))),
        sources=tuple(
            Source(
                queue=n, rate_bps=round(share * RATE_BPS), sizes=((BYTES, 1),), seed=seed * 100 + n
            )
            for n, share in enumerate(shares)
        ),
    )
    return Pipeline(stages=made)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mean waits against queueing theory.")
    parser.add_argument("--seconds", type=int, default=20)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder)
        ports = [port(shares, seed) for seed, shares in enumerate(SHARES, 1)]
        (job / "order.json").write_bytes(msgspec.json.encode({"ports": ports, "seconds": seconds}))
        began = time.monotonic()
        command = ["python3", "-m", "benchmarks.waits_guest", "/results"]
        process = VirtualLab().start(job, command)
        try:
            process.wait(600)
        finally:
            if process.poll() is None:
                process.kill()
        took = time.monotonic() - began
        if not (job / "done.json").exists():
            raise SystemExit((job / "console.log").read_text()[-2000:])
        waited = msgspec.json.decode((job / "waits.json").read_bytes(), type=list[Waited])
    worst, packets = 0.0, 0
    print("load of each class    class     packets   wait in lab ns   in theory   difference")
    for shares, seen in zip(SHARES, waited, strict=True):
        theory = cobham([Load(s / SERVICE_S, SERVICE_S, SERVICE_S**2) for s in shares])
        for queue, expected_s in zip(seen.queues, theory, strict=True):
            count = queue.background_packets
            mean_ns = queue.background_wait_ns / count
            off = mean_ns / (expected_s * 1e9) - 1
            worst, packets = max(worst, abs(off)), packets + count
            print(
                f"{json.dumps(shares):22}{queue.id:5} {count:11} {mean_ns:16.1f} "
                f"{expected_s * 1e9:11.1f} {off:12.2%}"
            )
    print(f"worst {worst:.2%}; {packets} modelled packets in {took:.1f} s wall")
    return 0 if worst < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
