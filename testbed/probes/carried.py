"""How many messages of each session arrived, from the event logs of a run (guest side)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from testbed.plan.model import Load, Plan
from testbed.probes import events


def carried(plan: Plan, folder: Path) -> dict[str, int]:
    """Path id -> packets that arrived at its end, at least; copies count once.

    `folder` has the logs of the run. Of loads it is only known that they sent something.
    """
    there = _arrived(folder / events.REFLECTED_FILE, events.REFLECTOR_RX)
    back = _arrived(folder / events.RECEIVED_FILE, events.SENDER_RX)
    found: dict[str, int] = {}
    for index, session in enumerate(plan.sessions):
        found[session.forward.id] = len(there.get(index, ()))
        found[session.reverse.id] = len(back.get(index, ()))
    for load in plan.loads:
        found[load.forward.id], found[load.reverse.id] = 1, _answers(load)
    return found


def _answers(load: Load) -> int:
    return 1 if load.kind == "tcp" else 0


def _arrived(path: Path, kind: int) -> dict[int, set[int]]:
    """Session index -> sequence numbers."""
    found: dict[int, set[int]] = {}
    for event, _, session, number, _, _ in _rows(path):
        if event == kind:
            found.setdefault(session, set()).add(number)
    return found


def _rows(path: Path) -> Iterable[tuple[int, ...]]:
    if not path.exists():
        return ()
    raw = path.read_bytes()
    (length,) = events.HEADER_LENGTH.unpack_from(raw, len(events.MAGIC))
    start = len(events.MAGIC) + events.HEADER_LENGTH.size + length
    whole = (len(raw) - start) // events.EVENT.size * events.EVENT.size
    return events.EVENT.iter_unpack(raw[start : start + whole])
