"""What can happen during an experiment, for Experiment.at().

self.at("3 s", cut_fibre("x1", "x2"))
"""

from __future__ import annotations

from testbed.scenario.model import ControllerEvent, Event, LinkEvent, NodeEvent
from testbed.units import time_ns


def cut_fibre(a: str, b: str) -> Event:
    """The link between a and b goes down at both ends; packets on it are lost."""
    return LinkEvent(action="cut", a=a, b=b)


def silence_fibre(a: str, b: str) -> Event:
    """The link between a and b loses every packet, and neither end sees a failure."""
    return LinkEvent(action="silence", a=a, b=b)


def mend_fibre(a: str, b: str) -> Event:
    """The link between a and b is as it was, whatever had happened to it."""
    return LinkEvent(action="mend", a=a, b=b)


def drop_node(node: str) -> Event:
    """All links of a node go down, as when it loses its power."""
    return NodeEvent(action="drop", node=node)


def revive_node(node: str) -> Event:
    """All links of a node are as they were."""
    return NodeEvent(action="revive", node=node)


def slow_node(node: str, by: str) -> Event:
    """From now on a node forwards each packet `by` later than planned; "0 s" ends it.

    Raises InputError for a wrong time.
    """
    return NodeEvent(action="slow", node=node, extra_ns=time_ns(by, f"slow {node}"))


def restart_switch(node: str) -> Event:
    """A switch starts again with empty tables, and connects to its controller anew."""
    return NodeEvent(action="restart", node=node)


def kill_controller() -> Event:
    """The controller ends at once. Switches go on by the rules they have."""
    return ControllerEvent(action="kill")


def start_controller() -> Event:
    """A killed controller starts again, and puts the rules in place of those there are."""
    return ControllerEvent(action="start")
