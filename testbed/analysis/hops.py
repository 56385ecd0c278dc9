"""Where the delay of messages was spent: by hop and queue, from when they left each port.

From one port's leaving to the next one's a packet was transmitted, was on the link and in its
devices, and waited. All but the wait are the plan's, and read back from the kernel; the wait is
what remains: behind other packets, behind those of its own message that go before it, for a
gate or for its slice's rate, and by how much a link's own delay varies. So the parts of a
message sum to its measured delay, whatever they are; a wait below nothing would say that they
are wrong.

What is followed is a message's STAMP packet, the last one of it. Messages of which another
packet came later, or of which copies went several ways, are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.summary import judged, measured
from testbed.frames import UDP_HEADERS_BYTES, label_bytes
from testbed.net.legs import RTT, Direction
from testbed.net.paths import Path
from testbed.plan.model import Plan, Session
from testbed.port.pipeline import Port
from testbed.results.folder import RunFolder
from testbed.results.stamps import stamps
from testbed.scenario.model import Frozen

Times = NDArray[np.int64]


class Hop(Frozen, frozen=True, kw_only=True):
    """One port of a way; ns, one-way."""

    port: str
    peer: str
    queue: int
    """In which the slice's packets wait there."""
    propagation_ns: int
    device_ns: int
    radio_ns: int
    serialisation_ns: int
    wait_mean_ns: float
    wait_max_ns: int
    slowest_ns: int
    """What the slowest message of all waited here."""

    @property
    def fixed_ns(self) -> int:
        """All but the wait."""
        return self.propagation_ns + self.device_ns + self.radio_ns + self.serialisation_ns


class Spent(Frozen, frozen=True, kw_only=True):
    """One session in one direction, over one way."""

    session: str
    direction: str
    slice: str
    nodes: tuple[str, ...]
    messages: int
    """That went this way and were followed."""
    arrived: int
    """Of the session, by any way."""
    mean_ns: float
    """Of those that were followed."""
    slowest_ns: int
    hops: tuple[Hop, ...]
    beyond_mean_ns: float
    """From the last port to the receiver's time stamp, and of the slowest message: nothing, but
    where the lab's clock is real."""
    beyond_slowest_ns: int


def spent(run: RunFolder) -> list[Spent]:
    """By session, direction and way, in the plan's order; empty if the run took no stamps.

    Raises ResultError.
    """
    seen = stamps(run)
    if seen is None:
        return []
    plan = run.plan
    samples = dict(tuple(run.samples.groupby("session", observed=True)))
    left = dict(tuple(seen.groupby(["session", "reply"])))
    return [
        one
        for session in plan.sessions
        if session.id in samples
        for direction, path in _ways(session)
        if (session.id, direction == "reverse") in left
        for one in _spent(
            plan, session, direction, path, measured(session, samples[session.id]),
            left[session.id, direction == "reverse"],
        )
    ]  # fmt: skip


def _ways(session: Session) -> Iterator[tuple[Direction, Path]]:
    directions = judged(session)
    for leg in session.legs:
        if leg.name in directions or RTT in directions:
            yield leg.name, leg.path


def _spent(
    plan: Plan,
    session: Session,
    direction: Direction,
    path: Path,
    packets: pd.DataFrame,
    left: pd.DataFrame,
) -> Iterator[Spent]:
    lost = packets[f"lost_{direction}"] | packets[f"{direction}_ns"].isna()
    there = packets[~lost.astype(bool)]
    delays = dict(zip(there["seq"].tolist(), there[f"{direction}_ns"].tolist(), strict=True))
    sent = dict(zip(there["seq"].tolist(), there["sent_ns"].tolist(), strict=True))
    by_way: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for seq, way, times in _chains(left):
        if seq in delays:
            by_way.setdefault(way, []).append((seq, times))
    for way, messages in sorted(by_way.items(), key=lambda item: -len(item[1])):
        ports = [plan.ports[place] for place in way]
        if not _whole(ports, path):
            continue
        delay = np.array([delays[seq] for seq, _ in messages], dtype=np.int64)
        out = np.array([times for _, times in messages], dtype=np.int64)
        if direction == "forward":
            begun = np.array([sent[seq] for seq, _ in messages], dtype=np.int64)
            last = out[:, -1] - begun <= delay
            delay, out, begun = delay[last], out[last], begun[last]
        else:
            begun = out[:, -1] - delay
        if len(delay):
            yield _one(session, direction, path, ports, delay, np.column_stack([begun, out]),
                       len(there))  # fmt: skip


def _chains(left: pd.DataFrame) -> Iterator[tuple[int, tuple[int, ...], list[int]]]:
    """Each message's number, the ports that it left, in order, and when."""
    ordered = left.sort_values(["seq", "at_ns"], kind="stable")
    numbers, ports, times = (ordered[name].tolist() for name in ("seq", "port", "at_ns"))
    edges = np.flatnonzero(np.diff(np.array(numbers), prepend=-1, append=-1)).tolist()
    for begin, end in pairwise(edges):
        yield numbers[begin], tuple(ports[begin:end]), times[begin:end]


def _whole(ports: Sequence[Port], path: Path) -> bool:
    """Whether they are one way from end to end; copies that went several ways are not."""
    return (
        ports[0].node == path.src
        and ports[-1].peer_node == path.dst
        and all(one.peer_node == other.node for one, other in pairwise(ports))
    )


def _queue(port: Port, path: Path) -> int:
    """Of a port without the path's queue, the default one."""
    return path.queue if any(q.id == path.queue for q in port.queues) else port.queueing.default


def _one(
    session: Session,
    direction: Direction,
    path: Path,
    ports: Sequence[Port],
    delay: Times,
    moments: Times,
    arrived: int,
) -> Spent:
    """Args:
    moments: a row for each message: when it left its sender, and then each port.
    """
    nodes = (*(port.node for port in ports), path.dst)
    slowest = int(delay.argmax())
    beyond = delay - (moments[:, -1] - moments[:, 0])
    hops = []
    for number, port in enumerate(ports):
        size = session.size_bytes + UDP_HEADERS_BYTES + label_bytes(number, nodes)
        serialisation_ns = port.transmitter.sent_ns(size)
        wait = moments[:, number + 1] - moments[:, number] - serialisation_ns - port.delay_ns
        parts = port.parts
        hops.append(
            Hop(
                port=port.name,
                peer=port.peer_node,
                queue=_queue(port, path),
                propagation_ns=parts.propagation_ns,
                device_ns=parts.device_ns,
                radio_ns=parts.radio_ns,
                serialisation_ns=serialisation_ns,
                wait_mean_ns=float(wait.mean()),
                wait_max_ns=int(wait.max()),
                slowest_ns=int(wait[slowest]),
            )
        )
    return Spent(
        session=session.id,
        direction=session.called(direction),
        slice=session.slice,
        nodes=nodes,
        messages=len(delay),
        arrived=arrived,
        mean_ns=float(delay.mean()),
        slowest_ns=int(delay[slowest]),
        hops=tuple(hops),
        beyond_mean_ns=float(beyond.mean()),
        beyond_slowest_ns=int(beyond[slowest]),
    )
