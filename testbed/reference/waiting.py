"""Mean waits by queueing theory, for Poisson arrivals and one transmitter.

Kleinrock, Queueing Systems, volumes 1 (5.6) and 2 (3.3); Cobham 1954.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Load(NamedTuple):
    """Packets of one class."""

    rate_pps: float
    service_s: float
    """Mean time of transmission."""
    service_square_s2: float
    """Mean of its square; service_s ** 2 when all packets are of one size."""


def md1(rate_pps: float, service_s: float) -> float:
    """Mean wait in seconds before transmission, all packets of one size."""
    return mg1(Load(rate_pps, service_s, service_s**2))


def mg1(load: Load) -> float:
    """Mean wait in seconds before transmission, packets of any sizes (Pollaczek-Khinchine)."""
    return cobham([load])[0]


def cobham(classes: Sequence[Load]) -> list[float]:
    """Mean wait in seconds of each class, the first served first, none interrupted.

    Raises ValueError when the classes fill the port.
    """
    if sum(c.rate_pps * c.service_s for c in classes) >= 1:
        raise ValueError("the port is full: waits grow without bound")
    residual = sum(c.rate_pps * c.service_square_s2 for c in classes) / 2
    waits, before = [], 0.0
    for one in classes:
        through = before + one.rate_pps * one.service_s
        waits.append(residual / ((1 - before) * (1 - through)))
        before = through
    return waits
