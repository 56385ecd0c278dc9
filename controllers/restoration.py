"""Which way each path that orders `reactive` takes, as links fail and come back. Pure.

The ways of a path are the plan's: its own nodes, then its backups. It takes the first
whose links are all up; a link that had failed counts as up once it has been so for the
plan's wait-to-restore, unless the path is on it already. A path with no way left stays
where it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from testbed.plan.matches import plan_matches
from testbed.plan.model import Path, Plan, Rule
from testbed.plan.openflow import key

Link = frozenset[str]


class Way(NamedTuple):
    """One way of a path."""

    path: str
    cookie: int
    number: int
    """0 is the path itself."""
    nodes: tuple[str, ...]
    prepare: tuple[Rule, ...]
    """What has to be on the switches before `switch_over`."""
    switch_over: tuple[Rule, ...]
    """Takes the place of the first switch's rules."""

    @property
    def links(self) -> set[Link]:
        return {frozenset(pair) for pair in pairwise(self.nodes)}


class Restoration:
    """The state of the links, and the way each path is on."""

    def __init__(self, plan: Plan) -> None:
        self._wait_ns = plan.recovery.wait_to_restore_ns
        self._ends = {(p.node, p.number): frozenset((p.node, p.peer_node)) for p in plan.ports}
        self._down: dict[Link, set[str]] = defaultdict(set)
        self._since: dict[Link, int] = {}
        """When links that had failed came back."""
        self._ways = _ways(plan)
        self._on = dict.fromkeys(self._ways, 0)

    def port(self, switch: str, number: int, live: bool, now_ns: int) -> int | None:
        """A switch says whether a port is live.

        Returns when to ask for changes because of it (the clock of `now_ns`), or None.
        """
        link = self._ends.get((switch, number))
        if link is None:
            return None
        was = bool(self._down[link])
        (self._down[link].discard if live else self._down[link].add)(switch)
        if bool(self._down[link]) == was:
            return None
        if was:
            self._since[link] = now_ns
            return now_ns + self._wait_ns
        self._since.pop(link, None)
        return now_ns

    def changes(self, now_ns: int) -> list[Way]:
        """The ways that paths should be put on, other than those they are on."""
        found = []
        for cookie, ways in self._ways.items():
            mine = ways[self._on[cookie]].links
            for way in ways:
                if all(self._usable(link, link in mine, now_ns) for link in way.links):
                    if way.number != self._on[cookie]:
                        found.append(way)
                    break
        return found

    def _usable(self, link: Link, used: bool, now_ns: int) -> bool:
        if self._down[link]:
            return False
        return used or now_ns >= self._since.get(link, now_ns - self._wait_ns) + self._wait_ns

    def take(self, way: Way) -> None:
        """The path is on this way from now on."""
        self._on[way.cookie] = way.number

    def current(self, way: Way, now_ns: int) -> bool:
        """Whether a change that was asked for is still the right one."""
        return way in self.changes(now_ns)

    def rules(self, switch: str, planned: Iterable[Rule]) -> list[Rule]:
        """The rules a switch should have: those of the plan, but for paths on backups."""
        taken = [self._ways[cookie][number] for cookie, number in self._on.items() if number]
        instead = {key(rule): rule for way in taken for rule in way.switch_over}
        more = [rule for way in taken for rule in way.prepare if rule.switch == switch]
        return [instead.get(key(rule), rule) for rule in planned] + more


def _ways(plan: Plan) -> dict[int, list[Way]]:
    paths: dict[int, Path] = {path.cookie: path for path, _ in plan_matches(plan)}
    planned = {key(rule): rule for rule in plan.rules if rule.cookie}
    ways: dict[int, list[Way]] = {}
    for repair in plan.repairs:
        path = paths[repair.cookie]
        first = tuple(planned[key(rule)] for rule in repair.switch_over)
        mine = ways.setdefault(path.cookie, [Way(path.id, path.cookie, 0, path.nodes, (), first)])
        (backup,) = (b for b in path.backups if b.failed == repair.failed)
        nodes, number = backup.nodes, len(mine)
        mine.append(Way(path.id, path.cookie, number, nodes, repair.prepare, repair.switch_over))
    return ways
