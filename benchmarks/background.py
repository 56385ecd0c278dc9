"""Modelled background against theory, and against the same background in real packets.

    python -m benchmarks.background [--seconds VIRTUAL]

Probes at Poisson instants cross one port with one queue. At 10 Gbit/s under 80 % modelled
Poisson background of full-size packets they must wait as M/D/1 says. At 20 Mbit/s they
cross the port twice: with modelled background, and with packets sent at its instants.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from testbed.lab.virtual import VirtualLab
from testbed.reference.waiting import md1

LOAD = 0.8
BYTES = 1514
PROBE_BYTES = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=20)
    seconds = parser.parse_args().seconds
    cases = [
        {"rate_bps": rate, "load": LOAD, "bytes": BYTES, "real": real, "probe_bytes": PROBE_BYTES}
        for rate, real in ((10**10, False), (2 * 10**7, False), (2 * 10**7, True))
    ]
    names = [f"{number}.json" for number in range(len(cases))]
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder)
        (job / "order.json").write_text(json.dumps({"cases": cases, "seconds": seconds}))
        command = ["python3", "-m", "benchmarks.background_guest", "/results"]
        process = VirtualLab().start(job, command)
        try:
            took = [wall_s(job / name, process) for name in ("begun", *names)]
        finally:
            if process.poll() is None:
                process.kill()
        seen = [json.loads((job / name).read_bytes()) for name in names]

    print("rate         background       packets   probes   mean wait ns   wall s")
    waits = []
    for number, (case, row) in enumerate(zip(cases, seen, strict=True)):
        alone_ns = PROBE_BYTES * 8e9 / case["rate_bps"]
        waits.append(np.array(row["delays_ns"]) - alone_ns)
        (queue,) = row["queues"]
        background = queue["background_packets"] or queue["packets"] - len(waits[-1])
        print(
            f"{case['rate_bps']:<12,} {'sent' if case['real'] else 'modelled':12}"
            f"{background:12,} {len(waits[-1]):8,} {waits[-1].mean():14.1f}"
            f" {took[number + 1] - took[number]:8.1f}"
        )
    service_s = BYTES * 8 / 1e10
    theory_ns = 1e9 * md1(LOAD / service_s, service_s)
    off = waits[0].mean() / theory_ns - 1
    error = waits[0].std() / len(waits[0]) ** 0.5 / theory_ns
    print(f"10 Gbit/s: M/D/1 {theory_ns:.1f} ns, {off:+.2%} (standard error {error:.2%})")
    apart = np.abs(waits[1] - waits[2])
    same = waits[1].mean() / waits[2].mean() - 1
    print(f"20 Mbit/s: modelled against sent {same:+.4%}; no probe over {apart.max():.0f} ns apart")
    return 0 if abs(off) < max(0.01, 3 * error) and abs(same) < 0.01 else 1


def wall_s(file: Path, process: subprocess.Popen[bytes]) -> float:
    """When the lab has made the file."""
    while not file.exists():
        if process.poll() is not None:
            raise SystemExit((file.parent / "console.log").read_text()[-2000:])
        time.sleep(0.02)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
