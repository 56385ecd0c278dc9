"""A fibre pair, and what light takes in glass and in the devices at its ends.

All delays are one-way, without queueing or serialisation.
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import msgspec

from testbed.frames import ETHERNET_OVERHEAD_BYTES
from testbed.links.link import Link
from testbed.port.stage import Parts

FIBRE_NS_PER_KM = 4897
"""Group index 1.4682 of standard single-mode fibre (ITU-T G.652): n_g / c."""
AMPLIFIER_NS = 150
"""One in-line EDFA site: 30 m of erbium-doped fibre."""
AMPLIFIER_SPAN_KM = 80.0
"""Fibre longer than this has in-line amplifiers, one per further span."""
TRANSPONDER_NS = 15_000
"""One end of a coherent metro transponder pair: half of 30 us with FEC (published range
of a pair 15 to 150 us)."""


class Fibre(Link, frozen=True, kw_only=True):
    """The same length and devices both ways."""

    WORDS: ClassVar[str] = "fibre"
    OVERHEAD_BYTES: ClassVar[int] = ETHERNET_OVERHEAD_BYTES
    length_km: float
    coherent: bool = False
    """Between electrical devices, lit with a transponder pair."""
    transponders: int = 0
    """Ends of transponder pairs on the way."""

    @property
    def km(self) -> float:
        return self.length_km

    def between(self, optical: int) -> Self:
        return msgspec.structs.replace(self, transponders=transponders(optical, self.coherent))

    def parts(self, src: str, forwarding_ns: int = 0) -> Parts:
        lit_ns = amplifiers(self.length_km) * AMPLIFIER_NS + self.transponders * TRANSPONDER_NS
        return Parts(propagation_ns=fibre_ns(self.length_km), device_ns=lit_ns + forwarding_ns)


def fibre_ns(km: float) -> int:
    """One-way propagation over `km` of fibre.

    >>> fibre_ns(18)
    88146
    """
    return round(km * FIBRE_NS_PER_KM)


def amplifiers(km: float) -> int:
    """In-line amplifier sites on `km` of fibre (those at the cross-connects are theirs).

    >>> amplifiers(80), amplifiers(300)
    (0, 3)
    """
    return max(0, math.ceil(km / AMPLIFIER_SPAN_KM) - 1)


def transponders(optical: int, coherent: bool = False) -> int:
    """Ends of transponder pairs on a link of which so many ends are optical devices."""
    return {0: 2 if coherent else 0, 1: 1, 2: 0}[optical]
