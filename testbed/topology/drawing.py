"""Positions for drawing synthetic topologies, in km on a plane (x east, y north)."""

from __future__ import annotations

import math
from typing import TypedDict


class Place(TypedDict):
    """Keyword arguments of MetroTopo.switch() and host()."""

    x: float
    y: float


def around(radius_km: float, turn: float) -> Place:
    """A point on a circle, `turn` clockwise from the west as a share of the whole.

    >>> around(10, 0.25)
    {'x': 0.0, 'y': 10.0}
    """
    angle = math.tau * turn
    return {
        "x": round(-radius_km * math.cos(angle), 3) + 0.0,
        "y": round(radius_km * math.sin(angle), 3) + 0.0,
    }


def outward(place: Place, share: float, turn: float = 0.0) -> Place:
    """A place at `share` times the distance from the origin, turned clockwise.

    >>> outward({"x": -10.0, "y": 0.0}, 1.5)
    {'x': -15.0, 'y': 0.0}
    """
    now = math.atan2(place["y"], -place["x"]) / math.tau
    return around(share * math.hypot(place["x"], place["y"]), now + turn)
