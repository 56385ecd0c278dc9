"""How full the links were that sessions share with loads, from the ports' own counters.

What came to a port is what left it and what it dropped, of real and modelled packets, while the
loads ran: without what the sessions sent there before and after, by the plan. Packets that a
policer dropped before had not come. A link is overloaded where more came than its rate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from testbed.net.paths import Path
from testbed.plan.model import Plan
from testbed.plan.offered import Hop, Offer, most_bps, offered

_FRAME_BYTES = 1500
"""Of what was dropped where nothing left."""


class Shared(NamedTuple):
    """A link that sessions share with loads."""

    hop: Hop
    """Node and peer."""
    came: float
    """Share of its rate."""
    planned: float
    """The same of what all flows offer, if nothing before holds them up."""


def shared(
    plan: Plan, paths: Iterable[Path], loaded: Collection[str], record: Any
) -> list[Shared] | None:
    """The links with a rate of `paths` that loads of the slices `loaded` pass too, the fullest
    first; None if what came to them is not known.

    `record` is 4-control.json.
    """
    counted = {(port["node"], port["name"]): port for port in (record or {}).get("ports", ())}
    if not counted:
        return None
    hops = {hop for path in paths for hop in pairwise(path.nodes)}
    carrying = {load.id for load in plan.loads if load.slice in loaded}
    found = []
    for hop, offers in offered(plan).items():
        floods = [o for o in offers if o.id in carrying or (o.modelled and o.slice in loaded)]
        port = plan.port(*hop)
        row = counted.get((port.node, port.name))
        if hop not in hops or not floods or row is None or not port.rate_bps:
            continue
        begin_ns, end_ns = min(o.start_ns for o in floods), max(o.end_ns for o in floods)
        seconds = (end_ns - begin_ns) / 1e9
        bits = 8 * _came_bytes(row) - sum(_outside(o, begin_ns, end_ns) for o in offers)
        came = bits / seconds / port.rate_bps
        found.append(Shared(hop, came, most_bps(offers) / port.rate_bps))
    return sorted(found, key=lambda link: -link.came)


def _outside(offer: Offer, begin_ns: int, end_ns: int) -> float:
    """Bits that a flow offers before and after."""
    before_ns = max(0, min(begin_ns, offer.end_ns) - offer.start_ns)
    after_ns = max(0, offer.end_ns - max(end_ns, offer.start_ns))
    return offer.bps * (before_ns + after_ns) / 1e9


def _came_bytes(port: Mapping[str, Any]) -> float:
    return sum(
        _whole(of["sent_bytes"], of["packets"], of["drops"])
        + _whole(
            of.get("background_bytes", 0),
            of.get("background_packets", 0),
            of.get("background_drops", 0),
        )
        for of in port.get("queues") or [port]
    )


def _whole(sent_bytes: int, packets: int, drops: int) -> float:
    """With what was dropped, if that was as large on average."""
    each = sent_bytes / packets if packets else _FRAME_BYTES
    return sent_bytes + drops * each


def policed(record: Any) -> bool:
    """Whether a policer dropped anything."""
    ports = (record or {}).get("ports", ())
    return any(
        queue.get("policed", 0) + queue.get("background_policed", 0)
        for port in ports
        for queue in port.get("queues", ())
    )
