"""What the kernel really has, as plain values: the proof that a link is as asked.

asked   from the plan, before anything is set
got     decoded from the kernel's own dump, after everything is set
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from testbed.frames import FULL_FRAME_BYTES
from testbed.port.kinds import AnyStage
from testbed.port.policers import Policer
from testbed.scenario.model import Frozen

SCHEMA = 2

TICK_NS = 64
"""Resolution of older qdisc fields (psched tick, net/pkt_sched.h)."""

_LOSS_SLACK = 2**-31
_UNITS = {"ns": "ns", "bps": "bit/s", "bytes": "B", "packets": "packets"}


Discipline = Literal["none", "netem", "htb", "port"]
"""What makes a port: nothing, stock Linux for one queue and for several, the lab kernel."""


class ClassShape(Frozen, frozen=True, kw_only=True):
    """One queue as HTB has it: its class, and the delay leaf behind it."""

    id: int
    rate_bps: int
    ceil_bps: int
    priority: int
    quantum_bytes: int = FULL_FRAME_BYTES
    """Its turn among queues of one priority."""
    burst_bytes: int
    limit_packets: int
    """Packets that wait, in transmission and on the fibre."""
    delay_ns: int = 0
    """Of the leaf; one-way."""
    serial_bps: int = 0
    """Rate at which the leaf serialises packets: the port's."""
    overhead_bytes: int = 0
    """What the leaf counts beyond a packet's Ethernet frame without FCS."""
    loss: float = 0.0
    """In the leaf."""


class PortShape(Frozen, frozen=True, kw_only=True):
    """How packets leave by a port. Unshaped: no delay, no rate, no limit."""

    discipline: Discipline = "none"
    stages: tuple[AnyStage, ...] = ()
    """Of the lab kernel's port; what follows is of stock disciplines."""
    delay_ns: int = 0
    """One-way."""
    rate_bps: int | None = None
    limit_packets: int = 0
    """Of netem: packets that wait, in transmission and on the fibre."""
    overhead_bytes: int = 0
    """What netem counts beyond a packet's Ethernet frame without FCS."""
    loss: float = 0.0
    default_queue: int | None = None
    """Where packets go that name no queue."""
    queues: tuple[ClassShape, ...] = ()
    policers: tuple[Policer, ...] = ()


class PortReadback(Frozen, frozen=True, kw_only=True):
    node: str
    name: str
    asked: PortShape
    got: PortShape


class Readback(Frozen, frozen=True, kw_only=True):
    """Every port of a network, asked and got."""

    schema: int = SCHEMA
    kernel: str
    """Release of the lab's kernel."""
    ports: tuple[PortReadback, ...]


class QueueCounters(Frozen, frozen=True, kw_only=True):
    """What one queue has seen since it was made."""

    id: int
    packets: int
    sent_bytes: int
    drops: int
    overlimits: int = 0
    """How often a packet was there but its time was not (HTB)."""
    backlog_packets: int
    backlog_bytes: int = 0
    """With stock qdiscs, of what is on the fibre too."""
    max_backlog_packets: int | None = None
    """None: only the lab kernel's port tells; so with all below."""
    max_backlog_bytes: int | None = None
    wait_ns: int | None = None
    """Sum over packets, from arrival to transmission."""
    background_packets: int = 0
    """Modelled, whose transmission has begun; all above is of real packets, but for the
    backlogs."""
    background_bytes: int = 0
    background_drops: int = 0
    background_wait_ns: int = 0
    policed: int = 0
    """Dropped before, by a policer; not among the drops."""
    background_policed: int = 0


class PortCounters(Frozen, frozen=True, kw_only=True):
    """The root qdisc's counters, and each queue's. Drops include losses on the fibre."""

    node: str
    name: str
    discipline: Discipline
    packets: int
    sent_bytes: int
    drops: int
    overlimits: int
    backlog_packets: int
    backlog_bytes: int = 0
    queues: tuple[QueueCounters, ...] = ()


def differences(asked: PortShape, got: PortShape) -> list[str]:
    """What the kernel has otherwise than asked, beyond what it cannot store exactly.

    The lab's port stores all exactly. In stock qdiscs delays may be off by one 64 ns tick,
    rates by the 8 bit/s of a byte per second, bursts by the tick at the class's rate.
    """
    if asked.discipline != got.discipline:
        return [f"discipline {asked.discipline}, got {got.discipline}"]
    return list(_compare("", asked, got, exact=asked.discipline == "port"))


def _compare(where: str, asked: Frozen, got: Frozen, *, exact: bool) -> Iterator[str]:
    for name in asked.__struct_fields__:
        want, has = getattr(asked, name), getattr(got, name)
        if want == has:
            continue
        if isinstance(want, tuple) and all(isinstance(one, Frozen) for one in (*want, *has)):
            yield from _each(where, name, want, has, exact=exact)
            continue
        close = not exact and None not in (want, has) and not isinstance(want, tuple)
        if close and abs(want - has) <= _slack(name, asked):
            continue
        what, _, unit = name.rpartition("_")
        label = (what if unit in _UNITS else name).replace("_", " ")
        yield f"{where}{label} {_said(want, unit)}, got {_said(has, unit)}"


def _each(
    where: str, name: str, asked: Sequence[Frozen], got: Sequence[Frozen], *, exact: bool
) -> Iterator[str]:
    """Of what there are several: queues by their numbers, stages by their kinds."""
    wanted, there = _named(name, asked), _named(name, got)
    for label, want in wanted.items():
        if label not in there:
            yield f"{where}{label}, got none"
        else:
            yield from _compare(f"{where}{label} ", want, there.pop(label), exact=exact)
    yield from (f"{where}no {label}, got one" for label in there)


def _named(name: str, several: Sequence[Frozen]) -> dict[str, Frozen]:
    if name == "stages":
        return {type(one).__name__.lower(): one for one in several}
    single = name.removesuffix("s")
    numbers = [getattr(one, "id", getattr(one, "queue", n)) for n, one in enumerate(several)]
    if len(set(numbers)) < len(several) or not all(isinstance(n, int) for n in numbers):
        numbers = list(range(len(several)))
    return {f"{single} {n}": one for n, one in zip(numbers, several, strict=True)}


def _slack(name: str, asked: Any) -> float:
    if name == "loss":
        return _LOSS_SLACK
    if name == "delay_ns":
        return TICK_NS
    if name.endswith("_bps"):
        return 8
    if name == "burst_bytes":
        return float((asked.rate_bps or 0) * TICK_NS / 8e9 + 1)
    return 0


def _said(value: object, unit: str) -> str:
    if value is None:
        return "not shaped" if unit == "bps" else "none"
    return f"{value} {_UNITS[unit]}" if unit in _UNITS else str(value)
