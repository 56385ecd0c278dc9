"""How much memory a plan takes in a lab of its own: an estimate, from what it holds.

Measured in the virtual lab (`python -m benchmarks.memory`): networks of 12 to 200 switches
once their rules are installed take 96 to 209 MiB, a run of metro_slices with six sessions and
a flood 149 MiB. Beyond that it is extrapolated, and grows faster than the network: 2 GiB hold
no 1000 switches.
"""

from __future__ import annotations

from testbed.plan.model import Plan

MIB = 1 << 20

_BASE = 90 * MIB
"""Kernel, guest program, Open vSwitch and controller with hardly a network."""
_SWITCH, _HOST, _PORT, _RULE = 420_000, 100_000, 50_000, 8_000
_SWITCHES_SQUARED = 2_000
_PROBES = 30 * MIB
"""Sender, receiver and reflector of all sessions."""
_SESSION = 200_000
_LOAD = 25 * MIB
"""A program at each end."""
_CAPTURE = 8 * MIB

SLACK = 1.5
"""Times what is estimated: what a lab should have."""


def needed_bytes(plan: Plan) -> int:
    """What the lab of a plan holds at its fullest."""
    network = (
        _SWITCH * len(plan.switches)
        + _SWITCHES_SQUARED * len(plan.switches) ** 2
        + _HOST * len(plan.hosts)
        + _PORT * len(plan.ports)
        + _RULE * len(plan.rules)
    )
    traffic = _LOAD * len(plan.loads) + _CAPTURE * len(plan.captures)
    if plan.sessions:
        traffic += _PROBES + _SESSION * len(plan.sessions)
    return _BASE + network + traffic


def wanted_bytes(plan: Plan) -> int:
    """What a lab should be given for a plan: with slack, in steps of 256 MiB."""
    step = 256 * MIB
    return -(-round(SLACK * needed_bytes(plan)) // step) * step
