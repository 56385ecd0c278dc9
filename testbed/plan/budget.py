"""Where the one-way delay of a message goes when it meets no other traffic.

    propagation    sum of the ports' propagation_ns
    device         sum of the ports' device_ns: forwarding, transponders, amplifiers
    radio          sum of the ports' radio_ns: the access delay of radio links
    serialisation  store and forward. At each shaped port a packet waits until it is
                   there and the packet before it has left, then takes
                   wire bytes x 8 / rate, and is out at the whole nanosecond that
                   follows. The message's delay is its last packet's.

For one packet serialisation is the sum over the ports; for many equal ones it is all of
them at the slowest port and the last one at every other. Wire bytes are what Linux
counts: Ethernet header, no preamble or FCS; the label between the first and last switch.
It is the lab kernel's arithmetic, to the nanosecond (kernel/sch_port.c). Waiting is not
in it, neither for others nor for a slice's maximum rate.
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
        free = 0  # when the port has sent all before, in ns times its rate
        for number, payload in enumerate(payloads):
            bits = 8 * (payload + HEADER_BYTES + labelled * LABEL_BYTES)
            free = max(free, ready[number] * port.rate_bps) + bits * 1_000_000_000
            ready[number] = -(-free // port.rate_bps)
    return Budget(
        propagation_ns=sum(port.propagation_ns for port in ports),
        device_ns=sum(port.device_ns for port in ports),
        serialisation_ns=ready[-1],
        radio_ns=sum(port.radio_ns for port in ports),
    )
