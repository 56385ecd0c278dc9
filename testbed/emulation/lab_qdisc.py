"""A port from the lab kernel's `port`: one qdisc that is the port as the plan has it.

    plan                    port
    rate_bps                rate
    delay_ns                delay, after the last bit has left
    buffer_packets          limit of each queue: packets that wait
    Queue.priority          level, served strictly in order
    Queue.rate_bps          promised rate
    Queue.ceil_bps          peak rate, where it is less than the port's
    loss, seed              loss on the fibre, by seeded numbers
    gates, policers         the same

The plan's delay is propagation and the node's forwarding delay together. Forwarding
comes before the queue in a real switch and is with the fibre here. As it is the same
for all packets of a port, it moves all arrivals at the queue alike, and so changes
neither their order, nor who is dropped, nor when they are at the other end.

A port without queues has one queue, 0, which takes all packets.

Modelled background and gates are set by their times on the lab's clock. A plan counts from
the start of traffic, which nobody knows when ports are made: a port is made `silent`, and
is `begun` when the start is known, which changes nothing else of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from testbed.emulation import port_qdisc, tc
from testbed.emulation.netlink import Request
from testbed.emulation.port_qdisc import (
    PortGate,
    PortOptions,
    PortPolicer,
    PortQueue,
    PortSource,
)
from testbed.emulation.readback import PortShape, QueueCounters, QueueShape
from testbed.plan.model import Port


def silent(port: Port) -> Port:
    """The port without its background."""
    return msgspec.structs.replace(port, sources=()) if port.sources else port


def timed(port: Port) -> bool:
    """Whether anything of the port depends on when traffic starts."""
    return bool(port.sources or port.gates)


def begun(port: Port, start_ns: int) -> Port:
    """The port with its background, traffic starting at `start_ns` (CLOCK_MONOTONIC)."""
    return msgspec.structs.replace(
        port,
        gate_base_ns=start_ns + port.gate_base_ns if port.gates else 0,
        sources=tuple(
            msgspec.structs.replace(
                source, start_ns=start_ns + source.start_ns, stop_ns=start_ns + source.stop_ns
            )
            for source in port.sources
        ),
    )


def options(port: Port) -> PortOptions:
    """A plan's port in the kernel's terms."""
    queues = tuple(
        PortQueue(
            id=queue.id,
            level=queue.priority,
            limit_packets=queue.buffer_packets,
            promised_bps=queue.rate_bps,
            peak_bps=0 if queue.ceil_bps == port.rate_bps else queue.ceil_bps,
        )
        for queue in port.queues
    )
    return PortOptions(
        rate_bps=port.rate_bps or 0,
        delay_ns=port.delay_ns,
        loss=port.loss,
        seed=port.seed,
        queues=queues or (PortQueue(id=0, limit_packets=port.buffer_packets),),
        sources=tuple(
            PortSource(
                queue=source.queue,
                rate_bps=source.rate_bps,
                sizes=source.sizes,
                arrivals=source.arrivals,
                burst=source.burst,
                seed=source.seed,
                start_ns=source.start_ns,
                stop_ns=source.stop_ns,
            )
            for source in port.sources
        ),
        gates=tuple(PortGate(interval_ns=gate.interval_ns, open=gate.open) for gate in port.gates),
        gate_base_ns=port.gate_base_ns,
        policers=tuple(
            PortPolicer(
                id=policer.queue, rate_bps=policer.rate_bps, burst_bytes=policer.burst_bytes
            )
            for policer in port.policers
        ),
    )


def shape(port: Port) -> PortShape:
    """What is asked of a shaped port."""
    return _shape(options(port))


def requests(port: Port) -> Iterator[Request]:
    """What to ask of the kernel for a shaped port."""
    wanted = port_qdisc.encode(options(port))
    where = f"the queue of {port.name}"
    yield tc.qdisc(port.ifindex, tc.ROOT, tc.HANDLE, port_qdisc.KIND, wanted, where)


changes = requests
"""The kernel takes them at one moment, and keeps the packets that wait."""


def decode(seen: tc.Seen) -> PortShape:
    """What the kernel has on a port whose root is `port`."""
    return _shape(port_qdisc.decode(seen.options[tc.ROOT]))


def _shape(port: PortOptions) -> PortShape:
    return PortShape(
        discipline="port",
        delay_ns=port.delay_ns,
        rate_bps=port.rate_bps or None,
        overhead_bytes=port.overhead_bytes,
        loss=port.loss,
        seed=port.seed,
        default_queue=port.default_queue,
        queues=tuple(
            QueueShape(
                id=queue.id,
                rate_bps=queue.promised_bps,
                ceil_bps=queue.peak_bps or port.rate_bps,
                priority=queue.level,
                quantum_bytes=queue.quantum_bytes,
                burst_bytes=queue.burst_bytes,
                limit_packets=queue.limit_packets,
            )
            for queue in port.queues
        ),
        sources=port.sources,
        gates=port.gates,
        gate_base_ns=port.gate_base_ns,
        policers=port.policers,
    )


def queue_counters(seen: tc.Seen) -> tuple[QueueCounters, ...]:
    """Of each queue; packets and bytes are those whose transmission has begun."""
    return tuple(
        QueueCounters(
            id=queue.id,
            packets=queue.packets,
            sent_bytes=queue.bytes,
            drops=queue.drops,
            backlog_packets=queue.backlog_packets,
            max_backlog_packets=queue.max_backlog_packets,
            max_backlog_bytes=queue.max_backlog_bytes,
            wait_ns=queue.wait_ns,
            background_packets=queue.background_packets,
            background_bytes=queue.background_bytes,
            background_drops=queue.background_drops,
            background_wait_ns=queue.background_wait_ns,
            policed=queue.policed,
            background_policed=queue.background_policed,
        )
        for queue in port_qdisc.statistics(seen.stats[tc.ROOT])
    )
