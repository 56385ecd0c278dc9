"""Gates of a port whose slices are kept apart in time (IEEE 802.1Q-2022 8.6.8.4, 802.1Qbv).

    |- slice a -|-- slice b --|------ all others ------|- slice a -| ...
    |<------------------- cycle ---------------------->|

Each queue with a guaranteed rate has the port to itself for its share of the cycle and
the time of one full frame: a packet is not begun when it would end after its gate closes,
which wastes less than that frame. The rest, a twentieth of the cycle and a frame at least,
is for best effort and slices without a guarantee, by priority. So each is served at its
rate however much others send, and no faster.

Cycles begin with traffic at all ports together.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.errors import PlanError
from testbed.port.gates import Gate
from testbed.port.pipeline import Pipeline, Port
from testbed.port.queues import Queue
from testbed.scenario.model import DEFAULT_PACKET_BYTES
from testbed.units import show_bps, show_ns


def gate_cycle(
    port: Pipeline, rate_bps: int, queues: Sequence[Queue], cycle_ns: int
) -> tuple[Gate, ...]:
    """One cycle for queues with these rates, in their order; queue 0 is best effort.

    Raises PlanError if it does not fit in `cycle_ns`.
    """
    frame_ns = port.transmitter.sent_ns(DEFAULT_PACKET_BYTES)
    best, *others = queues
    kept = [queue for queue in others if queue.promised_bps]
    windows = [
        Gate(
            interval_ns=-(-queue.promised_bps * cycle_ns // rate_bps) + frame_ns,
            open=(queue.id,),
        )
        for queue in kept
    ]
    rest_ns = cycle_ns - sum(window.interval_ns for window in windows)
    if rest_ns < best.promised_bps * cycle_ns // rate_bps + frame_ns:
        raise _too_short(port, rate_bps, [best, *kept], cycle_ns, frame_ns)
    rest = tuple(queue.id for queue in queues if queue not in kept)
    return (*windows, Gate(interval_ns=rest_ns, open=rest))


def _too_short(
    port: Pipeline, rate_bps: int, kept: Sequence[Queue], cycle_ns: int, frame_ns: int
) -> PlanError:
    spare_bps = rate_bps - sum(queue.promised_bps for queue in kept)
    fewest_ns = len(kept) * (frame_ns + 1)
    remedy = "guarantee less: frames that may not be cut take the rest of the cycle"
    if spare_bps > 0:
        least_ns = -(-fewest_ns * rate_bps // spare_bps)
        remedy = f'scheduler("time_aware", cycle="{-(-least_ns // 1000)} us"), or guarantee less'
    name, link = "", ""
    if isinstance(port, Port):
        name, link = f" for port {port.name}", f"link {port.node} -> {port.peer_node}, "
    return PlanError(
        f"a cycle of {show_ns(cycle_ns)} is too short{name}",
        where=f"{link}{show_bps(rate_bps)}: "
        + ", ".join(f"{queue.name} {show_bps(queue.promised_bps)}" for queue in kept),
        expected=f"room for each one's rate and a full frame, {show_ns(frame_ns)}",
        remedy=remedy,
    )
