"""Two devices of one site, or a host and its switch: no fibre delay worth counting."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.links.fibre import TRANSPONDER_NS, transponders
from testbed.links.link import Link
from testbed.port.stage import Parts


class Lan(Link, frozen=True, kw_only=True):
    """To an optical device it is a transponder: 15 us each way."""

    WORDS: ClassVar[str] = "cable at one site"
    OVERHEAD_BYTES: ClassVar[int] = ETHERNET_OVERHEAD_BYTES
    transponders: int = 0

    def between(self, optical: int) -> Self:
        return msgspec.structs.replace(self, transponders=transponders(optical))

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        return Parts(device_ns=self.transponders * TRANSPONDER_NS + forwarding_ns)
