"""A link whose delay somebody states, as stock Mininet's options do: all of it counts as
propagation."""

from __future__ import annotations

from typing import ClassVar

from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.links.link import Link
from testbed.port.stage import Parts


class Stated(Link, frozen=True, kw_only=True):
    """Delays each way, one-way."""

    WORDS: ClassVar[str] = "link of a stated delay"
    OVERHEAD_BYTES: ClassVar[int] = ETHERNET_OVERHEAD_BYTES
    ab_ns: int = 0
    ba_ns: int = 0

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        stated_ns = self.ab_ns if src == self.a else self.ba_ns
        return Parts(propagation_ns=stated_ns, device_ns=forwarding_ns)
