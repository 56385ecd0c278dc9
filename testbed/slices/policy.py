"""What a slice policy decides: the route of each demand, and the queue of a slice.

A policy is one file in controllers/policies/ with one subclass of Policy:

    class LowestDelay(Policy):
        \"\"\"Least one-way delay, a queue for each slice.\"\"\"

        def path(self, graph, demand):
            return fastest_path(graph, demand)

        def queue_of(self, slice_):
            return slice_.id

Its name is the class name in snake case, its summary the docstring's first line. The
planner does the rest: labels, rules, rates and priorities of queues, and it refuses a
path that is not one. A policy that has to see all demands at once overrides routes().
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import networkx as nx

from testbed.scenario.model import Frozen, Slice
from testbed.slices.sent import Traffic

BEST_EFFORT = "best-effort"
"""The slice every scenario has: no promise, queue 0, whatever the policy."""

BEST_EFFORT_SHARE = 20
"""One part in so many of each port's rate is kept for best effort."""
MAX_QUEUES = 64
"""Of one port, best effort's included, in labs that have most."""
LATE_NS = 10_000
"""A packet that leaves later than this after its moment does not keep to its bucket."""


class Demand(Frozen, frozen=True, kw_only=True):
    """One direction of a session or load that needs a path."""

    id: str
    """Session or load, and direction."""
    slice: Slice
    """Its guaranteed_bps is the rate the slice keeps on every link of the path."""
    src: str
    dst: str
    delay_ns: int | None = None
    """The one-way delay that is promised, queueing included; None: none is."""
    traffic: Traffic | None = None
    """What will be sent; None: anything."""
    after: str = ""
    """The demand whose packets it answers, each as it arrives."""


class Route(Frozen, frozen=True, kw_only=True):
    """How a demand is carried: node names from its src to its dst."""

    nodes: tuple[str, ...]
    backup: tuple[str, ...] = ()
    """Where its packets may go when `nodes` fails; empty: nowhere."""


class Policy(ABC):
    """Base class of all policies. They are pure: same input, same answer."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    keeps_delays: ClassVar[bool] = False
    """A plan that may break a slice's promised delay is refused."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls.summary = (cls.__doc__ or "").strip().partition("\n")[0]

    @abstractmethod
    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        """Node names from demand.src to demand.dst.

        `graph` is the whole network and cannot be changed: copy it first. A host has one
        link, so no path leads through it. Edges have `delay_ns` (one-way: propagation,
        extra and the sending node's forwarding), `rate_bps` (None: not shaped),
        `overhead_bytes` on the wire and `km`; nodes have `role` and `kind`; `graph.graph` has
        the ports' `scheduler`. What packets take with their transmission is in costs.py.
        """

    def backup(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        """A second path, which shares no link with path() but those of the two hosts.

        Empty, the default: there is none.
        """
        return ()

    def routes(self, graph: nx.DiGraph, demands: Sequence[Demand]) -> list[Route]:
        """A route for each demand, in their order; each by itself unless overridden."""
        return [
            Route(nodes=tuple(self.path(graph, d)), backup=tuple(self.backup(graph, d)))
            for d in demands
        ]

    def queue_of(self, slice_: Slice) -> str | None:
        """Name of the queue the slice uses on every shaped switch port of its paths.

        Slices given the same name share one queue. None, the default: the slice shares
        the port's only FIFO, or queue 0 where others have queues.
        """
        return None
