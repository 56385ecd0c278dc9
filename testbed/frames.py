"""Sizes of packets: which bytes are in a frame, where it has a label, and what a full one is.

A frame's bytes are what Linux counts: Ethernet header and payload, no preamble and no FCS.
What a link adds on the wire is the link's (testbed/links), and counted by its transmitter.
"""

from __future__ import annotations

from collections.abc import Sequence

ETHERNET_BYTES = 14
"""Ethernet II header (IEEE 802.3)."""
UDP_HEADERS_BYTES = ETHERNET_BYTES + 20 + 8
"""With IPv4 without options, and UDP."""
TCP_HEADERS_BYTES = ETHERNET_BYTES + 20 + 32
"""With IPv4 without options, and TCP with timestamps."""
LABEL_BYTES = 4
"""One MPLS label stack entry (RFC 3032)."""
FCS_BYTES = 4
"""Frame check sequence."""
ETHERNET_OVERHEAD_BYTES = 7 + 1 + FCS_BYTES + 12
"""What Ethernet adds to a frame on the wire: preamble and start frame delimiter (IEEE
802.3-2022 3.1.1), FCS, and the gap before the next frame (interpacket gap, 4.4.2)."""
MTU_BYTES = 1500
FULL_FRAME_BYTES = ETHERNET_BYTES + MTU_BYTES
"""A full packet."""
LABELLED_FRAME_BYTES = FULL_FRAME_BYTES + LABEL_BYTES
"""A full packet with its label: the longest that links carry."""
SMALLEST_TCP_BYTES = ETHERNET_BYTES + 20 + 20
"""A TCP segment without options and data."""


def label_bytes(hop: int, nodes: Sequence[str], label: bool = True) -> int:
    """What a packet has of a label on the link that leaves `nodes[hop]`: between the first
    and the last switch, if its path has one.

    >>> [label_bytes(hop, ("h1", "s1", "s2", "h2")) for hop in range(3)]
    [0, 4, 0]
    """
    return LABEL_BYTES if label and 0 < hop < len(nodes) - 2 else 0
