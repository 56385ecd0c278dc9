"""What no network can promise: values out of range, and terms that contradict each other.

One rule book for slices written in build(), read from orders and planned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.scenario.model import Slo
from testbed.units import show_bps, show_ns

MIN_MTU_BYTES = 64
MAX_MTU_BYTES = 65_535
MAX_NS = 2**62
MAX_BPS = 2**62
"""What a quantity of testbed.units can be; it fits 64 bits with room for sums."""


class Contradiction(NamedTuple):
    """Why a promise cannot be meant."""

    field: str
    """Of Slo."""
    what: str
    expected: str


def contradictions(slo: Slo) -> Iterator[Contradiction]:
    """Everything wrong with a promise."""
    if not 0 <= slo.guaranteed_bps <= MAX_BPS:
        yield Contradiction(
            "guaranteed_bps", f"guaranteed rate is {slo.guaranteed_bps} bit/s", "0 or more"
        )
    elif slo.maximum_bps is not None and not max(1, slo.guaranteed_bps) <= slo.maximum_bps:
        yield Contradiction(
            "maximum_bps",
            f"maximum rate {show_bps(slo.maximum_bps)} is below the guaranteed rate",
            f"{show_bps(max(1, slo.guaranteed_bps))} or more",
        )
    for name in ("delay_ns", "delay_percentile_ns", "variation_ns", "variation_percentile_ns"):
        value = getattr(slo, name)
        if value is not None and not 0 < value <= MAX_NS:
            yield Contradiction(name, f"bound is {show_ns(value)}", "more than 0")
    for name in ("delay_percentile", "variation_percentile"):
        percentile, bound = getattr(slo, name), getattr(slo, f"{name}_ns")
        if percentile is not None and not 0 < percentile <= 100:
            yield Contradiction(name, f"percentile is {percentile:g}", "more than 0, at most 100")
        if (percentile is None) != (bound is None):
            yield Contradiction(
                name if bound is None else f"{name}_ns",
                "percentile without a bound" if bound is None else "bound without a percentile",
                "both, or neither",
            )
    if slo.loss is not None and not 0 <= slo.loss < 1:
        yield Contradiction("loss", f"loss is {slo.loss:g}", "a ratio of 0 or more, below 1")
    if slo.availability is not None and not 0 < slo.availability <= 1:
        yield Contradiction(
            "availability", f"availability is {slo.availability:g}", "a ratio above 0, at most 1"
        )
    if slo.mtu_bytes is not None and not MIN_MTU_BYTES <= slo.mtu_bytes <= MAX_MTU_BYTES:
        yield Contradiction(
            "mtu_bytes", f"MTU is {slo.mtu_bytes} bytes", f"{MIN_MTU_BYTES} to {MAX_MTU_BYTES}"
        )
