"""Legs by hand: those of a session there and back, and a session with others."""

from __future__ import annotations

import msgspec

from testbed.net.legs import Budget, DelayBound, Home, Leg, Reflector
from testbed.net.paths import Path
from testbed.plan.model import Session

NOTHING = Budget(propagation_ns=0, device_ns=0, serialisation_ns=0)


def there_and_back(
    there: Path, back: Path, budget: Budget = NOTHING, called: tuple[str, str] = ("UL", "DL")
) -> tuple[Leg, Leg]:
    return (
        Leg(name="forward", called=called[0], path=there, budget=budget, end=Reflector()),
        Leg(name="reverse", called=called[1], path=back, budget=budget, end=Home()),
    )


def with_paths(session: Session, *paths: Path) -> Session:
    """Its legs take these; those after the last given stay."""
    return _with(session, [{"path": path} for path in paths])


def with_bounds(session: Session, *bounds: DelayBound) -> Session:
    return _with(session, [{"bound": bound} for bound in bounds])


def _with(session: Session, given: list[dict[str, object]]) -> Session:
    given += [{} for _ in session.legs[len(given) :]]
    pairs = zip(session.legs, given, strict=True)
    legs = tuple(msgspec.structs.replace(leg, **fields) for leg, fields in pairs)
    return msgspec.structs.replace(session, legs=legs)
