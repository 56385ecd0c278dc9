"""Where the one-way delay of a message goes when it meets no other traffic.

    propagation    sum of the ports' propagation_ns
    device         sum of the ports' device_ns: extra and forwarding delays
    serialisation  store and forward. At each shaped port a packet waits until it is
                   there and the packet before it has left, then takes
                   wire bytes x 8 / rate. The message's delay is its last packet's.

For one packet serialisation is the sum over the ports; for many equal ones it is all of
them at the slowest port and the last one at every other. Wire bytes are what netem
counts: Ethernet header, no preamble or FCS; the label between the first and last switch.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.plan.model import Budget, Path
from testbed.plan.wiring import Wiring

HEADER_BYTES = 14 + 20 + 8
"""Ethernet II, IPv4 without options, UDP."""
LABEL_BYTES = 4
"""One MPLS label stack entry (RFC 3032)."""


def path_budget(wiring: Wiring, path: Path, payloads: Sequence[int]) -> Budget:
    """Budget of a message sent as packets with these UDP payloads, back to back."""
    ports = wiring.along(path.nodes)
    ready = [0] * len(payloads)
    for hop, port in enumerate(ports):
        if port.rate_bps is None:
            continue
        labelled = path.label is not None and 0 < hop < len(ports) - 1
        free = 0
        for number, payload in enumerate(payloads):
            bits = 8 * (payload + HEADER_BYTES + labelled * LABEL_BYTES)
            free = max(free, ready[number]) + bits * 1_000_000_000 // port.rate_bps
            ready[number] = free
    return Budget(
        propagation_ns=sum(port.propagation_ns for port in ports),
        device_ns=sum(port.device_ns for port in ports),
        serialisation_ns=ready[-1],
    )
