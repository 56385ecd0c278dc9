"""Gates open and close queues by a cycle that always runs (IEEE 802.1Q-2022 8.6.8.4).

A queue is passed over unless its first packet would be sent before its gate closes; a
packet that no opening is long enough for is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, NamedTuple

import msgspec

from testbed.errors import EmulationError
from testbed.port.curves import S, up
from testbed.port.stage import Events, Stage
from testbed.port.wire import Record
from testbed.scenario.model import Frozen

MAX_GATES = 256
"""Of one port."""
_CYCLE = Record("Q base_ns")
_GATE = Record("Q interval_ns", "Q open")
_NEVER_NS = 2**63


class Gate(Frozen, frozen=True, kw_only=True):
    """A part of the cycle."""

    interval_ns: int
    open: tuple[int, ...]
    """Queues whose packets may be sent, if they end before their gate closes; by number,
    in the port's order."""


class Gates(Stage, frozen=True, kw_only=True):
    """One cycle, repeated before and after."""

    ATTRIBUTE: ClassVar[int] = 4
    gates: tuple[Gate, ...]
    base_ns: int = 0
    """Where a cycle begins, from the start of traffic; in a kernel CLOCK_MONOTONIC."""

    @property
    def cycle_ns(self) -> int:
        return sum(gate.interval_ns for gate in self.gates)

    def encode(self, ids: Sequence[int]) -> bytes:
        rows = [_CYCLE.pack(self)]
        for gate in self.gates:
            strange = set(gate.open) - set(ids)
            if strange:
                raise EmulationError(
                    f"a gate names queues {sorted(strange)}", expected=f"some of {list(ids)}"
                )
            rows.append(_GATE.pack(gate, open=sum(1 << ids.index(id_) for id_ in gate.open)))
        return b"".join(rows)

    @classmethod
    def decode(cls, data: bytes, ids: Sequence[int]) -> Gates:
        return cls(
            base_ns=_CYCLE.unpack(data)["base_ns"],
            gates=tuple(
                Gate(
                    interval_ns=found["interval_ns"],
                    open=tuple(id_ for place, id_ in enumerate(ids) if found["open"] >> place & 1),
                )
                for found in _GATE.each(data, _CYCLE.size)
            ),
        )

    @property
    def timed(self) -> bool:
        return True

    def begun(self, start_ns: int) -> Gates:
        return msgspec.structs.replace(self, base_ns=start_ns + self.base_ns)

    def events(self) -> Events:
        return _Cycle(self)


# Service


class Window(NamedTuple):
    """When a gate is open in a cycle; it may close in the next."""

    open_ns: int
    close_ns: int
    blocked: bool = False
    """A packet of another queue may be in transmission as it opens."""


@lru_cache(maxsize=4096)
def windows(gates: tuple[Gate, ...], queue: int) -> tuple[Window, ...] | None:
    """When a queue's gate is open, from one of its openings on; None: always."""
    if all(queue in gate.open for gate in gates):
        return None
    found = []
    at_ns = 0
    for number, gate in enumerate(gates):
        before = gates[number - 1]
        if queue in gate.open and queue not in before.open:
            turned = [*gates[number:], *gates[:number]]
            shut = next(n for n, later in enumerate(turned) if queue not in later.open)
            close_ns = at_ns + sum(later.interval_ns for later in turned[:shut])
            blocked = bool(set(before.open) & set(gate.open))
            found.append(Window(at_ns, close_ns, blocked))
        at_ns += gate.interval_ns
    return tuple(found)


def usable(
    open_: Sequence[Window], cycle_ns: int, rate_bps: int, largest: int, others: int
) -> tuple[int, int]:
    """Mean rate while the gate lets packets of at most `largest` bits begin, and the longest
    time ns that it does not; `others` bits of another queue may be in transmission."""
    guard, block = up(largest * S, rate_bps), up(others * S, rate_bps)
    spans = [(w.open_ns + block * w.blocked, w.close_ns - guard) for w in open_]
    spans = sorted((begin, end) for begin, end in spans if begin < end)
    open_ns = sum(end - begin for begin, end in spans)
    if not open_ns:
        return 0, 0
    shut_ns = 0
    for number, (_, closed) in enumerate(spans):
        had = 0
        later = [(b + cycle_ns, e + cycle_ns) for b, e in spans[: number + 1]]
        for begin, end in [*spans[number + 1 :], *later]:
            shut_ns = max(shut_ns, begin - closed - had * cycle_ns // open_ns)
            had += end - begin
    return rate_bps * open_ns // cycle_ns, shut_ns


def meet(one: Sequence[Window] | None, other: Sequence[Window] | None, cycle_ns: int) -> bool:
    """Whether two gates are ever open together."""
    if one is None or other is None:
        return True
    return any(
        a.open_ns < b.close_ns + turn and b.open_ns + turn < a.close_ns
        for a in one
        for b in other
        for turn in (-cycle_ns, 0, cycle_ns)
    )


# Event model


def openings(of: Gates, queue: int, now_ns: int) -> Iterator[tuple[int, int]]:
    """When the queue's gate opens and closes, from `now_ns` on, for two cycles at least."""
    gates, cycle_ns = of.gates, of.cycle_ns
    if all(queue in gate.open for gate in gates):
        yield now_ns, _NEVER_NS
        return
    at_ns = now_ns - (now_ns - of.base_ns) % cycle_ns - cycle_ns
    opened_ns = None
    for gate in gates * 4:
        if queue in gate.open and opened_ns is None:
            opened_ns = at_ns
        elif queue not in gate.open and opened_ns is not None:
            if at_ns > now_ns:
                yield opened_ns, at_ns
            opened_ns = None
        at_ns += gate.interval_ns


class _Cycle(Events):
    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def fits(self, queue: int, lasts_ns: Fraction) -> bool:
        some = openings(self._gates, queue, self._gates.base_ns)
        return any(lasts_ns <= close_ns - open_ns for open_ns, close_ns in some)

    def begin_ns(self, queue: int, from_ns: int, end: Callable[[int], Fraction]) -> int:
        for open_ns, close_ns in openings(self._gates, queue, from_ns):
            start_ns = max(from_ns, open_ns)
            if end(start_ns) <= close_ns:
                return start_ns
        raise AssertionError("a packet waits that no opening is long enough for")
