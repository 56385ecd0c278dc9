"""What is asked of the northbound service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from testbed.errors import InputError
from testbed.scenario.delta import Delta
from testbed.scenario.model import Match, Slice
from testbed.scenario.written import written_slice


class OrderEvent(Delta, frozen=True, kw_only=True, tag="order"):
    """What is asked of the controller's northbound service at a moment.

    order     a further slice
    modify    the slice otherwise
    withdraw  the slice ends
    """

    action: Literal["order", "modify", "withdraw"]
    id: str
    slice: Slice | None = None
    """As it is to be; None: withdraw."""

    @property
    def text(self) -> str:
        return f"{self.action} {self.id}"


def order(id: str, **terms: Any) -> OrderEvent:
    """The northbound service is asked for a further slice; what it answers is kept.

    The terms are those of Experiment.slice(), which need `sst` and `ends`; and `dscp`,
    which packets carry that belong to it (all between its ends, without). Raises
    InputError.
    """
    return OrderEvent(action="order", id=id, slice=_ordered(id, **terms))


def modify(id: str, **terms: Any) -> OrderEvent:
    """The northbound service is asked to have a slice otherwise: all its terms anew."""
    return OrderEvent(action="modify", id=id, slice=_ordered(id, **terms))


def withdraw(id: str) -> OrderEvent:
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
