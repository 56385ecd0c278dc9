"""How packets leave a port: queueing disciplines, set and read back.

The lab kernel has one of our own, `port`, which is a store-and-forward port as it is
(port_qdisc.py). On other kernels:

    no rate, no delay   nothing: the port forwards at once
    one queue           netem: delay, rate, limit (and loss); a FIFO that serialises
    several queues      htb 1:
                        `- class 1:fffe  the port's rate
                           |- class 1:1  queue 0 - netem 11: delay, rate, limit
                           `- class 1:2  queue 1 - netem 12: delay, rate, limit

OpenFlow `set_queue: N` gives a packet the priority 1:(N+1), which is the class's
handle, so HTB needs no filter. All else goes to queue 0.

HTB lets a packet leave the instant it has tokens: it neither serialises nor waits
for the packet in service. So the leaf of each class serialises at the port's rate
before HTB sees the packet: a packet that meets no other takes exactly delay + size /
rate, as on a one-queue port, and a class never exceeds the port's rate in a burst.
What is left out is the wait for the packet that another class has in service, at
most one packet. The order, delay first and queue after, gives the same times as a
queue before a fibre, because it shifts all classes alike.

Sizes and rates count Ethernet frames without preamble and check sequence, as Linux
does. Wire format: linux/pkt_sched.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testbed.emulation import netlink as nl
from testbed.emulation import port_qdisc
from testbed.emulation.netlink import Request
from testbed.emulation.readback import (
    TICK_NS,
    PortCounters,
    PortShape,
    QueueCounters,
    QueueShape,
    differences,
)
from testbed.errors import EmulationError
from testbed.plan.model import Port

_ROOT = 0xFFFFFFFF
_HTB, _PORT_CLASS = 0x10000, 0xFFFE
_FULL_FRAME_BYTES = 1514
_BURST_NS = 100_000
"""HTB wakes up late by up to this much without loss of rate."""
_MAX_U32 = 2**32 - 1
_LEAST_CLASS_BPS = 96
"""HTB cannot store the burst of slower classes."""

_TCMSG = struct.Struct("=BxHiIII")
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_NETEM = struct.Struct("=6I")
_NETEM_RATE, _NETEM_RATE64, _NETEM_DELAY64 = 6, 8, 10
_HTB_PARMS, _HTB_INIT, _HTB_DIRECT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 5, 6, 7
_HTB_CLASS = struct.Struct("=BBHhHI BBHhHI 5I")
_ETHERNET = 1
"""Link layer without a size table."""


def shape(port: Port) -> PortShape:
    """What the plan asks of a port. Raises EmulationError where no qdisc can do it."""
    _check(port)
    if not port.queues:
        shaped = port.delay_ns or port.rate_bps or port.loss
        return PortShape(
            delay_ns=port.delay_ns,
            rate_bps=port.rate_bps,
            limit_packets=port.limit_packets if shaped else 0,
            loss=port.loss,
        )
    assert port.rate_bps is not None
    return PortShape(
        rate_bps=port.rate_bps,
        default_queue=0,
        queues=tuple(
            QueueShape(
                id=queue.id,
                rate_bps=queue.rate_bps,
                ceil_bps=queue.ceil_bps,
                priority=queue.priority,
                burst_bytes=_burst_bytes(queue.rate_bps),
                delay_ns=port.delay_ns,
                serial_bps=port.rate_bps,
                limit_packets=queue.limit_packets,
                loss=port.loss,
            )
            for queue in port.queues
        ),
    )


def requests(port: Port) -> Iterator[Request]:
    """What to ask of the kernel so that packets leave `port` as planned.

    Cheapest while the port is down: the kernel need not wait for packets in flight.
    """
    wanted = shape(port)
    where = f"the queue of {port.name}"
    if port_qdisc.available():
        if wanted.queues or wanted.limit_packets:
            own = port_qdisc.encode(port_qdisc.options(wanted))
            yield _new_qdisc(port, _ROOT, _HTB, port_qdisc.KIND, own, where)
        return
    if not wanted.queues:
        if wanted.limit_packets:
            options = _netem(wanted.delay_ns, wanted.rate_bps, wanted.limit_packets, wanted.loss)
            yield _new_qdisc(port, _ROOT, _HTB, "netem", options, where)
        return
    assert wanted.rate_bps is not None
    glob = nl.attr(_HTB_INIT, struct.pack("=5I", 3, 10, 1, 0, 0)) + nl.u32(_HTB_DIRECT, 1000)
    yield _new_qdisc(port, _ROOT, _HTB, "htb", glob, where)
    rate = wanted.rate_bps
    yield _new_class(port, _PORT_CLASS, _ROOT, (rate, rate, 0), where)
    for queue in wanted.queues:
        where = f"queue {queue.id} of {port.name}"
        minor = queue.id + 1
        parms = (queue.rate_bps, queue.ceil_bps, queue.priority)
        yield _new_class(port, minor, _HTB | _PORT_CLASS, parms, where)
        options = _netem(queue.delay_ns, queue.serial_bps, queue.limit_packets, queue.loss)
        yield _new_qdisc(port, _HTB | minor, (0x10 + minor) << 16, "netem", options, where)


def _check(port: Port) -> None:
    def wrong(what: str, expected: str) -> EmulationError:
        return EmulationError(
            what, where=f"port {port.name} towards {port.peer_node}", expected=expected
        )

    if port.rate_bps is not None and port.rate_bps < 8:
        raise wrong(f"rate {port.rate_bps} bit/s cannot be shaped", "at least 8 bit/s")
    if not 0 <= port.delay_ns < 2**63:
        raise wrong(f"delay {port.delay_ns} ns cannot be shaped", "0 to 2**63 ns")
    if not 0 <= port.loss <= 1:
        raise wrong(f"loss {port.loss} is no probability", "0 to 1")
    shaped = port.delay_ns or port.rate_bps or port.loss
    limits = [queue.limit_packets for queue in port.queues] or [port.limit_packets]
    if shaped and min(limits) < 1:
        raise wrong(f"limit of {min(limits)} packets passes nothing", "at least 1 packet")
    if not port.queues:
        return
    if port.rate_bps is None:
        raise wrong("several queues without a rate", "a rate, which the queues share")
    if 0 not in {queue.id for queue in port.queues}:
        raise wrong("there is no queue 0", "queue 0, for packets that name none")
    for queue in port.queues:
        if not 0 <= queue.id < 0xFFD:
            raise wrong(f"queue number {queue.id} cannot be selected", "0 to 4092")
        if not 0 <= queue.priority <= 7:
            raise wrong(f"queue {queue.id} has priority {queue.priority}", "0 to 7 (HTB)")
        if not _LEAST_CLASS_BPS <= queue.rate_bps <= queue.ceil_bps <= port.rate_bps:
            raise wrong(
                f"queue {queue.id} has rate {queue.rate_bps} and ceil {queue.ceil_bps} bit/s",
                f"{_LEAST_CLASS_BPS} <= rate <= ceil <= {port.rate_bps} bit/s",
            )


# Encoding


def _new_qdisc(
    port: Port, parent: int, handle: int, kind: str, options: bytes, about: str
) -> Request:
    body = (
        _TCMSG.pack(0, 0, port.ifindex, handle, parent, 0)
        + nl.text(_KIND, kind)
        + nl.attr(_OPTIONS, options)
    )
    return Request(nl.RTM_NEWQDISC, nl.CREATE | nl.REPLACE, body, f"{about} ({kind})")


def _new_class(
    port: Port, minor: int, parent: int, parms: tuple[int, int, int], about: str
) -> Request:
    rate_bps, ceil_bps, priority = parms
    rate, ceil = rate_bps // 8, ceil_bps // 8
    options = nl.attr(
        _HTB_PARMS,
        _HTB_CLASS.pack(
            *(0, _ETHERNET, 0, 0, 0, min(rate, _MAX_U32)),
            *(0, _ETHERNET, 0, 0, 0, min(ceil, _MAX_U32)),
            _ticks(_burst_bytes(rate_bps), rate),
            _ticks(_burst_bytes(ceil_bps), ceil),
            _FULL_FRAME_BYTES,  # quantum: equal turns among classes of one priority
            0,
            priority,
        ),
    )
    for kind, value in ((_HTB_RATE64, rate), (_HTB_CEIL64, ceil)):
        if value > _MAX_U32:
            options += nl.attr(kind, struct.pack("=Q", value))
    body = (
        _TCMSG.pack(0, 0, port.ifindex, _HTB | minor, parent, 0)
        + nl.text(_KIND, "htb")
        + nl.attr(_OPTIONS, options)
    )
    return Request(nl.RTM_NEWTCLASS, nl.CREATE, body, f"{about} (htb class)")


def _netem(delay_ns: int, rate_bps: int | None, limit: int, loss: float) -> bytes:
    options = _NETEM.pack(0, limit, round(loss * _MAX_U32), 0, 0, 0)
    options += nl.attr(_NETEM_DELAY64, struct.pack("=q", delay_ns))
    if rate_bps is not None:
        rate = rate_bps // 8
        options += nl.attr(_NETEM_RATE, struct.pack("=IiIi", min(rate, _MAX_U32), 0, 0, 0))
        if rate > _MAX_U32:
            options += nl.attr(_NETEM_RATE64, struct.pack("=Q", rate))
    return options


def _burst_bytes(rate_bps: int) -> int:
    return max(2 * _FULL_FRAME_BYTES, rate_bps * _BURST_NS // 8_000_000_000)


def _ticks(size_bytes: int, rate: int) -> int:
    return min(_MAX_U32, -(-size_bytes * 1_000_000_000 // (rate * TICK_NS)))


# Decoding


@dataclass
class _Seen:
    """What a dump says of one interface, by parent."""

    kinds: dict[int, str] = field(default_factory=dict)
    options: dict[int, bytes] = field(default_factory=dict)
    stats: dict[int, bytes] = field(default_factory=dict)
    classes: dict[int, bytes] = field(default_factory=dict)


def _dump(link: nl.Netlink, ports: Mapping[int, Port]) -> dict[int, _Seen]:
    seen = {index: _Seen() for index in ports}
    for data in link.dump(nl.RTM_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0, 0)):
        _, _, index, _, parent, _ = _TCMSG.unpack_from(data)
        if index in seen:
            found = nl.attrs(data[_TCMSG.size :])
            seen[index].kinds[parent] = found[_KIND].rstrip(b"\0").decode()
            seen[index].options[parent] = found.get(_OPTIONS, b"")
            seen[index].stats[parent] = found.get(_STATS2, b"")
    for index, one in seen.items():
        if one.kinds.get(_ROOT) == "htb":
            for data in link.dump(nl.RTM_GETTCLASS, _TCMSG.pack(0, 0, index, 0, 0, 0)):
                handle = _TCMSG.unpack_from(data)[3]
                one.classes[handle & 0xFFFF] = nl.attrs(data[_TCMSG.size :])[_OPTIONS]
    return seen


def read(link: nl.Netlink, ports: Iterable[Port]) -> dict[str, PortShape]:
    """What the kernel has on the ports of the socket's namespace, by interface name."""
    by_index = {port.ifindex: port for port in ports}
    return {
        by_index[index].name: _decode(by_index[index], seen)
        for index, seen in _dump(link, by_index).items()
    }


def _decode(port: Port, seen: _Seen) -> PortShape:
    kind = seen.kinds.get(_ROOT)
    if kind in (None, "noqueue"):
        return PortShape()
    if kind == "netem":
        delay_ns, rate_bps, limit, loss = _netem_values(seen.options[_ROOT])
        return PortShape(delay_ns=delay_ns, rate_bps=rate_bps, limit_packets=limit, loss=loss)
    if kind == port_qdisc.KIND:
        return port_qdisc.shape(port_qdisc.decode(seen.options[_ROOT]), shape(port))
    if kind != "htb":
        raise EmulationError(
            f"port {port.name} has the queueing discipline {kind!r}",
            expected="port, netem or htb, or none",
            remedy="leave the lab's qdiscs to the testbed",
        )
    queues = []
    port_rate = None
    default = struct.unpack_from("=5I", nl.attrs(seen.options[_ROOT])[_HTB_INIT])[2]
    for minor, options in sorted(seen.classes.items()):
        rate_bps, ceil_bps, priority, burst_bytes = _class_values(options)
        if minor == _PORT_CLASS:
            port_rate = rate_bps
            continue
        parent = _HTB | minor
        if seen.kinds.get(parent) == "netem":
            delay_ns, serial_bps, limit, loss = _netem_values(seen.options[parent])
        else:
            delay_ns, serial_bps, limit, loss = 0, None, 0, 0.0
        queues.append(
            QueueShape(
                id=minor - 1,
                rate_bps=rate_bps,
                ceil_bps=ceil_bps,
                priority=priority,
                burst_bytes=burst_bytes,
                delay_ns=delay_ns,
                serial_bps=serial_bps or 0,
                limit_packets=limit,
                loss=loss,
            )
        )
    return PortShape(rate_bps=port_rate, default_queue=default - 1, queues=tuple(queues))


def _netem_values(options: bytes) -> tuple[int, int | None, int, float]:
    """Delay ns, rate bit/s, limit packets, loss."""
    ticks, limit, loss, _, _, _ = _NETEM.unpack_from(options)
    found = nl.attrs(options[_NETEM.size :])
    exact = found.get(_NETEM_DELAY64)
    delay_ns = struct.unpack("=q", exact)[0] if exact else ticks * TICK_NS
    rate = struct.unpack_from("=I", found.get(_NETEM_RATE, bytes(4)))[0]
    if _NETEM_RATE64 in found:
        rate = struct.unpack("=Q", found[_NETEM_RATE64])[0]
    return delay_ns, rate * 8 or None, limit, loss / _MAX_U32


def _class_values(options: bytes) -> tuple[int, int, int, int]:
    """Rate bit/s, ceil bit/s, priority, burst bytes."""
    found = nl.attrs(options)
    parms = _HTB_CLASS.unpack(found[_HTB_PARMS][: _HTB_CLASS.size])
    rate, ceil, burst_ticks, priority = parms[5], parms[11], parms[12], parms[16]
    if _HTB_RATE64 in found:
        rate = struct.unpack("=Q", found[_HTB_RATE64])[0]
    if _HTB_CEIL64 in found:
        ceil = struct.unpack("=Q", found[_HTB_CEIL64])[0]
    return rate * 8, ceil * 8, priority, burst_ticks * TICK_NS * rate // 1_000_000_000


def verify(port: Port, got: PortShape) -> None:
    """Raises EmulationError if the kernel does not shape `port` as the plan asks."""
    wrong = differences(shape(port), got)
    if wrong:
        raise EmulationError(
            f"port {port.name} is not shaped as asked",
            where=f"{port.node} towards {port.peer_node}",
            expected="; ".join(wrong),
            remedy="see that nothing else sets qdiscs in the lab, and that rate, delay and "
            "limit are within what tc-netem(8) and tc-htb(8) can do",
        )


def counters(link: nl.Netlink, ports: Iterable[Port]) -> dict[str, PortCounters]:
    """Packets, bytes, drops and overlimits per shaped port of the socket's namespace."""
    by_index = {port.ifindex: port for port in ports}
    found = {}
    for index, seen in _dump(link, by_index).items():
        port = by_index[index]
        if not seen.stats.get(_ROOT):
            continue
        root = _counted(seen.stats[_ROOT])
        found[port.name] = PortCounters(
            node=port.node,
            name=port.name,
            **root,
            queues=tuple(_queue_counters(seen)),
        )
    return found


def _queue_counters(seen: _Seen) -> Iterator[QueueCounters]:
    for parent, stats in sorted(seen.stats.items()):
        if parent != _ROOT:
            yield QueueCounters(id=(parent & 0xFFFF) - 1, **_counted(stats))
    if seen.kinds.get(_ROOT) != port_qdisc.KIND:
        return
    for own in port_qdisc.statistics(seen.stats[_ROOT]):
        yield QueueCounters(
            id=own.id,
            packets=own.packets,
            sent_bytes=own.bytes,
            drops=own.drops,
            overlimits=0,
            backlog_packets=own.backlog_packets,
        )


def _counted(stats: bytes) -> dict[str, int]:
    """gnet_stats_basic (1), gnet_stats_queue (3) and 64-bit packets (8)."""
    found = nl.attrs(stats)
    sent_bytes, packets = struct.unpack_from("=QI", found[1])
    if 8 in found:
        packets = struct.unpack("=Q", found[8])[0]
    qlen, _, drops, _, overlimits = struct.unpack_from("=5I", found[3])
    return {
        "packets": packets,
        "sent_bytes": sent_bytes,
        "drops": drops,
        "overlimits": overlimits,
        "backlog_packets": qlen,
    }
