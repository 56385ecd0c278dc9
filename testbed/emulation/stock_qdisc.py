"""A port from what every kernel has: netem, and HTB where there are several queues.

    one queue           netem: delay, rate, limit (and loss); a FIFO that serialises
    several queues      htb 1:
                        `- class 1:fffe  the port's rate
                           |- class 1:1  queue 0 - netem 11: delay, rate, limit
                           `- class 1:2  queue 1 - netem 12: delay, rate, limit

`set_queue: N` gives a packet the priority 1:(N+1), which is the class's handle, so HTB
needs no filter. All else goes to queue 0.

HTB lets a packet leave the instant it has tokens: it neither serialises nor waits
for the packet in service. So the leaf of each class serialises at the port's rate
before HTB sees the packet: a packet that meets no other takes exactly delay + size /
rate, as on a one-queue port, and a class never exceeds the port's rate in a burst.
Queues without guaranteed rates (strict priority) are HTB's too: what they may borrow
goes to the first by priority. What is left out is the wait for the packet that another
class has in service, at most one packet. The order, delay first and queue after, gives
the same times as a queue before a fibre, because it shifts all classes alike.

A policer is act_police before the class's netem (police.py). taprio is no counterpart for
gates: it takes the device's nominal rate for the port's when it keeps packets from ending
late, and a veth's is 10 Gbit/s.

netem's limit counts the packets in transmission and on the fibre with those that
wait, so it is the buffer and room for them. Wire format: linux/pkt_sched.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from testbed.emulation import netlink as nl
from testbed.emulation import police, tc
from testbed.emulation.netlink import Request
from testbed.emulation.readback import TICK_NS, ClassShape, PortShape, QueueCounters
from testbed.errors import EmulationError
from testbed.frames import FULL_FRAME_BYTES
from testbed.port.pipeline import Port
from testbed.port.queues import Queue

_PORT_CLASS = 0xFFFE
_BURST_NS = 100_000
"""HTB wakes up late by up to this much without loss of rate."""
_MAX_U32 = 2**32 - 1
_LEAST_CLASS_BPS = 96
"""HTB cannot store the burst of slower classes."""
_UNPROMISED_BPS = 8_000
"""Rate of a queue that is promised none: HTB has no class without a rate."""

_NETEM = struct.Struct("=6I")
_NETEM_RATES = struct.Struct("=IiIi")
_NETEM_RATE, _NETEM_RATE64, _NETEM_DELAY64 = 6, 8, 10
_HTB_PARMS, _HTB_INIT, _HTB_DIRECT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 5, 6, 7
_HTB_CLASS = struct.Struct("=BBHhHI BBHhHI 5I")
_ETHERNET = 1
"""Link layer without a size table."""


def shape(port: Port) -> PortShape:
    """What is asked of a shaped port. Raises EmulationError where HTB cannot do it."""
    lacking = [type(stage).__name__.lower() for stage in port.stages if not stage.STOCK]
    if port.policers and not port.queues:
        lacking.append("policers at ports of one queue")
    for what in lacking:
        raise EmulationError(
            f"this lab's kernel has no {what}",
            where=f"port {port.name} towards {port.peer_node}",
            expected="the lab kernel's queueing discipline `port`",
            remedy="--lab virtual, or another scheduler",
        )
    if not port.queues:
        return PortShape(
            discipline="netem",
            delay_ns=port.delay_ns,
            rate_bps=port.rate_bps,
            limit_packets=_limit(port, port.buffer_packets),
            overhead_bytes=_overhead_bytes(port),
            loss=port.loss,
        )
    assert port.rate_bps is not None
    return PortShape(
        discipline="htb",
        rate_bps=port.rate_bps,
        default_queue=0,
        queues=tuple(_class_asked(port, port.rate_bps, queue) for queue in port.queues),
        policers=tuple(police.stored(policer) for policer in port.policers),
    )


def _overhead_bytes(port: Port) -> int:
    """What netem, HTB and act_police count beyond a packet's bytes: they do where they have
    a rate."""
    return port.transmitter.overhead_bytes if port.rate_bps is not None else 0


def _class_asked(port: Port, port_bps: int, queue: Queue) -> ClassShape:
    ceil_bps = queue.peak_bps or port_bps
    rate_bps = queue.promised_bps or min(_UNPROMISED_BPS, ceil_bps)
    if not 0 <= queue.level <= 7 or rate_bps < _LEAST_CLASS_BPS:
        raise EmulationError(
            f"queue {queue.id} has priority {queue.level} and rate {rate_bps} bit/s",
            where=f"port {port.name} towards {port.peer_node}",
            expected=f"priority 0 to 7, at least {_LEAST_CLASS_BPS} bit/s (HTB)",
            remedy="--lab virtual, whose ports have 64 priorities; or give slices fewer",
        )
    return ClassShape(
        id=queue.id,
        rate_bps=rate_bps,
        ceil_bps=ceil_bps,
        priority=queue.level,
        burst_bytes=_burst_bytes(rate_bps),
        delay_ns=port.delay_ns,
        serial_bps=port_bps,
        limit_packets=_limit(port, queue.limit_packets),
        overhead_bytes=_overhead_bytes(port),
        loss=port.loss,
    )


def _limit(port: Port, buffer_packets: int) -> int:
    return buffer_packets + 1 + in_flight(port.rate_bps, port.delay_ns, _overhead_bytes(port))


def in_flight(rate_bps: int | None, delay_ns: int, overhead_bytes: int = 0) -> int:
    """Full-size packets on the fibre at once.

    A port without a rate is reckoned as one packet per microsecond.
    """
    if rate_bps is None:
        return -(-delay_ns // 1000)
    return -(-rate_bps * delay_ns // (8 * (FULL_FRAME_BYTES + overhead_bytes) * 1_000_000_000))


def requests(port: Port) -> Iterator[Request]:
    """What to ask of the kernel for a shaped port."""
    if shape(port).queues:
        glob = nl.attr(_HTB_INIT, struct.pack("=5I", 3, 10, 1, 0, 0)) + nl.u32(_HTB_DIRECT, 1000)
        where = f"the queue of {port.name}"
        yield tc.qdisc(port.ifindex, tc.ROOT, tc.HANDLE, "htb", glob, where)
    yield from changes(port)


def changes(port: Port) -> Iterator[Request]:
    """What to ask so that a shaped port is shaped otherwise, with as many queues."""
    wanted = shape(port)
    where = f"the queue of {port.name}"
    if not wanted.queues:
        options = _netem(wanted, wanted.rate_bps)
        yield tc.qdisc(port.ifindex, tc.ROOT, tc.HANDLE, "netem", options, where)
        return
    assert wanted.rate_bps is not None
    rate = wanted.rate_bps
    yield _new_class(port, _PORT_CLASS, tc.ROOT, (rate, rate, 0), where)
    for queue in wanted.queues:
        where = f"queue {queue.id} of {port.name}"
        minor = queue.id + 1
        parms = (queue.rate_bps, queue.ceil_bps, queue.priority)
        yield _new_class(port, minor, tc.HANDLE | _PORT_CLASS, parms, where)
        options = _netem(queue, queue.serial_bps)
        leaf, parent = (0x10 + minor) << 16, tc.HANDLE | minor
        policer = port.policer(queue.id)
        if policer is not None:
            overhead = _overhead_bytes(port)
            yield from police.requests(port.ifindex, minor, policer, overhead, where)
            parent = police.band(minor)
        yield tc.qdisc(port.ifindex, parent, leaf, "netem", options, where)


# Encoding


def _new_class(
    port: Port, minor: int, parent: int, parms: tuple[int, int, int], about: str
) -> Request:
    rate_bps, ceil_bps, priority = parms
    rate, ceil = rate_bps // 8, ceil_bps // 8
    options = nl.attr(
        _HTB_PARMS,
        _HTB_CLASS.pack(
            *(0, _ETHERNET, _overhead_bytes(port), 0, 0, min(rate, _MAX_U32)),
            *(0, _ETHERNET, _overhead_bytes(port), 0, 0, min(ceil, _MAX_U32)),
            _ticks(_burst_bytes(rate_bps), rate),
            _ticks(_burst_bytes(ceil_bps), ceil),
            FULL_FRAME_BYTES,  # quantum: equal turns among classes of one priority
            0,
            priority,
        ),
    )
    for kind, value in ((_HTB_RATE64, rate), (_HTB_CEIL64, ceil)):
        if value > _MAX_U32:
            options += nl.attr(kind, struct.pack("=Q", value))
    body = (
        tc.TCMSG.pack(0, 0, port.ifindex, tc.HANDLE | minor, parent, 0)
        + nl.text(tc.KIND, "htb")
        + nl.attr(tc.OPTIONS, options)
    )
    return Request(nl.RTM_NEWTCLASS, nl.CREATE, body, f"{about} (htb class)")


def _netem(of: PortShape | ClassShape, rate_bps: int | None) -> bytes:
    options = _NETEM.pack(0, of.limit_packets, round(of.loss * _MAX_U32), 0, 0, 0)
    options += nl.attr(_NETEM_DELAY64, struct.pack("=q", of.delay_ns))
    if rate_bps is not None:
        rate = rate_bps // 8
        values = _NETEM_RATES.pack(min(rate, _MAX_U32), of.overhead_bytes, 0, 0)
        options += nl.attr(_NETEM_RATE, values)
        if rate > _MAX_U32:
            options += nl.attr(_NETEM_RATE64, struct.pack("=Q", rate))
    return options


def _burst_bytes(rate_bps: int) -> int:
    return max(2 * FULL_FRAME_BYTES, rate_bps * _BURST_NS // 8_000_000_000)


def _ticks(size_bytes: int, rate: int) -> int:
    return min(_MAX_U32, -(-size_bytes * 1_000_000_000 // (rate * TICK_NS)))


# Decoding


def read(seen: tc.Seen) -> PortShape:
    """What the kernel has on a port whose root is netem or HTB."""
    if seen.kinds[tc.ROOT] == "netem":
        rate_bps, values = _netem_values(seen.options[tc.ROOT])
        return PortShape(discipline="netem", rate_bps=rate_bps, **values)
    port_rate = None
    queues = []
    for minor, options in sorted(seen.classes.items()):
        queue = _class_shape(minor - 1, options, seen)
        if minor == _PORT_CLASS:
            port_rate = queue.rate_bps
        else:
            queues.append(queue)
    default = struct.unpack_from("=5I", nl.attrs(seen.options[tc.ROOT])[_HTB_INIT])[2]
    policers = tuple(
        police.decode(queue.id, seen.filters[police.handle(queue.id + 1)])
        for queue in queues
        if police.handle(queue.id + 1) in seen.filters
    )
    return PortShape(
        discipline="htb",
        rate_bps=port_rate,
        default_queue=default - 1,
        queues=tuple(queues),
        policers=policers,
    )


def _class_shape(id_: int, options: bytes, seen: tc.Seen) -> ClassShape:
    found = nl.attrs(options)
    parms = _HTB_CLASS.unpack(found[_HTB_PARMS][: _HTB_CLASS.size])
    rate, ceil, burst_ticks, quantum, priority = (parms[at] for at in (5, 11, 12, 14, 16))
    if _HTB_RATE64 in found:
        rate = struct.unpack("=Q", found[_HTB_RATE64])[0]
    if _HTB_CEIL64 in found:
        ceil = struct.unpack("=Q", found[_HTB_CEIL64])[0]
    serial_bps, values = None, dict[str, Any](limit_packets=0)
    leaf = tc.HANDLE | (id_ + 1)
    if seen.kinds.get(leaf) == "prio":
        leaf = police.band(id_ + 1)
    if seen.kinds.get(leaf) == "netem":
        serial_bps, values = _netem_values(seen.options[leaf])
    return ClassShape(
        id=id_,
        rate_bps=rate * 8,
        ceil_bps=ceil * 8,
        priority=priority,
        quantum_bytes=quantum,
        burst_bytes=burst_ticks * TICK_NS * rate // 1_000_000_000,
        serial_bps=serial_bps or 0,
        **values,
    )


def _netem_values(options: bytes) -> tuple[int | None, dict[str, Any]]:
    """Rate bit/s, and what else netem has by the names that shapes have for it."""
    ticks, limit, loss, _, _, _ = _NETEM.unpack_from(options)
    found = nl.attrs(options[_NETEM.size :])
    exact = found.get(_NETEM_DELAY64)
    delay_ns = struct.unpack("=q", exact)[0] if exact else ticks * TICK_NS
    rates = found.get(_NETEM_RATE, bytes(_NETEM_RATES.size))
    rate, overhead_bytes, _, _ = _NETEM_RATES.unpack_from(rates)
    if _NETEM_RATE64 in found:
        rate = struct.unpack("=Q", found[_NETEM_RATE64])[0]
    return rate * 8 or None, {
        "delay_ns": delay_ns,
        "limit_packets": limit,
        "overhead_bytes": overhead_bytes,
        "loss": loss / _MAX_U32,
    }


def queue_counters(seen: tc.Seen) -> tuple[QueueCounters, ...]:
    """Of each HTB class's leaf."""
    found = []
    for parent, stats in sorted(seen.stats.items()):
        if parent == tc.ROOT or parent & ~0xFFFF != tc.HANDLE:
            continue
        first, last = tc.counted(stats), tc.counted(stats)
        if seen.kinds[parent] == "prio":
            last = tc.counted(seen.stats[police.band(parent & 0xFFFF)])
        policed = first["drops"] - last["drops"]
        found.append(QueueCounters(id=(parent & 0xFFFF) - 1, policed=policed, **last))
    return tuple(found)
