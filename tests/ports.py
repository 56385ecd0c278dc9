"""Ports by hand: one from nothing, and one that differs from another."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from testbed.port.background import Background
from testbed.port.gates import Gates
from testbed.port.pipeline import Pipeline, stages
from testbed.port.policers import Policers

P = TypeVar("P", bound=Pipeline)

_STAGE = {
    "rate_bps": ("transmitter", "rate_bps"),
    "overhead_bytes": ("transmitter", "overhead_bytes"),
    "delay_ns": ("channel", "propagation_ns"),
    "loss": ("channel", "loss"),
    "seed": ("channel", "seed"),
    "km": ("channel", "km"),
    "queues": ("queueing", "queues"),
    "buffer_packets": ("queueing", "buffer_packets"),
    "default": ("queueing", "default"),
}
_WHOLE = {"gates": Gates, "policers": Policers, "sources": Background}


def shaped(rate_bps: int | None, **given: Any) -> Pipeline:
    """A port by what testbed.port.pipeline.stages() takes."""
    return Pipeline(stages=stages(rate_bps, **given))


def changed(port: P, **changes: Any) -> P:
    """A port with some values of its stages, by their names, otherwise."""
    for name, value in changes.items():
        if name in _WHOLE:
            kind: Any = _WHOLE[name]
            left = tuple(stage for stage in port.stages if not isinstance(stage, kind))
            port = msgspec.structs.replace(port, stages=left)
            if value:
                port = port.having(kind(**{name: tuple(value)}))
        else:
            stage, field = _STAGE[name]
            port = port.having(msgspec.structs.replace(getattr(port, stage), **{field: value}))
    return port
