"""What a slice policy decides: the path of a demand, and the queue of a slice.

A policy is one file in controllers/policies/ with one subclass of Policy:

    class LowestDelay(Policy):
        \"\"\"Least one-way delay, a queue for each slice.\"\"\"

        def path(self, graph, demand):
            return least_cost_path(graph, demand.src, demand.dst, weight="delay_ns")

        def queue_of(self, slice_):
            return slice_.id

Its name is the class name in snake case, its summary the docstring's first line. The
planner does the rest: labels, rules, rates and priorities of queues, and it refuses a
path that is not one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import networkx as nx

from testbed.scenario.model import Frozen, Slice

BEST_EFFORT = "best-effort"
"""The slice every scenario has: no promise, queue 0, whatever the policy."""


class Demand(Frozen, frozen=True, kw_only=True):
    """One direction of a session or load that needs a path."""

    id: str
    """Session or load, and direction."""
    slice: Slice
    """Its guaranteed_bps is the rate the slice keeps on every link of the path."""
    src: str
    dst: str


class Policy(ABC):
    """Base class of all policies. They are pure: same input, same answer."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls.summary = (cls.__doc__ or "").strip().partition("\n")[0]

    @abstractmethod
    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        """Node names from demand.src to demand.dst.

        `graph` has the switches and the two ends, so no other host can carry transit.
        Edges have `delay_ns` (one-way: propagation, extra and the sending node's
        forwarding), `rate_bps` (None: not shaped) and `km`; nodes have `kind`.
        """

    def queue_of(self, slice_: Slice) -> str | None:
        """Name of the queue the slice uses on every shaped switch port of its paths.

        Slices given the same name share one queue. None, the default: the slice shares
        the port's only FIFO, or queue 0 where others have queues.
        """
        return None
