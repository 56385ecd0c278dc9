"""Where the one-way delay of a message goes when it meets no other traffic.

    propagation    along the ports' fibres
    device         of the ports: forwarding, transponders, amplifiers
    radio          of the ports: the access delay of radio links
    serialisation  store and forward. At each shaped port a packet waits until it is
                   there and the packet before it has left, then takes
                   wire bytes x 8 / rate, and is out at the whole nanosecond that
                   follows. The message's delay is its last packet's.

For one packet serialisation is the sum over the ports; for many equal ones it is all of
them at the slowest port and the last one at every other. Wire bytes are what Linux
counts and what the link adds (Ethernet's preamble, FCS and gap); the label between the first
and last switch.
It is the lab kernel's arithmetic, to the nanosecond (kernel/port). Waiting is not
in it, neither for others nor for a slice's maximum rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from testbed.frames import UDP_HEADERS_BYTES, label_bytes
from testbed.net.legs import Budget
from testbed.net.paths import Path
from testbed.plan.wiring import Wiring
from testbed.port.pipeline import Port
from testbed.slices.costs import serialisation_ns


def alone_ns(ports: Iterable[Port], nodes: Sequence[str], size: int) -> int:
    """What one frame of `size` bytes, with a label inside, takes over the ports along
    `nodes` if it meets no other: one-way."""
    return sum(
        port.delay_ns + port.transmitter.sent_ns(size + label_bytes(hop, nodes))
        for hop, port in enumerate(ports)
    )


def path_budget(wiring: Wiring, path: Path, payloads: Sequence[int]) -> Budget:
    """Budget of a message sent as packets with these UDP payloads, back to back."""
    ports = wiring.along(path.nodes)
    senders = [port.transmitter for port in ports]
    sizes = [payload + UDP_HEADERS_BYTES for payload in payloads]
    return Budget(
        propagation_ns=sum(port.parts.propagation_ns for port in ports),
        device_ns=sum(port.parts.device_ns for port in ports),
        serialisation_ns=serialisation_ns(senders, path.nodes, sizes, path.label is not None),
        radio_ns=sum(port.parts.radio_ns for port in ports),
    )
