"""Guaranteed and maximum rates, and the MTU, held against what was sent and what arrived.

A rate is an average over WINDOW_NS (TS 23.501 clause 5.7.3.6: the averaging window over
which a guaranteed or maximum flow bit rate is calculated), of what frames take on an Ethernet
link, as ports count them: header, label, FCS, preamble and gap. A run that is shorter is one
window.

    guaranteed rate  On one link at least of a flow's path, what arrives by it of all the
                     slice's flows is the guaranteed rate, or what they offer if that is less,
                     whenever the flow loses packets beyond what the slice's loss allows. An
                     outage lowers the average of its window. It is shown where as much was
                     offered.
    maximum rate     On no link does more arrive, to a burst of the slice's policer, a message
                     and what waits in queues when a load ends. It is shown where more was
                     offered.
    MTU              A frame of this size, FCS included, arrived.

Of a load only its totals are known: they count as even over its time; one that lost packets
makes one window of all the loads' time. Modelled background only takes part: where
it is of the slice, what is missing may have been its due. A flow of a slice with connection
groups counts with those of its contract. What was under way when a run was cut short does
not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.cut import under_way
from testbed.analysis.terms import Held, Promise
from testbed.frames import (
    ETHERNET_OVERHEAD_BYTES,
    FCS_BYTES,
    LABEL_BYTES,
    TCP_HEADERS_BYTES,
    UDP_HEADERS_BYTES,
)
from testbed.net.legs import Leg
from testbed.net.paths import Path
from testbed.plan.model import Load, Plan, Session
from testbed.plan.traffic import MAX_PAYLOAD_BYTES
from testbed.scenario.model import Slice, Slo
from testbed.traffic.kinds import KINDS
from testbed.units import show_bps, show_ns

WINDOW_NS = 2_000_000_000
"""Of delay-critical and other GBR flows by default (TS 23.501 table 5.7.4-1)."""
TCP_SEGMENT_BYTES = 1448

Bits = NDArray[np.float64]
Window = tuple[int, int]


class Burst(NamedTuple):
    """What one message, or a load as a whole, is on the wire."""

    left_ns: Bits
    came_ns: Bits
    """Of those that arrived, the end; else when they were sent."""
    sent: Bits
    """Bits."""
    arrived: Bits


class Traffic(NamedTuple):
    """One direction of a session or a load."""

    id: str
    direction: str
    path: Path
    judged: bool
    """An application or a load sends this way, and not answers alone."""
    frame_bytes: int
    """The largest, FCS included."""
    arrived_whole: bool
    message_bits: float
    bursts: Burst | None = None
    even: tuple[int, int, float, float] | None = None
    """Of a load: from, to, bits sent, bits that arrived."""
    messages: int = 0

    def bits(self, windows: Sequence[Window], what: str) -> Bits:
        """Sent, arrived by when they were sent, or `came` by when they arrived; per window."""
        if self.even is not None:
            start, end, sent, arrived = self.even
            whole = sent if what == "sent" else arrived
            share = [max(0, min(end, b) - max(start, a)) / max(1, end - start) for a, b in windows]
            return whole * np.array(share)
        assert self.bursts is not None
        at = self.bursts.came_ns if what == "came" else self.bursts.left_ns
        weight = self.bursts.sent if what == "sent" else self.bursts.arrived
        order = np.argsort(at, kind="stable")
        total = np.concatenate([[0.0], np.cumsum(weight[order])])
        edge = np.searchsorted(at[order], np.array(windows, float).reshape(-1, 2))
        found: Bits = total[edge[:, 1]] - total[edge[:, 0]]
        return found


def rates(
    plan: Plan, slices: Iterable[Slice], samples: Mapping[Any, pd.DataFrame], loads: Any
) -> list[Promise]:
    """Rows of rates and MTU, for each session's judged direction and each load.

    Args:
        samples: of each session.
        loads: 6-loads.json.
    """
    found = [*_sessions(plan, samples), *_loads(plan, loads)]
    told = {row["id"] for row in loads or ()}
    unknown = {load.slice: load.id for load in plan.loads if load.id not in told}
    by_id = {slice_.id: slice_ for slice_ in slices}
    rows: list[Promise] = []
    for flow in found:
        slice_ = by_id.get(flow.path.slice)
        slo = slice_.promised(flow.path.src, flow.path.dst) if slice_ is not None else None
        if slice_ is None or slo is None or not flow.judged:
            continue
        peers = [
            other
            for other in found
            if other.path.slice == flow.path.slice
            and (not slice_.groups or _ends(other.path) == _ends(flow.path))
        ]
        rows += _rows(plan, flow, peers, slo, unknown.get(slice_.id))
    return rows


def _ends(path: Path) -> tuple[str, str]:
    return path.src, path.dst


def _rows(
    plan: Plan, flow: Traffic, peers: Sequence[Traffic], slo: Slo, unknown: str | None
) -> Iterator[Promise]:
    """Those of a flow; `unknown` is a load of the slice of which no totals are known."""

    def row(term: Any, asked: float, found: float | None, held: Held, why: str) -> Promise:
        return Promise(
            slice=flow.path.slice,
            session=flow.id,
            direction=flow.direction,
            term=term,
            asked=asked,
            found=found,
            messages=flow.messages,
            held=held,
            condition=why,
        )

    windows = _windows(plan, peers)
    lacking = (None, "not shown", f"what load {unknown} sent is not known")
    if asked := slo.guaranteed_bps:
        judged = _guaranteed(plan, flow, peers, slo, windows)
        yield row("guaranteed rate", asked, *(lacking if unknown else judged))
    if slo.maximum_bps is not None:
        judged = _maximum(plan, flow, peers, slo.maximum_bps, windows)
        yield row("maximum rate", slo.maximum_bps, *(lacking if unknown else judged))
    if slo.mtu_bytes is not None:
        yield row("MTU", slo.mtu_bytes, flow.frame_bytes, *_mtu(flow, slo.mtu_bytes))


def _windows(plan: Plan, peers: Sequence[Traffic]) -> list[Window]:
    """Whole windows from the warm-up to the end, the last one up to the end."""
    lossy = [even for flow in peers if (even := flow.even) is not None and even[3] < even[2]]
    if lossy:
        return [(min(even[0] for even in lossy), max(even[1] for even in lossy))]
    begin = max((session.warmup_ns for session in plan.sessions), default=0)
    end = max(begin + 1, plan.duration_ns)
    if end - begin <= WINDOW_NS:
        return [(begin, end)]
    starts = [*range(begin, end - WINDOW_NS, WINDOW_NS), end - WINDOW_NS]
    return [(start, start + WINDOW_NS) for start in starts]


def _over(windows: Sequence[Window]) -> str:
    return f"over {(windows[0][1] - windows[0][0]) / 1e9:.3g} s"


def _crossing(flow: Traffic, peers: Sequence[Traffic], windows: Sequence[Window], what: str) -> Any:
    """Rate of all peers on each link of a flow's path: links x windows, bit/s."""
    seconds = np.array([(b - a) / 1e9 for a, b in windows])
    return np.array(
        [
            sum(
                peer.bits(windows, what) for peer in peers if link in set(pairwise(peer.path.nodes))
            )
            / seconds
            for link in pairwise(flow.path.nodes)
        ]
    )


def _guaranteed(
    plan: Plan, flow: Traffic, peers: Sequence[Traffic], slo: Slo, windows: Sequence[Window]
) -> tuple[float, Held, str]:
    asked, loss = slo.guaranteed_bps, slo.loss or 0.0
    seconds = np.array([(b - a) / 1e9 for a, b in windows])
    grain = 2 * flow.message_bits / seconds  # a message or two may be of the next window
    offered = _crossing(flow, peers, windows, "sent").max(axis=0)
    arrived = _crossing(flow, peers, windows, "arrived").max(axis=0)
    sent, came = flow.bits(windows, "sent"), flow.bits(windows, "arrived")
    owed = np.minimum(asked, offered)
    short = (came < (1 - loss) * sent) & (arrived + grain < (1 - loss) * owed)
    over = _over(windows)
    if short.any():
        worst = int(np.argmin(np.where(short, arrived, np.inf)))
        if any(
            source.slice == flow.path.slice
            for node, peer in pairwise(flow.path.nodes)
            for source in plan.port(node, peer).sources
        ):
            why = "its modelled background, of which nothing arrives, may have had the rest"
            return float(arrived[worst]), "not shown", why
        begin, end = windows[worst]
        events = [event.text for event in plan.events if begin <= event.at_ns < end]
        during = f", with {' and '.join(events)}" if events else ""
        why = f"{show_bps(offered[worst])} was offered, {over} from {show_ns(begin)} on{during}"
        return float(arrived[worst]), "broken", why
    full = (offered > 0) & (offered + grain >= asked)
    if full.any():
        return float(arrived[full].min()), "kept", over
    most = float(offered.max())
    more = show_bps(asked - most)
    why = f"only {show_bps(most)} was offered {over}: add a flow of {more} to the slice"
    return float(arrived.max()), "not shown", why


def _maximum(
    plan: Plan, flow: Traffic, peers: Sequence[Traffic], asked: int, windows: Sequence[Window]
) -> tuple[float, Held, str]:
    seconds = np.array([(b - a) / 1e9 for a, b in windows])
    bursts = [
        policer.burst_bytes
        for node, peer in pairwise(flow.path.nodes)
        for policer in plan.port(node, peer).policers
        if policer.queue == flow.path.queue
    ]
    message = max(peer.message_bits for peer in peers)
    waiting = sum(_waiting(plan, peer) for peer in peers if peer.even is not None)
    room = (8 * max(bursts, default=0) + message) / seconds
    offered = _crossing(flow, peers, windows, "sent").max(axis=0)
    came = _crossing(flow, peers, windows, "came").max(axis=0)
    over, most, tried = _over(windows), float(came.max()), float(offered.max())
    if (came > asked + room + waiting / seconds).any():
        return most, "broken", f"more arrived, {over}"
    if (offered > asked + room).any():
        late = ", and what waited in queues at the end came later" if most > asked else ""
        return most, "kept", f"{show_bps(tried)} was offered, {over}{late}"
    more = show_bps(max(0.0, asked - tried))
    why = f"only {show_bps(tried)} was offered {over}: add a flow of more than {more} to the slice"
    return most, "not shown", why


def _waiting(plan: Plan, load: Traffic) -> float:
    """Bits of a load that may still wait in the queues of its path when it ends."""
    packets = 0
    for node, peer in pairwise(load.path.nodes):
        port = plan.port(node, peer)
        own = [queue.limit_packets for queue in port.queues if queue.id == load.path.queue]
        packets += own[0] if own else port.buffer_packets
    return packets * load.message_bits


def _mtu(flow: Traffic, asked: int) -> tuple[Held, str]:
    size = flow.frame_bytes
    if flow.bursts is not None and not flow.bursts.sent.any():
        return "not shown", "nothing was sent"
    if size < asked:
        return "not shown", f"the largest frame sent was {size} B: {_larger(asked)}"
    if flow.arrived_whole:
        return "kept", f"frames of {size} B arrived"
    return "broken", f"no frame of {size} B arrived"


def _larger(asked: int) -> str:
    """What would send a frame of that size."""
    around = UDP_HEADERS_BYTES + FCS_BYTES
    if asked > MAX_PAYLOAD_BYTES + around:
        return f"the lab sends none over {MAX_PAYLOAD_BYTES + around} B"
    return f'add a flow with packet="{asked - around} B" to the slice'


def _label(path: Path) -> int:
    return LABEL_BYTES if path.label is not None else 0


def _sessions(plan: Plan, samples: Mapping[Any, pd.DataFrame]) -> Iterator[Traffic]:
    for session in plan.sessions:
        if session.id in samples:
            rows = samples[session.id]
            there, back = session.legs
            yield _forward(session, there, rows)
            yield _reverse(session, back, rows)


def _forward(session: Session, leg: Leg, rows: pd.DataFrame) -> Traffic:
    rows = rows[~under_way("forward", rows)]
    path, fragments = leg.path, session.fragments
    head = UDP_HEADERS_BYTES + _label(path) + ETHERNET_OVERHEAD_BYTES
    last, lead = 8.0 * (session.size_bytes + head), 8.0 * (session.fragment_bytes + head)
    answered = rows["answered"].to_numpy(float)
    sent = np.full(len(rows), last + (fragments - 1) * lead)
    arrived = answered * last + (rows["arrived"].to_numpy(float) - answered) * lead
    largest = session.fragment_bytes if fragments > 1 else session.size_bytes
    return Traffic(
        id=session.id,
        direction=leg.called,
        path=path,
        judged=session.judged != ("reverse",),
        frame_bytes=largest + UDP_HEADERS_BYTES + FCS_BYTES,
        arrived_whole=bool((~rows["lost_forward"]).any()),
        message_bits=float(last + (fragments - 1) * lead),
        bursts=_burst(rows, "forward_ns", sent, arrived),
        messages=len(rows),
    )


def _reverse(session: Session, leg: Leg, rows: pd.DataFrame) -> Traffic:
    rows = rows[~under_way("reverse", rows)]
    path = leg.path
    frame = session.size_bytes + UDP_HEADERS_BYTES
    bits = 8.0 * (frame + _label(path) + ETHERNET_OVERHEAD_BYTES)
    answered, received = rows["answered"].to_numpy(float), rows["received"].to_numpy(float)
    return Traffic(
        id=session.id,
        direction=leg.called,
        path=path,
        judged=bool({"reverse", "rtt"} & set(session.judged)),
        frame_bytes=frame + FCS_BYTES,
        arrived_whole=bool(received.any()),
        message_bits=bits,
        bursts=_burst(rows, "rtt_ns", answered * bits, answered * received * bits),
        messages=int(answered.sum()),
    )


def _burst(rows: pd.DataFrame, delay: str, sent: Bits, arrived: Bits) -> Burst:
    due = rows["intended_ns"].to_numpy(float)
    after = rows["schedule_error_ns"].to_numpy(float, na_value=0.0)
    took = rows[delay].to_numpy(float, na_value=0.0)
    return Burst(due, due + after + took, sent, arrived)


def _loads(plan: Plan, record: Any) -> Iterator[Traffic]:
    carried = {row["id"]: row for row in record or ()}
    for load in plan.loads:
        row = carried.get(load.id)
        if row is None or not row.get("sent_bytes") or not row.get("seconds"):
            continue
        yield _load(load, row)


def _load(load: Load, row: Mapping[str, Any]) -> Traffic:
    tcp = KINDS[load.kind].elastic
    payload = TCP_SEGMENT_BYTES if tcp else load.packet_bytes
    frame = payload + (TCP_HEADERS_BYTES if tcp else UDP_HEADERS_BYTES)
    bits = 8.0 * (frame + _label(load.path) + ETHERNET_OVERHEAD_BYTES) / payload
    arrived = bits * (row.get("received_bytes") or 0)
    # TCP sends again what was lost, and no more than what arrives: it offers that
    sent = arrived if tcp else bits * row["sent_bytes"]
    end_ns = load.start_ns + round(row["seconds"] * 1e9)
    return Traffic(
        id=load.id,
        direction=f"to {load.dst}",
        path=load.path,
        judged=True,
        frame_bytes=frame + FCS_BYTES,
        arrived_whole=arrived > 0,
        message_bits=bits * payload,
        even=(load.start_ns, end_ns, sent, arrived),
    )
