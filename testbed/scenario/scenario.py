"""One run's question, frozen and JSON-able.

Times of traffic and events count from the start of traffic.
"""

from __future__ import annotations

from typing import Literal

from testbed.scenario.events import Event
from testbed.scenario.model import (
    Background,
    Capture,
    Flow,
    Frozen,
    Param,
    Probe,
    Recovery,
    Scheduler,
    Slice,
    TopologyRef,
)

SCHEMA = 1

Headline = Literal["verdicts", "outages", "orders", "isolation", "bounds", "gain", "reach"]
"""What answers a question: testbed/report/headline.py."""


class Scenario(Frozen, frozen=True, kw_only=True):
    """One run's question."""

    schema: int = SCHEMA
    experiment: str
    question: str
    headline: Headline = "verdicts"
    """What kind of answer the question asks for."""
    params: dict[str, Param]
    seed: int
    policy: str
    topology: TopologyRef
    slices: tuple[Slice, ...]
    flows: tuple[Flow, ...] = ()
    backgrounds: tuple[Background, ...] = ()
    probes: tuple[Probe, ...] = ()
    events: tuple[Event, ...] = ()
    recovery: Recovery = Recovery()
    captures: tuple[Capture, ...] = ()
    sample_ports_ns: int | None = None
    """How often each port's depth and counts are taken down; None: they are not."""
    warmup_ns: int = 1_000_000_000
    """Packets meant to be sent before this are kept but not judged."""
    clock_drift_ppb: int = 0
    """Hosts' clocks are slow or fast by up to this, each by its own, from the seed."""
    scheduler: Scheduler = "htb"
    cycle_ns: int = 1_000_000
    """Of the gates of `time_aware`."""
    policing_burst_bytes: int | None = None
    """What a slice may send at once beyond its maximum rate; None: slices are not policed."""
