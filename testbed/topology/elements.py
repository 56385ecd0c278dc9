"""Network elements: what light and a packet spend in each kind of device.

All delays are one-way, unloaded, without queueing or serialisation.
"""

from __future__ import annotations

from typing import Literal

from testbed.errors import unknown
from testbed.scenario.model import Frozen


class Element(Frozen, frozen=True, kw_only=True):
    """A kind of device."""

    role: Literal["host", "switch"]
    forwarding_ns: int
    """One-way, charged where the packet leaves the device."""
    optical: bool = False
    """Passes light through; a link to an electrical device needs a transponder."""
    source: str


_HOST = "an end system: its own delay is measured, not modelled"
_CROSS_CONNECT = "0.3 us wavelength-selective switches and jumpers, with two EDFAs 0.5 us"

ELEMENTS: dict[str, Element] = {
    "host": Element(role="host", forwarding_ns=0, source=_HOST),
    "ue": Element(role="host", forwarding_ns=0, source=_HOST),
    "compute": Element(role="host", forwarding_ns=0, source=_HOST),
    "oxc": Element(role="switch", forwarding_ns=500, optical=True, source=_CROSS_CONNECT),
    "roadm": Element(role="switch", forwarding_ns=500, optical=True, source=_CROSS_CONNECT),
    "otn": Element(
        role="switch", forwarding_ns=15_000, source="ODUk electrical cross-connect, 10 to 30 us"
    ),
    "switch": Element(
        role="switch", forwarding_ns=1_000, source="L2/L3 switch ASIC, 0.3 to 2 us cut-through"
    ),
    "router": Element(
        role="switch", forwarding_ns=15_000, source="core or edge router without load, 5 to 50 us"
    ),
    "vswitch": Element(
        role="switch", forwarding_ns=50_000, source="software switch or NFV hop, 20 to 300 us"
    ),
    "firewall": Element(
        role="switch", forwarding_ns=200_000, source="firewall or DPI, 0.1 to 1 ms"
    ),
    "gnb": Element(
        role="switch", forwarding_ns=0, source="counted in the radio link's uplink and downlink"
    ),
}


def element(kind: str, role: Literal["host", "switch"], where: str = "") -> Element:
    """The element of a kind. Raises InputError for a kind that is unknown in this role.

    >>> element("otn", "switch").forwarding_ns
    15000
    """
    known = {name: e for name, e in ELEMENTS.items() if e.role == role}
    if kind not in known:
        raise unknown(f"{role} kind", kind, known, where=where)
    return known[kind]
