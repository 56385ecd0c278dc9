"""Which way each path takes that a controller restores (`reactive`). Pure.

The ways of a path are its own nodes, then its backups. It takes the first whose links may
all be used; a path with no such way left stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from testbed.net.deltas.reroute import Reroute
from testbed.net.state import Pair, State

Ways = dict[int, list[Reroute]]
"""Cookie of a path -> all its ways, each as what puts it there."""


def ways(state: State) -> Ways:
    """Of every path that has any but its own."""
    paths = {one.path.cookie: one.path for one in state.paths}
    found: Ways = {}
    for repair in state.repairs:
        path = paths[repair.cookie]
        own = Reroute(
            by="controller",
            path=path.id,
            cookie=path.cookie,
            way=0,
            nodes=path.nodes,
            prepare=(),
            switch_over=repair.switch_back,
        )
        mine = found.setdefault(path.cookie, [own])
        (backup,) = (b for b in path.backups if b.failed == repair.failed)
        mine.append(
            msgspec.structs.replace(
                own,
                way=len(mine),
                nodes=backup.nodes,
                prepare=repair.prepare,
                switch_over=repair.switch_over,
            )
        )
    return found


def reroutes(
    known: Ways, on: dict[int, int], usable: Callable[[Pair, bool], bool]
) -> list[Reroute]:
    """What puts paths on the ways they should take, of those that are on others.

    Args:
        on: cookie -> the way a path is on, if not 0.
        usable: whether a link may be used, by a path that is on it (True) or not.
    """
    found = []
    for cookie, mine in known.items():
        now = on.get(cookie, 0)
        under = links(mine[now].nodes)
        for way in mine:
            if all(usable(link, link in under) for link in links(way.nodes)):
                if way.way != now:
                    found.append(way)
                break
    return found


def restored(state: State) -> State:
    """The state once a controller, if one runs, has answered all that is seen to have failed
    and waited for what has come back."""
    if not state.repairs or not state.condition.controller:
        return state
    seen = state.seen_down()
    for delta in reroutes(ways(state), state.ways, lambda link, _used: link not in seen):
        state = state + delta
    return state


def links(nodes: Sequence[str]) -> set[Pair]:
    """Those of a way."""
    return {frozenset(hop) for hop in pairwise(nodes)}
