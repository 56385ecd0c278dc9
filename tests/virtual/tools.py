"""Runs inside the virtual lab: ordinary tools on small networks.

    python3 -m tests.virtual.tools FOLDER

Writes what each of them said and how long it took to FOLDER/found.json;
`test_tools` judges it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.emulation.network import LabNet
from testbed.frames import ETHERNET_OVERHEAD_BYTES
from tests.emulation.plans import MS, linear

PEER = "10.0.0.2"
FILE_BYTES = 2_000_000
FIRST_PACKETS, PACED_BYTES = 100, 1448
SPINS = {
    "clock": "while time.monotonic() < end: pass",
    "poll": "while time.monotonic() < end: p.poll(0)",
    "yield": "while time.monotonic() < end: os.sched_yield()",
    "memory": "threading.Timer(0.02, over.append, [1]).start()\nwhile not over: pass",
}
"""Programs that wait without sleeping; the last one makes no call at all."""
SPIN = """
import os, select, threading, time
p, over, begin = select.poll(), [], time.monotonic()
end = begin + 0.2
{}
print(time.monotonic() - begin)
"""


@contextmanager
def line(rate_bps: int | None, delay_ns: int) -> Iterator[tuple[Any, Any]]:
    """Two hosts, two switches, three links alike."""
    overhead = ETHERNET_OVERHEAD_BYTES
    net = LabNet(linear(2, rate_bps=rate_bps, delay_ns=delay_ns, overhead_bytes=overhead))
    try:
        net.start()
        for switch in ("s1", "s2"):
            command = ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", switch, "actions=normal"]
            subprocess.run(command, check=True)
        h1, h2 = net.get("h1", "h2")
        h1.cmd(f"ping -c1 {PEER}")
        yield h1, h2
    finally:
        net.stop()


def said(process: Any) -> str:
    out, _ = process.communicate()
    text: str = out.decode() if isinstance(out, bytes) else out
    return text


def timed(host: Any, command: str | list[str]) -> dict[str, Any]:
    begin = time.monotonic()
    text = said(host.popen(command))
    return {"said": text, "seconds": time.monotonic() - begin}


def small_tools() -> dict[str, Any]:
    found: dict[str, Any] = {}
    scratch = Path("/tmp")
    (scratch / "file").write_bytes(bytes(range(250)) * (FILE_BYTES // 250))
    with line(100_000_000, 5 * MS) as (h1, h2):
        found["ping"] = timed(h1, f"ping -c 5 {PEER}")
        found["fast ping"] = timed(h1, f"ping -c 200 -i 0.002 {PEER}")

        dump = h2.popen("tcpdump -i h2-eth0 -nn -tt --nano -c 10 icmp")
        time.sleep(0.5)
        h1.cmd(f"ping -c 5 -i 0.1 {PEER}")
        found["tcpdump"] = said(dump)

        server = h2.popen("python3 -m http.server 8000 --directory /tmp")
        time.sleep(0.5)
        times = "%{time_connect} %{time_starttransfer} %{time_total}"
        url = f"http://{PEER}:8000/file"
        found["curl"] = timed(h1, ["curl", "-sS", "-w", times, "-o", str(scratch / "got"), url])
        found["curl"]["same"] = (scratch / "got").read_bytes() == (scratch / "file").read_bytes()
        server.kill()
        server.wait()

        with (scratch / "heard").open("wb") as heard:
            listener = h2.popen("nc -l 9000", stdout=heard)
            time.sleep(0.5)
            h1.cmd(f"nc -N {PEER} 9000 </tmp/file")
            listener.wait()
        found["nc"] = (scratch / "heard").read_bytes() == (scratch / "file").read_bytes()
    return found


def iperf(rate_bps: int, seconds: int) -> dict[str, Any]:
    """What iperf3's server says of TCP and of UDP, and what the frames meanwhile were."""
    found: dict[str, Any] = {}
    with line(rate_bps, MS // 10) as (h1, h2):
        for kind, options in (("tcp", ""), ("udp", f"-u -b {rate_bps * 1.1:.0f} -l 1448")):
            server = h2.popen("iperf3 -s -1 -J")
            time.sleep(0.5)
            client = h1.popen(f"iperf3 -c {PEER} -t {seconds} {options}")
            time.sleep(seconds / 4)
            before, at = received_bytes(h2), time.monotonic()
            time.sleep(seconds / 2)
            after, later = received_bytes(h2), time.monotonic()
            said(client)
            received = json.loads(said(server))["end"]["sum_received"]["bits_per_second"]
            frames_bps = (after - before) * 8 / (later - at)
            found[kind] = {"received_bps": received, "frames_bps": frames_bps}
    return found


def first_packets_ns(options: str) -> list[int]:
    """When the first packets of an iperf3 of 10 Mbit/s left, since the first.

    All is said and done in one instant, that of the start included.
    """
    with line(None, 0) as (h1, h2):
        server = h2.popen("iperf3 -s -1")
        kind = "greater 1000 and dst port 5201"
        dump = h1.popen(f"tcpdump -i h1-eth0 -nn -tt --nano -c {FIRST_PACKETS} {kind}")
        time.sleep(0.5)
        h1.cmd(f"iperf3 -c {PEER} -b 10M -t 1 {options}")
        times = [
            row.split()[0].replace(".", "") for row in said(dump).splitlines() if " IP " in row
        ]
        server.wait()
    return [int(moment) - int(times[0]) for moment in times]


def received_bytes(host: Any) -> int:
    rows = host.cmd("cat /proc/net/dev").splitlines()
    return int(next(row for row in rows if "h2-eth0:" in row).split()[1])


def spins() -> dict[str, float]:
    """Virtual seconds each busy waiter took."""
    return {
        name: float(
            subprocess.run(
                [sys.executable, "-c", SPIN.format(code)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for name, code in SPINS.items()
    }


def main(folder: Path) -> None:
    found: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        found[name] = value
        (folder / "found.json").write_text(json.dumps(found, indent=1))

    keep("spins", spins())
    keep("tools", small_tools())
    keep("first packets", first_packets_ns(f"-u -l {PACED_BYTES}"))
    for rate_bps, seconds in ((10_000_000, 10), (100_000_000, 3), (1_000_000_000, 1)):
        keep(str(rate_bps), iperf(rate_bps, seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
