"""A port from the lab kernel's `port`: one qdisc that is the port's stages as they are.

A port is set by an RTM_NEWQDISC message of kind "port" whose TCA_OPTIONS are `encode(...)`:
an attribute a stage, by the stage's own number and in its own form (testbed/port and the C
files of the same names in kernel/port). It is read back from a dump with `decode(TCA_OPTIONS)`
and `statistics(TCA_STATS2)`.

Modelled background and gates are set by their times on the lab's clock. A plan counts from
the start of traffic, which nobody knows when ports are made: a port is made `silent()`, and
is `begun()` when the start is known, which changes nothing else of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import cast

from testbed.emulation import tc
from testbed.emulation.netlink import Request, attr, attrs
from testbed.emulation.readback import PortShape, QueueCounters
from testbed.errors import EmulationError
from testbed.port.kinds import KINDS, AnyStage
from testbed.port.pipeline import Pipeline, Port
from testbed.port.queues import Queues
from testbed.port.stage import Stage
from testbed.port.wire import Record
from testbed.scenario.model import Frozen

KIND = "port"
_STATS_APP = 4  # linux/gen_stats.h
_STATISTICS = Record(
    *("I id", "I backlog_packets", "I max_backlog_packets", "4x"),
    *("Q backlog_bytes", "Q max_backlog_bytes", "Q packets", "Q bytes", "Q drops", "Q wait_ns"),
    *("Q background_packets", "Q background_bytes", "Q background_drops"),
    *("Q background_wait_ns", "Q policed", "Q background_policed"),
)


class QueueStatistics(Frozen, frozen=True, kw_only=True):
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


def encode(port: Pipeline) -> bytes:
    """The value of TCA_OPTIONS. Raises EmulationError for what the wire cannot carry."""
    ids = [queue.id for queue in port.served]
    whole = port.having(port.queueing, port.transmitter, port.channel)
    try:
        return b"".join(attr(stage.ATTRIBUTE, stage.encode(ids)) for stage in whole.stages)
    except struct.error as error:
        raise EmulationError(
            f"a port cannot be set as asked: {error}", where=str(port), expected="64-bit values"
        ) from None


def decode(options: bytes) -> Pipeline:
    """What the kernel has, from a dump's TCA_OPTIONS."""
    found = attrs(options)
    queues = Queues.decode(found[Queues.ATTRIBUTE], ())
    ids = [queue.id for queue in queues.queues]
    stages: list[Stage] = [
        kind.decode(found[kind.ATTRIBUTE], ids) for kind in KINDS if kind.ATTRIBUTE in found
    ]
    return Pipeline(stages=cast("tuple[AnyStage, ...]", tuple(stages)))


def statistics(stats2: bytes) -> tuple[QueueStatistics, ...]:
    """Per queue, from a dump's TCA_STATS2."""
    found = attrs(stats2).get(_STATS_APP, b"")
    return tuple(QueueStatistics(**values) for values in _STATISTICS.each(found))


def shape(port: Port) -> PortShape:
    """What is asked of a shaped port."""
    return PortShape(discipline="port", stages=port.stored().stages)


def requests(port: Port) -> Iterator[Request]:
    """What to ask of the kernel for a shaped port."""
    yield setting(port.ifindex, port, f"the queue of {port.name}")


changes = requests
"""The kernel takes them at one moment, and keeps the packets that wait."""


def setting(ifindex: int, port: Pipeline, about: str) -> Request:
    """Makes interface `ifindex` this port."""
    return tc.qdisc(ifindex, tc.ROOT, tc.HANDLE, KIND, encode(port), about)


def read(seen: tc.Seen) -> PortShape:
    """What the kernel has on a port whose root is `port`."""
    return PortShape(discipline="port", stages=decode(seen.options[tc.ROOT]).stages)


def queue_counters(seen: tc.Seen) -> tuple[QueueCounters, ...]:
    """Of each queue; packets and bytes are those whose transmission has begun."""
    return tuple(
        QueueCounters(
            id=queue.id,
            packets=queue.packets,
            sent_bytes=queue.bytes,
            drops=queue.drops,
            backlog_packets=queue.backlog_packets,
            backlog_bytes=queue.backlog_bytes,
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
        for queue in statistics(seen.stats[tc.ROOT])
    )
