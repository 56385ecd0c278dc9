"""Nodes that lose their links, forward late, or start again."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.errors import InputError, unknown
from testbed.net.state import State, effect
from testbed.scenario.events.node import NodeEvent


@effect(NodeEvent)
def node(state: State, delta: NodeEvent) -> State:
    """See NodeEvent. A switch that starts again gets its rules again, if somebody is there
    to give them."""
    condition, name = state.condition, delta.node
    state.check_node(name, delta.text)
    changed: dict[str, Any] = {}
    if delta.action == "restart":
        switches = {switch.name for switch in state.switches}
        if name not in switches:
            raise unknown("switch", name, switches, where=delta.text)
        if not condition.controller:
            changed = {"bare": tuple(sorted({*condition.bare, name}))}
    elif delta.action == "slow":
        if delta.extra_ns < 0:
            raise InputError(
                f"extra delay is {delta.extra_ns} ns", where=delta.text, expected="0 or more"
            )
        slow = {**condition.slow, name: delta.extra_ns}
        changed = {"slow": {key: slow[key] for key in sorted(slow) if slow[key]}}
    else:
        dropped = set(condition.dropped) - {name}
        if delta.action == "drop":
            dropped.add(name)
        changed = {"dropped": tuple(sorted(dropped))}
    return msgspec.structs.replace(state, condition=msgspec.structs.replace(condition, **changed))
