"""The `iperf` of Mininet's prompt, by iperf3.

Mininet's own waits for lines that its iperf does not print since version 2.1.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from testbed.errors import EmulationError
from testbed.units import show_bps

_CONNECT_S = 5.0


def rates(
    client: Any, server: Any, *, udp_rate: str | None, seconds: float, port: int
) -> tuple[str, str]:
    """Rates received by `server` and sent by `client`, Mininet nodes, for people.

    `udp_rate` None is TCP; else iperf3's -b, such as "10M". Raises EmulationError.
    """
    command = [
        "iperf3",
        "-J",
        "-p",
        str(port),
        "-t",
        str(max(1, round(seconds))),
        "-c",
        server.IP(),
    ]
    command += [] if udp_rate is None else ["-u", "-b", udp_rate]
    listening = server.popen(["iperf3", "-s", "-1", "-p", str(port)], stdout=subprocess.DEVNULL)
    try:
        told = _asked(client, command)
    finally:
        listening.kill()
        listening.wait()
    if "error" in told:
        raise EmulationError(
            f"iperf3: {told['error']}", where=f"{client.name} to {server.name}, port {port}"
        )
    end = told["end"]
    received = end.get("sum_received") or end["sum"]
    sent = end.get("sum_sent") or end["sum"]
    return show_bps(received["bits_per_second"]), show_bps(sent["bits_per_second"])


def _asked(client: Any, command: list[str]) -> dict[str, Any]:
    """The client's report; it tries again until the server listens."""
    until = time.monotonic() + _CONNECT_S
    while True:
        process = client.popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        out, _ = process.communicate()
        told: dict[str, Any] = json.loads(out)
        if "refused" not in told.get("error", "") or time.monotonic() > until:
            return told
        time.sleep(0.1)
