"""What the kernel really has, as plain values: the proof that a link is as asked.

asked   from the plan, before anything is set
got     decoded from the kernel's own dump, after everything is set
"""

from __future__ import annotations

from typing import Literal

from testbed.emulation.port_qdisc import PortGate, PortPolicer, PortSource
from testbed.scenario.model import Frozen

SCHEMA = 1

TICK_NS = 64
"""Resolution of older qdisc fields (psched tick, net/pkt_sched.h)."""

_LOSS_SLACK = 2**-31
_UNITS = {"ns": "ns", "bps": "bit/s", "bytes": "B", "packets": "packets"}


Discipline = Literal["none", "netem", "htb", "port"]
"""What makes a port: nothing, stock Linux for one queue and for several, the lab kernel."""


class QueueShape(Frozen, frozen=True, kw_only=True):
    """One queue of a port; under HTB its class, and the delay leaf behind it."""

    id: int
    rate_bps: int
    """Promised; 0: none."""
    ceil_bps: int
    priority: int
    quantum_bytes: int = 1514
    """Its turn among queues of one priority."""
    burst_bytes: int
    limit_packets: int
    """Packets that wait; under HTB, those in transmission and on the fibre as well."""
    delay_ns: int = 0
    """Of the leaf; one-way. The lab's port delays after all queues."""
    serial_bps: int = 0
    """Rate at which the leaf serialises packets: the port's."""
    loss: float = 0.0
    """In the leaf."""


class PortShape(Frozen, frozen=True, kw_only=True):
    """How packets leave by a port. Unshaped: no delay, no rate, no limit."""

    discipline: Discipline = "none"
    delay_ns: int = 0
    """One-way."""
    rate_bps: int | None = None
    limit_packets: int = 0
    """Of netem: packets that wait, in transmission and on the fibre."""
    overhead_bytes: int = 0
    """What a packet takes on the wire beyond its Ethernet frame without FCS."""
    loss: float = 0.0
    seed: int = 0
    """Of the losses, where they can be repeated."""
    default_queue: int | None = None
    """Where packets go that name no queue."""
    queues: tuple[QueueShape, ...] = ()
    sources: tuple[PortSource, ...] = ()
    """Modelled background, from when traffic starts."""
    gates: tuple[PortGate, ...] = ()
    gate_base_ns: int = 0
    """On the lab's clock, from when traffic starts."""
    policers: tuple[PortPolicer, ...] = ()


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
    """Dropped by a policer before; not among the drops."""
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
    queues: tuple[QueueCounters, ...] = ()


def differences(asked: PortShape, got: PortShape) -> list[str]:
    """What the kernel has otherwise than asked, beyond what it cannot store exactly.

    The lab's port stores all but the loss, good to one part in 2**32. In stock qdiscs
    delays may be off by one 64 ns tick, rates by the 8 bit/s of a byte per second,
    bursts by the tick at the class's rate.
    """
    if asked.discipline != got.discipline:
        return [f"discipline {asked.discipline}, got {got.discipline}"]
    exact = asked.discipline == "port"
    rows = _compare("", asked, got, exact=exact)
    have = {queue.id: queue for queue in got.queues}
    for queue in asked.queues:
        other = have.pop(queue.id, None)
        if other is None:
            rows.append(f"queue {queue.id}, got none")
        else:
            rows += _compare(f"queue {queue.id} ", queue, other, exact=exact)
    rows += [f"no queue {id_}, got one" for id_ in have]
    for what, wanted, has in (
        ("background", asked.sources, got.sources),
        ("gates", asked.gates, got.gates),
        ("policers", asked.policers, got.policers),
    ):
        if wanted != has:
            rows.append(f"{what} {wanted}, got {has}")
    return rows


def _compare(
    where: str, asked: PortShape | QueueShape, got: PortShape | QueueShape, *, exact: bool
) -> list[str]:
    rows = []
    for name in asked.__struct_fields__:
        want, has = getattr(asked, name), getattr(got, name)
        if name in ("queues", "sources", "gates", "policers") or want == has:
            continue
        if want is not None and has is not None:
            if name == "loss" and abs(want - has) <= _LOSS_SLACK:
                continue
            if not exact and abs(want - has) <= _slack(name, asked):
                continue
        what, _, unit = name.rpartition("_")
        label = (what if unit in _UNITS else name).replace("_", " ")
        rows.append(f"{where}{label} {_said(want, unit)}, got {_said(has, unit)}")
    return rows


def _slack(name: str, asked: PortShape | QueueShape) -> float:
    if name == "delay_ns":
        return TICK_NS
    if name.endswith("_bps"):
        return 8
    if name == "burst_bytes":
        return (asked.rate_bps or 0) * TICK_NS / 8e9 + 1
    return 0


def _said(value: float | None, unit: str) -> str:
    if value is None:
        return "not shaped" if unit == "bps" else "none"
    return f"{value} {_UNITS[unit]}" if unit in _UNITS else str(value)
