"""What happens to a node."""

from __future__ import annotations

from typing import Literal

from testbed.scenario.delta import Delta
from testbed.units import time_ns


class NodeEvent(Delta, frozen=True, kw_only=True, tag="node"):
    """What happens to a node at a moment.

    drop     all its links are cut
    revive   all its links are mended
    slow     it forwards later than planned, by `extra_ns`
    restart  the switch loses its rules and its connection, and starts again
    """

    action: Literal["drop", "revive", "slow", "restart"]
    node: str
    extra_ns: int = 0

    @property
    def text(self) -> str:
        return f"{self.action} {self.node}"


def drop_node(node: str) -> NodeEvent:
    """All links of a node go down, as when it loses its power."""
    return NodeEvent(action="drop", node=node)


def revive_node(node: str) -> NodeEvent:
    """All links of a node are as they were."""
    return NodeEvent(action="revive", node=node)


def slow_node(node: str, by: str) -> NodeEvent:
    """From now on a node forwards each packet `by` later than planned; "0 s" ends it.

    Raises InputError for a wrong time.
    """
    return NodeEvent(action="slow", node=node, extra_ns=time_ns(by, f"slow {node}"))


def restart_switch(node: str) -> NodeEvent:
    """A switch starts again with empty tables, and connects to its controller anew."""
    return NodeEvent(action="restart", node=node)
