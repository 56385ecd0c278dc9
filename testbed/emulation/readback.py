"""What the kernel really has, as plain values: the proof that a link is as asked.

asked   from the plan, before anything is set
got     decoded from the kernel's own dump, after everything is set
"""

from __future__ import annotations

from testbed.scenario.model import Frozen

SCHEMA = 1

TICK_NS = 64
"""Resolution of older qdisc fields (psched tick, net/pkt_sched.h)."""


class QueueShape(Frozen, frozen=True, kw_only=True):
    """One class of a port, and the delay leaf behind it."""

    id: int
    rate_bps: int
    ceil_bps: int
    priority: int
    burst_bytes: int
    delay_ns: int
    serial_bps: int
    """Rate at which the leaf serialises packets: the port's."""
    limit_packets: int
    loss: float = 0.0


class PortShape(Frozen, frozen=True, kw_only=True):
    """How packets leave by a port. Unshaped: no delay, no rate, no limit."""

    delay_ns: int = 0
    """One-way."""
    rate_bps: int | None = None
    limit_packets: int = 0
    loss: float = 0.0
    default_queue: int | None = None
    """Where packets go that name no queue."""
    queues: tuple[QueueShape, ...] = ()


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
    """What one qdisc has seen since it was made."""

    id: int
    packets: int
    sent_bytes: int
    drops: int
    overlimits: int
    """How often a packet was there but its time was not (HTB)."""
    backlog_packets: int


class PortCounters(Frozen, frozen=True, kw_only=True):
    """The root qdisc's counters, and each queue's leaf."""

    node: str
    name: str
    packets: int
    sent_bytes: int
    drops: int
    overlimits: int
    backlog_packets: int
    queues: tuple[QueueCounters, ...] = ()


def differences(asked: PortShape, got: PortShape) -> list[str]:
    """What the kernel has otherwise than asked, beyond what it cannot store exactly.

    Delays may be off by one 64 ns tick, rates by the 8 bit/s of a byte per second,
    bursts by the tick at the class's rate, loss by one part in 2**32.
    """
    rows = _compare("", asked, got)
    if asked.default_queue != got.default_queue:
        rows.append(f"default queue {asked.default_queue}, got {got.default_queue}")
    have = {queue.id: queue for queue in got.queues}
    for queue in asked.queues:
        other = have.pop(queue.id, None)
        if other is None:
            rows.append(f"queue {queue.id}, got none")
            continue
        where = f"queue {queue.id} "
        rows += _compare(where, queue, other)
        if queue.priority != other.priority:
            rows.append(f"{where}priority {queue.priority}, got {other.priority}")
        slack = queue.rate_bps * TICK_NS / 8e9 + 1
        if abs(queue.burst_bytes - other.burst_bytes) > slack:
            rows.append(f"{where}burst {queue.burst_bytes} B, got {other.burst_bytes} B")
    rows += [f"no queue {id_}, got one" for id_ in have]
    return rows


def _compare(where: str, asked: PortShape | QueueShape, got: PortShape | QueueShape) -> list[str]:
    rows = []
    if abs(asked.delay_ns - got.delay_ns) > TICK_NS:
        rows.append(f"{where}delay {asked.delay_ns} ns, got {got.delay_ns} ns")
    for name in ("rate_bps", "ceil_bps", "serial_bps"):
        want, has = getattr(asked, name, None), getattr(got, name, None)
        if (want is None) != (has is None) or abs((want or 0) - (has or 0)) > 8:
            rows.append(f"{where}{name.removesuffix('_bps')} {_rate(want)}, got {_rate(has)}")
    if asked.limit_packets != got.limit_packets:
        rows.append(f"{where}limit {asked.limit_packets} packets, got {got.limit_packets} packets")
    if abs(asked.loss - got.loss) > 2**-31:
        rows.append(f"{where}loss {asked.loss}, got {got.loss}")
    return rows


def _rate(value: int | None) -> str:
    return "not shaped" if value is None else f"{value} bit/s"
