"""A switch starts again."""

from __future__ import annotations

from testbed.emulation.acts import Lab, Told, act
from testbed.scenario.events.node import NodeEvent


@act(NodeEvent)
def node(lab: Lab, delta: NodeEvent) -> Told:
    if delta.action == "restart":
        lab.net.restart(delta.node)
    return None
