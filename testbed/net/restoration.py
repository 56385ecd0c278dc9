"""Which way each path takes that a controller restores (`reactive`). Pure.

The ways of a path are its own nodes, then its backups. It takes the first whose links may
all be used; a path with no such way left stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import chain, pairwise
from typing import NamedTuple

import msgspec

from testbed.net.deltas.reroute import Reroute
from testbed.net.state import Pair, State, with_rules


class Choice(NamedTuple):
    """A way that a path may take."""

    delta: Reroute
    """What puts it there."""
    links: frozenset[Pair]


Ways = dict[int, list[Choice]]
"""Cookie of a path -> all its ways, the path itself first."""


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
        mine = found.setdefault(path.cookie, [_choice(own)])
        (backup,) = (b for b in path.backups if b.failed == repair.failed)
        other = msgspec.structs.replace(
            own,
            way=len(mine),
            nodes=backup.nodes,
            prepare=repair.prepare,
            switch_over=repair.switch_over,
        )
        mine.append(_choice(other))
    return found


def reroutes(
    known: Ways, on: Mapping[int, int], down: Set[Pair], waiting: Set[Pair] = frozenset()
) -> list[Reroute]:
    """What puts paths on the ways they should take, of those that are on others.

    Args:
        on: cookie -> the way a path is on, if not 0.
        down: links that may not be used.
        waiting: links that may be used by a path that is on them, and by no other.
    """
    found = (better(mine, on.get(cookie, 0), down, waiting) for cookie, mine in known.items())
    return [delta for delta in found if delta is not None]


def better(mine: Sequence[Choice], now: int, down: Set[Pair], waiting: Set[Pair]) -> Reroute | None:
    """What puts a path on the way it should take, if it is on another (see `reroutes`)."""
    shunned = waiting - mine[now].links if waiting else waiting
    for way in mine:
        if way.links.isdisjoint(down) and way.links.isdisjoint(shunned):
            return way.delta if way.delta.way != now else None
    return None


def restored(state: State, known: Ways | None = None) -> State:
    """The state once a controller, if one runs, has answered all that is seen to have failed
    and waited for what has come back. `known` are the ways of its paths, if found before."""
    if not state.repairs or not state.condition.controller:
        return state
    known = ways(state) if known is None else known
    moved = reroutes(known, state.ways, state.seen_down())
    if not moved:
        return state
    on = state.ways | {delta.cookie: delta.way for delta in moved}
    more = chain.from_iterable((*delta.prepare, *delta.switch_over) for delta in moved)
    return msgspec.structs.replace(
        state,
        rules=with_rules(state.rules, more),
        ways={cookie: on[cookie] for cookie in sorted(on) if on[cookie]},
    )


def _choice(delta: Reroute) -> Choice:
    return Choice(delta, frozenset(frozenset(hop) for hop in pairwise(delta.nodes)))
