"""The terms of a promise, one row each: how it is planned, proved and measured, and its names.

    TERM_OF["delay_ns"].name        by the field of Slo or Slice that holds it
    asked(slice_, slo)              the terms that are asked for, with their values

Who plans, refuses, judges or words a term asks this table. An empty column says that the
testbed does not do it: an order of such a term is refused, a planned slice's is told of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from testbed.frames import LABELLED_FRAME_BYTES
from testbed.scenario.model import Slice, Slo

Name = Literal[
    "delay",
    "variation",
    "loss",
    "availability",
    "guaranteed rate",
    "maximum rate",
    "MTU",
    "diversity",
    "protection",
    "isolation",
]


class Term(NamedTuple):
    """A term, whichever standard words it."""

    name: Name
    fields: tuple[str, ...]
    """Of Slo, or of Slice; a percentile's own field is not among them."""
    yang: str
    """Below a policy of ietf-network-slice-service, or below the slice where that has it not."""
    planned: str
    """By what a plan keeps it, whatever is sent."""
    proved: str
    """By what it is known beforehand that it holds."""
    measured: str
    """By what a run tells whether it held."""
    ordered: bool
    """An order that asks for it at run time is carried, or refused where it does not hold."""
    none: tuple[Any, ...] = (None,)
    """Values that ask for nothing."""


def _metric(name: str) -> str:
    return f"slo-policy/metric-bound[metric-type='{name}']"


_CALCULUS = "network calculus on the ports' queues, beside all that is admitted"

TERMS = (
    Term(
        "guaranteed rate",
        ("guaranteed_bps",),
        _metric("one-way-bandwidth"),
        "kept on every link of its paths, in a queue",
        "rates fit in 95 % of each port",
        "bits that arrive in averaging windows while more is offered",
        True,
        (0, None),
    ),
    Term(
        "maximum rate",
        ("maximum_bps",),
        _metric("shared-bandwidth"),
        "a queue's peak rate (htb), a policer where packets enter (policing)",
        "token buckets",
        "bits that arrive in averaging windows",
        True,
    ),
    Term(
        "delay",
        ("delay_ns",),
        _metric("one-way-delay-maximum"),
        "paths within it without queueing",
        _CALCULUS,
        "probes: the longest of all messages",
        True,
    ),
    Term(
        "delay",
        ("delay_percentile_ns",),
        _metric("one-way-delay-percentile"),
        "paths within it without queueing",
        f"{_CALCULUS}: no packet takes longer, whatever the percentile",
        "probes: the percentile with its interval",
        True,
    ),
    Term(
        "variation",
        ("variation_ns",),
        _metric("one-way-delay-variation-maximum"),
        "",
        f"{_CALCULUS}: the worst delay less the least",
        "probes: successive messages (RFC 3393)",
        True,
    ),
    Term(
        "variation",
        ("variation_percentile_ns",),
        _metric("one-way-delay-variation-percentile"),
        "",
        f"{_CALCULUS}: the worst delay less the least",
        "probes: the percentile of successive messages (RFC 3393)",
        True,
    ),
    Term(
        "loss",
        ("loss",),
        _metric("one-way-packet-loss"),
        "",
        f"{_CALCULUS}: no buffer is ever full; and what links lose",
        "probes: the share of messages",
        True,
    ),
    Term(
        "availability",
        ("availability",),
        "slo-policy/availability",
        "",
        "",
        "probes: the share of time (TS 22.104 annex C.3)",
        False,
    ),
    Term(
        "MTU",
        ("mtu_bytes",),
        "slo-policy/mtu",
        f"links carry frames of {LABELLED_FRAME_BYTES} bytes, a label included",
        "",
        "probes of that size",
        True,
    ),
    Term(
        "isolation",
        ("isolation",),
        "sle-policy/isolation",
        "a queue of its own at every port",
        "",
        "the plan's queues",
        True,
        ("shared",),
    ),
    Term(
        "diversity",
        ("diversity",),
        "sle-policy/diversity",
        "a second path of the policy that shares no link, or no node",
        "",
        "the plan's paths",
        False,
        ("none",),
    ),
    Term(
        "protection",
        ("protection",),
        "testbed-slice:protection",
        "stand-ins for the links of its paths",
        "packets walked with each link down",
        "outages",
        False,
        ("none",),
    ),
)
TERM_OF = {field: term for term in TERMS for field in term.fields}


def asked(slice_: Slice, slo: Slo | None) -> Iterator[tuple[Term, Any]]:
    """The terms asked for in a direction that is promised `slo`, with their values."""
    for term in TERMS:
        for field in term.fields:
            of = slo if field in Slo.__struct_fields__ else slice_
            value = getattr(of, field, None)
            if value not in term.none:
                yield term, value
