"""What the probes measured of a slice, held against its promise.

Probes write down what they send and receive as they go (testbed/probes/events.py); what is
there is read when somebody asks, and what was read before is not read again. Sessions count
whose packets the slice takes, from the moment on at which it was installed. A delay is from
the sender's clock, read before the packet leaves, to the kernel's stamp at arrival: never
too short, and in virtual time a few ns too long. What counts is messages: one has arrived
when all its packets have, and is lost when it has had LATE_NS to arrive.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from testbed.net.paths import Carried, Placed
from testbed.plan.model import Plan, Session
from testbed.probes import events
from testbed.probes.events_read import Reader, Row
from testbed.scenario.model import Frozen, Slo

LATE_NS = 1_500_000_000
"""Half a second to arrive, and the second after which an arrival is on disk at the latest."""


_COUNTED = (
    *(events.SENT, events.LEADING_RX, events.REFLECTOR_RX),
    *(events.REFLECTOR_TX, events.SENDER_RX),
)


class Measured(Frozen, frozen=True, kw_only=True):
    """One direction of a slice, as its probes saw it."""

    messages: int = 0
    lost: int = 0
    min_ns: int | None = None
    max_ns: int | None = None
    variation_ns: int | None = None
    """Largest difference of two messages in a row (RFC 3393)."""

    @property
    def loss(self) -> float:
        return self.lost / self.messages if self.messages else 0.0


class Probed:
    """The event logs of a run, and which sessions are whose."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        names = (events.SENT_FILE, events.REFLECTED_FILE, events.RECEIVED_FILE)
        self._logs = {name: _Log(folder / name) for name in names}

    def __call__(self, placed: Placed, since_ns: int) -> dict[str, Any]:
        """What was measured of a slice since a moment (CLOCK_REALTIME)."""
        now_ns = time.time_ns()
        seen = [(one, _measured(self._delays(one), since_ns, now_ns)) for one in placed.carried]
        return verdict(placed, seen)

    def _delays(self, one: Carried) -> Iterator[tuple[int, int | None]]:
        """When each message left, and its one-way delay; None: it has not arrived."""
        for session in self._plan.sessions:
            if (forward := _takes(one, session)) is not None:
                yield from self._session(session, forward)

    def _session(self, session: Session, forward: bool) -> Iterator[tuple[int, int | None]]:
        left, came = (
            ((events.SENT_FILE, events.SENT), (events.REFLECTED_FILE, events.REFLECTOR_RX))
            if forward
            else (
                (events.REFLECTED_FILE, events.REFLECTOR_TX),
                (events.RECEIVED_FILE, events.SENDER_RX),
            )
        )
        arrived: dict[int, int] = {}
        for number, at_ns, _ in self._logs[came[0]](came[1], session.id):
            arrived.setdefault(number, at_ns)
        if forward and session.fragments > 1:
            arrived = self._whole(session, arrived)
        for number, a, b in self._logs[left[0]](left[1], session.id):
            left_ns = b if forward else a
            there_ns = arrived.get(number)
            yield left_ns, None if there_ns is None else there_ns - left_ns

    def _whole(self, session: Session, last: dict[int, int]) -> dict[int, int]:
        """When the last of each message's packets came, of messages of which all came."""
        there: dict[int, dict[int, int]] = {}
        rows = self._logs[events.RECEIVED_FILE](events.LEADING_RX, session.id)
        for number, at_ns, arrival in rows:
            there.setdefault(number, {}).setdefault(arrival & 0xFFFF_FFFF, at_ns)
        return {
            number: max(at_ns, *there[number].values())
            for number, at_ns in last.items()
            if len(there.get(number, ())) == session.fragments - 1
        }


def verdict(placed: Placed, measured: Iterable[tuple[Carried, Measured]]) -> dict[str, Any]:
    """Members of a slice's state: what was measured, and whether its promise was kept."""
    contracts = {f"{placed.slice.id}/{one.id}": one for one in placed.slice.contracts()}
    rows = []
    for one, seen in measured:
        broken = _broken(contracts[one.path.id].slo, seen)
        rows.append(
            {
                "id": one.path.id,
                "messages": seen.messages,
                "lost": seen.lost,
                "one-way-min-delay-ns": seen.min_ns,
                "one-way-max-delay-ns": seen.max_ns,
                "one-way-delay-variation-ns": seen.variation_ns,
                "slo": ("broken" if broken else "met") if seen.messages else "not-measured",
                "broken": broken,
            }
        )
    return {"conformance": rows}


def _broken(slo: Slo, seen: Measured) -> list[str]:
    """The terms that what was seen does not keep; percentiles are the report's."""
    held = (
        ("one-way-delay-maximum", seen.max_ns, slo.delay_ns),
        ("one-way-delay-variation-maximum", seen.variation_ns, slo.variation_ns),
        ("one-way-packet-loss", seen.loss, slo.loss),
    )
    return [
        name
        for name, value, most in held
        if value is not None and most is not None and value > most
    ]


def _takes(one: Carried, session: Session) -> bool | None:
    """Whether a direction takes a session's packets forward, back (False), or neither."""
    if all(match.dscp not in (None, session.dscp) for match in one.matches):
        return None
    ends = (one.path.src, one.path.dst)
    if ends == (session.sender, session.reflector):
        return True
    return False if ends == (session.reflector, session.sender) else None


def _measured(delays: Iterable[tuple[int, int | None]], since_ns: int, until_ns: int) -> Measured:
    messages = lost = 0
    known: list[int] = []
    varied = None
    for left_ns, delay_ns in delays:
        if not since_ns <= left_ns <= until_ns or (
            delay_ns is None and left_ns > until_ns - LATE_NS
        ):
            continue
        messages += 1
        if delay_ns is None:
            lost += 1
            continue
        if known:
            varied = max(varied or 0, abs(delay_ns - known[-1]))
        known.append(delay_ns)
    return Measured(
        messages=messages,
        lost=lost,
        min_ns=min(known, default=None),
        max_ns=max(known, default=None),
        variation_ns=varied,
    )


class _Log:
    """One event log that grows: what is new of it is read when somebody asks."""

    def __init__(self, path: Path) -> None:
        self._log = Reader(path)
        self._rows: dict[tuple[int, int], tuple[array[int], array[int], array[int]]] = {}
        """Numbers, a and b of events, by kind and session."""
        self._turn = threading.Lock()

    def __call__(self, kind: int, session: str) -> Iterator[tuple[int, int, int]]:
        """Number, a and b of a session's events of one kind that are on disk."""
        with self._turn:
            with suppress(OSError):
                for row in self._log.rows():
                    self._take(row)
            ids = self._log.sessions
            if session not in ids:
                return iter(())
            found = self._rows.get((kind, ids.index(session)))
            return iter(list(zip(*found, strict=True))) if found else iter(())

    def _take(self, row: Row) -> None:
        kind, flag, session, number, a, b = row
        refused_or_copy = kind in (events.SENT, events.LEADING_RX) and flag
        if kind in _COUNTED and not refused_or_copy:
            rows = self._rows.setdefault((kind, session), (array("q"), array("q"), array("q")))
            for column, value in zip(rows, (number, a, b), strict=True):
                column.append(value)
