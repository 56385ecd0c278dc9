"""A promised term and what became of it."""

from __future__ import annotations

from typing import Literal

from testbed.scenario.model import Frozen
from testbed.scenario.terms import Name

Held = Literal["kept", "broken", "not shown", "not valid"]
"""`not shown`: what was sent does not tell. `not valid`: the lab is not exact enough to."""


class Promise(Frozen, frozen=True, kw_only=True):
    """One term of a slice, in one direction of one session or load."""

    slice: str
    session: str
    """Or load; empty: nothing was sent in this slice."""
    direction: str
    term: Name
    """`delay` one-way (RFC 7679), `variation` of successive messages (RFC 3393), `loss` (RFC
    7680), all of whole messages; `availability` (TS 22.104 annex C.3); rates over an averaging
    window (rates.py); `MTU`, the largest frame; the rest is the plan's (structure.py)."""
    percentile: float | None = None
    """In percent; None: all messages."""
    asked: float | str
    """ns, ratio, bit/s, bytes, or what the slice calls it."""
    found: float | None = None
    """In the same unit. Of delays the largest, or at the percentile; None: nothing was sent."""
    messages: int = 0
    """That tell of it."""
    held: Held
    condition: str = ""
    """Under which it is kept, or why not, or what would show it."""
