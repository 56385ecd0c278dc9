"""About how long runs take and how much room they need: said before many are begun.

Measured in the virtual lab on two cores with nothing else to do (docs/virtual-time.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from testbed.errors import InputError
from testbed.plan import background
from testbed.plan.model import Plan
from testbed.units import show_bytes

_START_S, _SWITCH_S = 6.0, 0.1
_MESSAGE_S, _PACKET_HOP_S, _MODELLED_S = 60e-6, 1.3e-6, 0.3e-6
_FOLDER, _RULE, _MESSAGE = 250_000, 500, 16
"""Bytes."""
_TOLD_S = 600
_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))


def seconds(plan: Plan) -> float:
    """About what a run of it takes, s of wall time."""
    messages = sum(session.count for session in plan.sessions)
    packet_hops = sum(
        load.rate_bps / 8 / load.packet_bytes * load.duration_ns / 1e9 * len(load.path.nodes)
        for load in plan.loads
    )
    return (
        _START_S
        + _SWITCH_S * len(plan.switches)
        + _MESSAGE_S * messages
        + _PACKET_HOP_S * packet_hops
        + _MODELLED_S * background.packets(plan)
    )


def folder_bytes(plan: Plan) -> int:
    """About what its run folder holds, without captures."""
    messages = sum(session.count for session in plan.sessions)
    return _FOLDER + _RULE * len(plan.rules) + _MESSAGE * messages


def told(plans: Sequence[Plan], times: int, root: Path) -> str:
    """What runs of all plans, each so many times, take; empty if that is not worth a word.

    Raises InputError if the disk of `root` has no room for them.
    """
    took = times * sum(map(seconds, plans))
    room = times * sum(map(folder_bytes, plans))
    runs = times * len(plans)
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    most = int(times * free / room)
    if room > free and runs > 1:
        raise InputError(
            f"{runs:,} runs take about {_span(took)} and {_size(room)} of disk",
            where=f"--repeat, {place}",
            expected=f"runs that fit into the {show_bytes(free)} that are free",
            remedy=f"at most {most:,} repetitions" if most else "free some of it",
        )
    if took < _TOLD_S or runs < 2:
        return ""
    return f"{runs:,} runs take about {_span(took)} and {_size(room)} of disk."


def _size(room: float) -> str:
    return show_bytes(room) if room < 1e12 else f"{room / 1e12:,.3g} TB"


def _span(took_s: float) -> str:
    """
    >>> _span(90), _span(7200), _span(1e9)
    ('2 minutes', '2 hours', '11,574 days')
    """
    for factor, name in _UNITS:
        if took_s >= 1.5 * factor:
            return f"{took_s / factor:,.0f} {name}"
    return f"{took_s:.0f} s"
