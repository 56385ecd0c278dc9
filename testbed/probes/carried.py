"""How many packets of each session arrived, from the event logs of a run (guest side)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from testbed.plan.model import Load, Plan
from testbed.probes import events
from testbed.probes.events_read import Reader, Row
from testbed.traffic.kinds import KINDS


def carried(plan: Plan, folder: Path) -> dict[str, int]:
    """Path id -> packets that arrived at its end, at least; copies count once.

    `folder` has the logs of the run. Of loads it is only known that they sent something.
    """
    there = _arrived(folder / events.REFLECTED_FILE, events.REFLECTOR_RX)
    leading = _in_order(folder / events.RECEIVED_FILE)
    back = _arrived(folder / events.RECEIVED_FILE, events.SENDER_RX)
    found: dict[str, int] = {}
    for index, session in enumerate(plan.sessions):
        asked, answered = (path.id for path in session.paths)
        found[asked] = len(there.get(index, ())) + leading.get(index, 0)
        found[answered] = len(back.get(index, ()))
    for load in plan.loads:
        asked, answered = (path.id for path in load.paths)
        found[asked], found[answered] = 1, _answers(load)
    return found


def _answers(load: Load) -> int:
    return 1 if KINDS[load.kind].elastic else 0


def _arrived(path: Path, kind: int) -> dict[int, set[int]]:
    """Session index -> sequence numbers."""
    found: dict[int, set[int]] = {}
    for event, _, session, number, _, _ in _rows(path):
        if event == kind:
            found.setdefault(session, set()).add(number)
    return found


def _in_order(path: Path) -> dict[int, int]:
    """Session index -> leading packets of messages that came in order: none of them twice."""
    found: dict[int, int] = {}
    latest: dict[int, tuple[int, int]] = {}
    for event, _, session, number, _, arrival in _rows(path):
        if event == events.LEADING_RX:
            place = number, arrival & 0xFFFF_FFFF
            if place > latest.get(session, (-1, -1)):
                latest[session] = place
                found[session] = found.get(session, 0) + 1
    return found


def _rows(path: Path) -> Iterable[Row]:
    return Reader(path).rows() if path.exists() else ()
