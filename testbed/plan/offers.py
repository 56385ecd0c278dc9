"""What would be carried in place of an order that is not: the nearest of each kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from testbed.scenario.model import Contract, Slice, Slo
from testbed.units import least_ns, most_bps, show_bytes, time_ns

Fits = Callable[[Slice], bool]
_FINE = 1000
"""An offer is the nearest to one part in so many."""


def offers(order: Slice, fits: Fits, rate_bps: int | None, delay_ns: int | None) -> Iterator[str]:
    """What to order instead, in words: each alone would be carried; a lower rate and a shorter
    burst together where neither is enough.

    Args:
        fits: whether an order would be carried.
        rate_bps: guaranteed to each direction, what there is room for, if that is known.
        delay_ns: the longest that packets may take now, if that is known.
    """
    contracts = order.contracts()
    found = list(_alone(order, fits, rate_bps, delay_ns))
    yield from found
    most = max(one.slo.guaranteed_bps for one in contracts)
    burst, packet = _burst_bytes(contracts)
    if found or burst <= packet:
        return
    short = with_burst(order, packet)
    if rate := _largest(most, lambda bps: fits(with_rate(short, bps))):
        yield f"{most_bps(rate)} or less with a burst of {show_bytes(packet)} or less"


def _burst_bytes(contracts: Sequence[Contract]) -> tuple[int, int]:
    """The longest burst, and the least that one may be."""
    return max(one.burst_bytes for one in contracts), max(one.packet_bytes for one in contracts)


def _alone(order: Slice, fits: Fits, rate_bps: int | None, delay_ns: int | None) -> Iterator[str]:
    contracts = order.contracts()
    if delay_ns is not None:
        least = time_ns(least_ns(delay_ns))
        if fits(with_delay(order, least)):
            yield f"a delay of {least_ns(delay_ns)} or more"
    most = max(one.slo.guaranteed_bps for one in contracts)
    if rate_bps and rate_bps < most and fits(with_rate(order, rate_bps)):
        yield f"{most_bps(rate_bps)} or less"
    elif found := _largest(most, lambda bps: fits(with_rate(order, bps))):
        yield f"{most_bps(found)} or less"
    burst, packet = _burst_bytes(contracts)
    if burst > packet:
        found = _largest(burst, lambda size: fits(with_burst(order, size)), packet)
        if found:
            yield f"a burst of {show_bytes(found)} or less"


def _largest(asked: int, fits: Callable[[int], bool], least: int = 1000) -> int | None:
    """The largest value below the one asked that fits, if the least one does."""
    low, high = least, asked
    if low >= high or not fits(low):
        return None
    while high - low > max(1, low // _FINE):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def with_rate(order: Slice, bps: int) -> Slice:
    """The order with no more guaranteed to any direction."""

    def less(slo: Slo) -> Slo:
        return msgspec.structs.replace(slo, guaranteed_bps=min(slo.guaranteed_bps, bps))

    sdps = tuple(
        sdp
        if sdp.rate_bps is None
        else msgspec.structs.replace(sdp, rate_bps=min(sdp.rate_bps, bps))
        for sdp in order.sdps
    )
    return msgspec.structs.replace(_each(order, less), sdps=sdps)


def with_burst(order: Slice, size: int) -> Slice:
    """The order with no longer burst of any end, in bytes."""
    sdps = tuple(
        sdp
        if sdp.burst_bytes is None
        else msgspec.structs.replace(sdp, burst_bytes=min(sdp.burst_bytes, size))
        for sdp in order.sdps
    )
    return msgspec.structs.replace(order, sdps=sdps)


def with_delay(order: Slice, ns: int) -> Slice:
    """The order with no shorter delay promised to any direction; one-way."""

    def more(slo: Slo) -> Slo:
        longer = {
            name: max(asked, ns)
            for name in ("delay_ns", "delay_percentile_ns")
            if (asked := getattr(slo, name)) is not None
        }
        return msgspec.structs.replace(slo, **longer)

    return _each(order, more)


def _each(order: Slice, change: Callable[[Slo], Slo]) -> Slice:
    """The order with its promises changed, those of constructs too."""
    own = change(order)
    assert isinstance(own, Slice)
    groups = tuple(
        msgspec.structs.replace(
            group,
            constructs=tuple(
                one if one.slo is None else msgspec.structs.replace(one, slo=change(one.slo))
                for one in group.constructs
            ),
        )
        for group in own.groups
    )
    return msgspec.structs.replace(own, groups=groups)
