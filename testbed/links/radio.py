"""A terminal and its gNB by radio: fixed one-way delays, different up and down.

They are from the terminal to behind the gNB and back: scheduling, transmission, HARQ and
processing. The rates are this terminal's, of packets as they are at its IP layer and the
14 bytes that Linux counts with them: a radio link has no preamble. Its cell is not shared.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from testbed.links.link import Link
from testbed.port.stage import Parts


class Radio(Link, frozen=True, kw_only=True):
    """`a` is the terminal, `b` the gNB."""

    WORDS: ClassVar[str] = "radio"
    LINE: ClassVar[Literal["-", "--", "-.", ":"]] = ":"
    uplink_ns: int
    downlink_ns: int

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        radio_ns = self.uplink_ns if src == self.a else self.downlink_ns
        return Parts(radio_ns=radio_ns, device_ns=forwarding_ns)
