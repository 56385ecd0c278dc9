"""Which loads were not sent as planned, from the plan and 6-loads.json.

    nothing sent     it was not started, or ended with an error before its first packet
    cut off          one of its processes was killed
    burst            a packet of the first 10 ms left before its schedule had it due; of `udp`
                     and `flood`, whose packets the kernel stamped as they left
    late start       the first packet left more than 10 ms after its moment; of those two
    early end        it ended more than 10 ms before its end and that of the last probe or of
                     a run that was cut short, TCP more than RATE_SHARE of its duration
    late end         the last packet left more than 10 ms after its end; of those two
    not counted      the run was cut short before what its loads sent was written down
    rate             as many bytes as its rate asks for in the time it ran, to RATE_SHARE and
                     a packet; TCP sends less when the network has no room for more, so it
                     only must not send more. Nobody plans its packets, and iperf3 does not
                     tell when they left: its first 10 ms are not checked (`unchecked`)

A network that carried less than was planned meets no deadline, and one that carried more
misses none: see `fidelity.doubt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

from testbed.plan.model import Load, Plan
from testbed.scenario.model import Frozen
from testbed.traffic.kinds import KINDS
from testbed.units import show_bps, show_ns

Way = Literal["less", "more", "unknown"]

RATE_SHARE = 0.05
FIRST_NS = 10_000_000


class Deviation(Frozen, frozen=True, kw_only=True):
    """How a load differed from its plan."""

    load: str
    way: Way
    what: str
    """In words, after the load's name."""
    hops: frozenset[tuple[str, str]] = frozenset()
    """Of its path, where verdicts rest on it."""


def deviations(plan: Plan, rows: Any, reached_ns: int | None = None) -> tuple[Deviation, ...]:
    """What 6-loads.json says of a plan's loads; nothing where there is no such file.

    Args:
        reached_ns: how much of a run that was cut short was measured.
    """
    told: dict[str, dict[str, Any]] = {}
    if rows is not None:
        told |= {load.id: {} for load in plan.loads}
        told |= {row["id"]: row for row in rows}
    measured_ns = max((s.start_ns + s.interval_ns * s.count for s in plan.sessions), default=0)
    if reached_ns is not None:
        measured_ns = min(measured_ns, reached_ns)
    if rows is None and reached_ns is None:
        return ()
    return tuple(
        Deviation(load=load.id, way=way, what=what, hops=frozenset(pairwise(load.path.nodes)))
        for load in plan.loads
        if load.start_ns < measured_ns or not plan.sessions
        for way, what in _of(load, told.get(load.id), measured_ns)
    )


def unchecked(plan: Plan) -> tuple[str, ...]:
    """Loads of which it is not known when each packet left, nor asked for."""
    return tuple(load.id for load in plan.loads if KINDS[load.kind].elastic)


def _of(load: Load, row: dict[str, Any] | None, measured_ns: int) -> Iterator[tuple[Way, str]]:
    if row is None:
        yield "unknown", "was not counted: the run was cut short before"
        return
    sent, seconds = row.get("sent_bytes"), row.get("seconds")
    if sent is None and row.get("cut_off_ns") is not None:
        yield "less", f"was cut off, and what it had sent is not known: {row['error']}"
        return
    if not sent or not seconds:
        yield "less", f"sent nothing: {row.get('error') or 'it was not started'}"
        return
    ahead, first_ns = row.get("ahead_packets"), row.get("first_ns")
    if ahead is not None and ahead > 0:
        packets = "1 packet" if ahead == 1 else f"{ahead:,} packets"
        yield "more", f"was {packets} ahead of its rate in its first {show_ns(FIRST_NS)}"
    if first_ns is not None and first_ns > FIRST_NS:
        yield "less", f"began {show_ns(first_ns)} late"
    due_ns = min(load.duration_ns, measured_ns - load.start_ns)
    slack_ns = RATE_SHARE * load.duration_ns if KINDS[load.kind].elastic else FIRST_NS
    early_ns = round(due_ns - seconds * 1e9)
    if early_ns > slack_ns:
        because = f": {row['error']}" if row.get("error") else ""
        yield "less", f"ended {show_ns(early_ns)} early{because}"
    late_ns = (row.get("last_ns") or 0) - load.duration_ns
    if late_ns > FIRST_NS:
        yield "less", f"ended {show_ns(late_ns)} late"
    asked = load.rate_bps / 8 * seconds
    off = RATE_SHARE * asked + load.packet_bytes
    rates = f"sent {show_bps(round(8 * sent / seconds))} of {show_bps(load.rate_bps)} asked"
    if sent > asked + off:
        yield "more", rates
    elif sent < asked - off and not KINDS[load.kind].elastic:
        yield "less", rates
