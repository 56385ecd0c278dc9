"""The lab kernel's `port` qdisc over netlink: options, and what it counted.

Pure functions; the wire format is that of kernel/sch_port.c. A port is set by an
RTM_NEWQDISC message of kind "port" whose TCA_OPTIONS are `encode(...)`, and read back
from a dump with `decode(TCA_OPTIONS)` and `statistics(TCA_STATS2 / TCA_STATS_APP)`.
"""

from __future__ import annotations

import struct
from typing import Literal

from testbed.emulation.netlink import attr, attrs
from testbed.errors import EmulationError
from testbed.scenario.model import Frozen

KIND = "port"
_PARMS, _QUEUES, _SOURCES, _GATES, _POLICERS = 1, 2, 3, 4, 5
_STATS_APP = 4  # linux/gen_stats.h

_PARMS_STRUCT = struct.Struct("=QQQQIiII")
_QUEUE = struct.Struct("=IIIIQQQII")
_SOURCE = struct.Struct("=QQQQIIII8I")
_GATE = struct.Struct("=QQ")
_POLICER = struct.Struct("=QII")
_STATISTICS = struct.Struct("=IIII12Q")
_ARRIVALS: tuple[Literal["periodic", "poisson"], ...] = ("periodic", "poisson")
_SIZES = 4
_CERTAIN = 2**32

MAX_QUEUES = MAX_POLICERS = MAX_SOURCES = 64
MAX_GATES = 256

DEFAULT_QUANTUM_BYTES = 1514
"""A full Ethernet frame: a queue's share of its level goes with its quantum."""


class PortQueue(Frozen, frozen=True, kw_only=True):
    """A queue. OpenFlow `set_queue: id` selects it."""

    id: int
    level: int = 0
    """0 is served first; queues of one level share by their quantum."""
    quantum_bytes: int = DEFAULT_QUANTUM_BYTES
    limit_packets: int = 1000
    """Packets that may wait; the one in transmission does not count."""
    limit_bytes: int = 0
    """0: packets only."""
    promised_bps: int = 0
    """Served first, of whatever level, when it has lately had less; 0: no promise."""
    burst_bytes: int = 2 * DEFAULT_QUANTUM_BYTES
    """How much of its promise a queue may save up."""
    peak_bps: int = 0
    """Its packets begin no faster than at this rate; 0: the port's."""


class PortSource(Frozen, frozen=True, kw_only=True):
    """Modelled background: packets that are only counted, and delay real ones."""

    queue: int = 0
    rate_bps: int
    """Of the packets' own bytes, without the port's overhead."""
    sizes: tuple[tuple[int, int], ...] = ((1514, 1),)
    """(bytes, weight), at most four."""
    arrivals: Literal["periodic", "poisson"] = "poisson"
    burst: int = 1
    """Packets that arrive together."""
    seed: int = 0
    start_ns: int = 0
    """CLOCK_MONOTONIC of the lab; when it is set, if that is later."""
    stop_ns: int = 0
    """0: never."""


class PortGate(Frozen, frozen=True, kw_only=True):
    """A part of the cycle (IEEE 802.1Q-2022 8.6.8.4)."""

    interval_ns: int
    open: tuple[int, ...]
    """Queues that may send, if they have sent the whole packet before their gate closes;
    by number, in the port's order."""


class PortPolicer(Frozen, frozen=True, kw_only=True):
    """Drops, before they wait, packets beyond a token bucket of what selects queue `id`."""

    id: int
    """There need be no such queue: then the packets wait in the default queue."""
    rate_bps: int
    """Committed; of packets without the port's overhead."""
    burst_bytes: int


class PortOptions(Frozen, frozen=True, kw_only=True):
    """One direction of a link."""

    rate_bps: int
    """0: infinitely fast."""
    delay_ns: int = 0
    """Propagation, one-way."""
    overhead_bytes: int = 0
    """What each packet takes on the wire beyond its Ethernet frame without FCS."""
    loss: float = 0.0
    """Probability of loss on the fibre."""
    seed: int = 0
    """Of the losses."""
    default_queue: int = 0
    queues: tuple[PortQueue, ...] = (PortQueue(id=0),)
    sources: tuple[PortSource, ...] = ()
    gates: tuple[PortGate, ...] = ()
    """One cycle; empty: all queues are always open."""
    gate_base_ns: int = 0
    """CLOCK_MONOTONIC: a cycle begins here, and as often as need be before and after."""
    policers: tuple[PortPolicer, ...] = ()


class PortQueueStatistics(Frozen, frozen=True, kw_only=True):
    """What one queue has seen."""

    id: int
    backlog_packets: int
    max_backlog_packets: int
    backlog_bytes: int
    max_backlog_bytes: int
    packets: int
    """Whose transmission has begun."""
    bytes: int
    drops: int
    wait_ns: int
    """Sum over packets, from arrival to transmission."""
    background_packets: int
    background_bytes: int
    background_drops: int
    background_wait_ns: int
    policed: int
    """Dropped by a policer before; not among the drops."""
    background_policed: int


def encode(port: PortOptions) -> bytes:
    """The value of TCA_OPTIONS. Raises EmulationError for what the wire cannot carry."""
    if not 0 <= port.loss <= 1:
        raise EmulationError(f"loss {port.loss} is no probability", expected="0 to 1")
    loss = min(round(port.loss * _CERTAIN), _CERTAIN - 1)
    try:
        return b"".join(
            (
                attr(
                    _PARMS,
                    _PARMS_STRUCT.pack(
                        port.rate_bps,
                        port.delay_ns,
                        port.seed,
                        port.gate_base_ns,
                        loss,
                        port.overhead_bytes,
                        port.default_queue,
                        0,
                    ),
                ),
                attr(_QUEUES, b"".join(map(_encode_queue, port.queues))),
                attr(_POLICERS, b"".join(map(_encode_policer, port.policers))),
                attr(_SOURCES, b"".join(map(_encode_source, port.sources))),
                attr(_GATES, b"".join(_encode_gate(gate, port.queues) for gate in port.gates)),
            )
        )
    except struct.error as error:
        raise EmulationError(
            f"a port cannot be set as asked: {error}", where=str(port), expected="64-bit values"
        ) from None


def _encode_queue(queue: PortQueue) -> bytes:
    return _QUEUE.pack(
        queue.id,
        queue.level,
        queue.quantum_bytes,
        queue.limit_packets,
        queue.limit_bytes,
        queue.promised_bps,
        queue.peak_bps,
        queue.burst_bytes,
        0,
    )


def _encode_source(source: PortSource) -> bytes:
    if not 1 <= len(source.sizes) <= _SIZES:
        raise EmulationError(
            f"background has {len(source.sizes)} packet sizes", expected=f"1 to {_SIZES}"
        )
    sizes = [value for pair in source.sizes for value in pair]
    sizes += [0] * (2 * _SIZES - len(sizes))
    return _SOURCE.pack(
        source.rate_bps,
        source.seed,
        source.start_ns,
        source.stop_ns,
        source.queue,
        _ARRIVALS.index(source.arrivals),
        source.burst,
        0,
        *sizes,
    )


def _encode_policer(policer: PortPolicer) -> bytes:
    return _POLICER.pack(policer.rate_bps, policer.id, policer.burst_bytes)


def _encode_gate(gate: PortGate, queues: tuple[PortQueue, ...]) -> bytes:
    ids = [queue.id for queue in queues]
    strange = set(gate.open) - set(ids)
    if strange:
        raise EmulationError(f"a gate names queues {sorted(strange)}", expected=f"some of {ids}")
    return _GATE.pack(gate.interval_ns, sum(1 << ids.index(id_) for id_ in gate.open))


def decode(options: bytes) -> PortOptions:
    """What the kernel has, from a dump's TCA_OPTIONS."""
    found = attrs(options)
    rate, delay, seed, gate_base, loss, overhead, default, _ = _PARMS_STRUCT.unpack(found[_PARMS])
    queues = tuple(map(_decode_queue, _QUEUE.iter_unpack(found[_QUEUES])))
    return PortOptions(
        rate_bps=rate,
        delay_ns=delay,
        seed=seed,
        loss=loss / _CERTAIN,
        overhead_bytes=overhead,
        default_queue=default,
        queues=queues,
        sources=tuple(map(_decode_source, _SOURCE.iter_unpack(found.get(_SOURCES, b"")))),
        gates=tuple(
            PortGate(
                interval_ns=interval,
                open=tuple(queue.id for place, queue in enumerate(queues) if mask >> place & 1),
            )
            for interval, mask in _GATE.iter_unpack(found.get(_GATES, b""))
        ),
        gate_base_ns=gate_base,
        policers=tuple(
            PortPolicer(id=id_, rate_bps=rate_bps, burst_bytes=burst)
            for rate_bps, id_, burst in _POLICER.iter_unpack(found.get(_POLICERS, b""))
        ),
    )


def _decode_queue(values: tuple[int, ...]) -> PortQueue:
    id_, level, quantum, packets, limit_bytes, promised, peak, burst, _ = values
    return PortQueue(
        id=id_,
        level=level,
        quantum_bytes=quantum,
        limit_packets=packets,
        limit_bytes=limit_bytes,
        promised_bps=promised,
        peak_bps=peak,
        burst_bytes=burst,
    )


def _decode_source(values: tuple[int, ...]) -> PortSource:
    rate, seed, start, stop, queue, arrivals, burst, _, *sizes = values
    pairs = zip(sizes[::2], sizes[1::2], strict=True)
    return PortSource(
        rate_bps=rate,
        seed=seed,
        start_ns=start,
        stop_ns=stop,
        queue=queue,
        arrivals=_ARRIVALS[arrivals],
        burst=burst,
        sizes=tuple((size, weight) for size, weight in pairs if weight),
    )


def statistics(stats2: bytes) -> tuple[PortQueueStatistics, ...]:
    """Per queue, from a dump's TCA_STATS2."""
    found = attrs(stats2).get(_STATS_APP, b"")
    return tuple(
        PortQueueStatistics(
            id=values[0],
            backlog_packets=values[1],
            max_backlog_packets=values[2],
            backlog_bytes=values[4],
            max_backlog_bytes=values[5],
            packets=values[6],
            bytes=values[7],
            drops=values[8],
            wait_ns=values[9],
            background_packets=values[10],
            background_bytes=values[11],
            background_drops=values[12],
            background_wait_ns=values[13],
            policed=values[14],
            background_policed=values[15],
        )
        for values in _STATISTICS.iter_unpack(found)
    )
