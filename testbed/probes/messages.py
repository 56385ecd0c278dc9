"""The packets of a message that are not its STAMP packet: bytes in, bytes out.

A message of an application is one or more IP packets sent back to back. Its last is the
STAMP packet, which is answered; each of the others, its leading packets, begins with

    octet  0  number of the message, as in the STAMP packet
           4  index of the packet in the message, from 0
           8  zeros

so that losses, copies and a changed order are told apart, packet by packet.
"""

from __future__ import annotations

from struct import Struct

PRIMING = 0xFFFF_FFFF
"""Number of no message: of packets sent before the first."""
NUMBER = Struct("!I")
HEAD = Struct("!II")


def leading_packet(number: int, index: int, size_bytes: int) -> bytes:
    """UDP payload of a leading packet."""
    return HEAD.pack(number & 0xFFFF_FFFF, index).ljust(size_bytes, b"\0")
