"""What can happen during an experiment, for Experiment.at().

self.at("3 s", cut_fibre("x1", "x2"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from testbed.errors import InputError
from testbed.scenario.model import (
    ControllerEvent,
    Event,
    LinkEvent,
    Match,
    NodeEvent,
    OrderEvent,
    Slice,
)
from testbed.scenario.written import written_slice
from testbed.units import time_ns


def cut_fibre(a: str, b: str) -> Event:
    """The link between a and b goes down at both ends; packets on it are lost."""
    return LinkEvent(action="cut", a=a, b=b)


def silence_fibre(a: str, b: str) -> Event:
    """The link between a and b loses every packet, and neither end sees a failure."""
    return LinkEvent(action="silence", a=a, b=b)


def mend_fibre(a: str, b: str) -> Event:
    """The link between a and b is as it was, whatever had happened to it."""
    return LinkEvent(action="mend", a=a, b=b)


def drop_node(node: str) -> Event:
    """All links of a node go down, as when it loses its power."""
    return NodeEvent(action="drop", node=node)


def revive_node(node: str) -> Event:
    """All links of a node are as they were."""
    return NodeEvent(action="revive", node=node)


def slow_node(node: str, by: str) -> Event:
    """From now on a node forwards each packet `by` later than planned; "0 s" ends it.

    Raises InputError for a wrong time.
    """
    return NodeEvent(action="slow", node=node, extra_ns=time_ns(by, f"slow {node}"))


def restart_switch(node: str) -> Event:
    """A switch starts again with empty tables, and connects to its controller anew."""
    return NodeEvent(action="restart", node=node)


def kill_controller() -> Event:
    """The controller ends at once. Switches go on by the rules they have."""
    return ControllerEvent(action="kill")


def start_controller() -> Event:
    """A killed controller starts again, and puts the rules in place of those there are."""
    return ControllerEvent(action="start")


def order(id: str, **terms: Any) -> Event:
    """The northbound service is asked for a further slice; what it answers is kept.

    The terms are those of Experiment.slice(), which need `sst` and `ends`; and `dscp`,
    which packets carry that belong to it (all between its ends, without). Raises
    InputError.
    """
    return OrderEvent(action="order", id=id, slice=_ordered(id, **terms))


def modify(id: str, **terms: Any) -> Event:
    """The northbound service is asked to have a slice otherwise: all its terms anew."""
    return OrderEvent(action="modify", id=id, slice=_ordered(id, **terms))


def withdraw(id: str) -> Event:
    """The northbound service is asked to end a slice."""
    return OrderEvent(action="withdraw", id=id)


def _ordered(
    id: str,
    *,
    sst: int,
    ends: Sequence[tuple[str, str]],
    dscp: int | None = None,
    sd: str = "FFFFFF",
    priority: int = 80,
    guaranteed: str | None = None,
    maximum: str | None = None,
    delay: str | None = None,
    variation: str | None = None,
    loss: float | None = None,
    mtu: str | None = None,
    isolation: str = "shared",
    burst: str | None = None,
    description: str = "",
) -> Slice:
    made = written_slice(
        id,
        sst=sst,
        sd=sd,
        priority=priority,
        guaranteed=guaranteed,
        maximum=maximum,
        delay=delay,
        delay_percentile=None,
        variation=variation,
        variation_percentile=None,
        loss=loss,
        availability=None,
        mtu=mtu,
        diversity="none",
        protection="none",
        isolation=isolation,
        ends=ends,
        burst=burst,
        description=description,
    )
    if dscp is None:
        return made
    if isinstance(dscp, bool) or not isinstance(dscp, int) or not 0 <= dscp <= 63:
        raise InputError(f"dscp = {dscp!r}", where=f"slice {id}", expected="0 to 63 (RFC 2474)")
    criteria = tuple(Match(group=group.id, dscp=(dscp,)) for group in made.groups)
    sdps = tuple(msgspec.structs.replace(sdp, matches=criteria) for sdp in made.sdps)
    return msgspec.structs.replace(made, sdps=sdps)
