"""Probes through one port under background, in a lab; their delays in /results/<case>.json.

pa ==port==> pb

python3 -m benchmarks.background_guest /results
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.ports_guest import RTM_DELQDISC, SO_SNDBUFFORCE, frame, read, tc
from testbed.emulation import netlink as nl
from testbed.emulation.lab_qdisc import encode
from testbed.port.background import Source, arrivals
from testbed.port.pipeline import Pipeline, stages
from testbed.port.queues import Queue
from testbed.probes.clock import become_pacer, sleep_until

LEAD_NS = 100_000_000
PROBE_GAP_S = 0.001
"""Mean."""
BACKGROUND = 0xFFFFFFFF
"""The number in packets that are no probes."""
SEED = 5
ETH_P_ALL = 3
SO_TIMESTAMPNS = 35


def main(job: Path) -> None:
    order = json.loads((job / "order.json").read_bytes())
    become_pacer()
    make_link()
    index = socket.if_nametoindex("pa")
    span_ns = order["seconds"] * 10**9
    (job / "begun").touch()
    with nl.Netlink() as link:
        for number, case in enumerate(order["cases"]):
            start_ns = time.monotonic_ns() + LEAD_NS
            options = encode(port(case, start_ns, start_ns + span_ns))
            replace = nl.CREATE | nl.REPLACE
            link.do([nl.Request(nl.RTM_NEWQDISC, replace, tc(index, options), "a port")])
            row = measure(case, start_ns, start_ns + span_ns)
            row["queues"] = read(link)[index]["queues"]
            link.do([nl.Request(RTM_DELQDISC, 0, tc(index, b""), "a port's end")])
            part = job / f"{number}.part"
            part.write_bytes(msgspec.json.encode(row))
            part.rename(job / f"{number}.json")
    (job / "done.json").write_text('{"status": "ok"}')


def make_link() -> None:
    script = ["link add pa type veth peer name pb"]
    script += [f"link set {name} up arp off" for name in ("pa", "pb")]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script), text=True, check=True)


def port(case: dict[str, Any], start_ns: int, stop_ns: int) -> Pipeline:
    source = Source(
        rate_bps=round(case["load"] * case["rate_bps"]),
        sizes=((case["bytes"], 1),),
        seed=SEED,
        start_ns=start_ns,
        stop_ns=stop_ns,
    )
    made = stages(
        case["rate_bps"],
        queues=(Queue(id=0, limit_packets=100_000),),
        sources=() if case["real"] else (source,),
    )
    return Pipeline(stages=made)


def measure(case: dict[str, Any], start_ns: int, stop_ns: int) -> dict[str, Any]:
    """Send, and say when each probe was to be sent and how long it took."""
    due = list(probes(start_ns, stop_ns))
    sends: Iterator[tuple[int, int, int]] = (
        (at, number, case["probe_bytes"]) for number, at in enumerate(due)
    )
    if case["real"]:
        rate = round(case["load"] * case["rate_bps"])
        sizes = ((case["bytes"], 1),)
        source = Source(rate_bps=rate, sizes=sizes, seed=SEED, start_ns=start_ns, stop_ns=stop_ns)
        background = ((a.time_ns, -1, a.bytes) for a in arrivals(source))
        sends = heapq.merge(background, sends)
    real_ns = time.time_ns() - time.monotonic_ns()  # nothing passes between the two in a lab
    arrived: dict[int, int] = {}
    with tap() as into, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 28)
        out.bind(("pa", 0))
        threading.Thread(target=listen, args=(into, arrived, len(due)), daemon=True).start()
        for at, number, size in sends:
            sleep_until(at)
            out.send(frame(number if number >= 0 else BACKGROUND, size, 0))
        time.sleep(2)
    return {"delays_ns": [arrived[n] - real_ns - at for n, at in enumerate(due)]}


def probes(start_ns: int, stop_ns: int) -> Iterator[int]:
    """Poisson instants."""
    rng = random.Random(SEED)
    gaps = (rng.expovariate(1 / PROBE_GAP_S) for _ in itertools.count())
    times = (start_ns + round(at * 1e9) for at in itertools.accumulate(gaps))
    return itertools.takewhile(lambda at: at < stop_ns, times)


def tap() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind(("pb", ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return sock


def listen(into: socket.socket, arrived: dict[int, int], wanted: int) -> None:
    """When each probe was received, by its number."""
    while len(arrived) < wanted:
        data, said, _, _ = into.recvmsg(64, 64)
        number = int.from_bytes(data[42:46], "big")
        if number != BACKGROUND:
            seconds, ns = struct.unpack("=qq", said[0][2])
            arrived[number] = seconds * 10**9 + ns


if __name__ == "__main__":
    main(Path(sys.argv[1]))
