"""When paths that order `reactive` take other ways, as links fail and come back. Pure.

A link that had failed may be used again once it has been up for the wait-to-restore,
unless the path is on it already. A controller that starts again knows the ways in force;
of the links that paths were taken off before, it takes those that are up for just mended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from testbed.net.deltas.reroute import Reroute
from testbed.net.restoration import better, reroutes, ways
from testbed.net.state import Pair, State
from testbed.net.tables import Key, Rule, key


class Restoration:
    """What switches said of their ports, and what the controller has made of a state."""

    def __init__(self, state: State, taken: Iterable[Reroute] = ()) -> None:
        """With the ways that were taken before, in order."""
        self._wait_ns = state.recovery.wait_to_restore_ns
        self._ends = {(p.node, p.number): frozenset((p.node, p.peer_node)) for p in state.ports}
        self._down: dict[Pair, set[str]] = defaultdict(set)
        self._since: dict[Pair, int] = {}
        """When links that had failed came back."""
        self._known = ways(state)
        self._on = dict(state.ways)
        self._rules: dict[str, dict[Key, Rule]] = defaultdict(dict)
        """Switch -> its rules."""
        self.change(state.rules, ())
        for delta in taken:
            self.take(delta)
        self._unheard: set[Pair] = set()
        """Links that paths were taken off, of which no switch has said how they are."""
        for cookie, number in self._on.items():
            mine = self._known[cookie]
            for way in mine[:number]:
                self._unheard |= way.links - mine[number].links

    def rules(self, switch: str) -> list[Rule]:
        """What a switch has."""
        return list(self._rules[switch].values())

    def change(self, add: Iterable[Rule], delete: Iterable[Rule]) -> None:
        """Rules come and go (OpenFlow 1.3.5 clause 6.4)."""
        for rule in add:
            self._rules[rule.switch][key(rule)] = rule
        for rule in delete:
            self._rules[rule.switch].pop(key(rule), None)

    def port(self, switch: str, number: int, live: bool, now_ns: int) -> int | None:
        """A switch says whether a port is live.

        Returns when to ask for changes because of it (the clock of `now_ns`), or None.
        """
        link = self._ends.get((switch, number))
        if link is None:
            return None
        was = bool(self._down[link]) or link in self._unheard
        (self._down[link].discard if live else self._down[link].add)(switch)
        self._unheard.discard(link)
        if bool(self._down[link]) == was:
            return None
        if was:
            self._since[link] = now_ns
            return now_ns + self._wait_ns
        self._since.pop(link, None)
        return now_ns

    def changes(self, now_ns: int) -> list[Reroute]:
        """What puts paths on the ways they should take, of those that are on others."""
        return reroutes(self._known, self._on, *self._shunned(now_ns))

    def take(self, delta: Reroute) -> None:
        """The path is on this way from now on."""
        self.change((*delta.prepare, *delta.switch_over), ())
        self._on[delta.cookie] = delta.way

    def current(self, delta: Reroute, now_ns: int) -> bool:
        """Whether a change that was asked for is still the right one."""
        mine, on = self._known[delta.cookie], self._on.get(delta.cookie, 0)
        return better(mine, on, *self._shunned(now_ns)) == delta

    def _shunned(self, now_ns: int) -> tuple[set[Pair], set[Pair]]:
        """The links that are down, and those that only the paths on them may use."""
        down = {link for link, ends in self._down.items() if ends}
        waiting = {link for link, at_ns in self._since.items() if now_ns < at_ns + self._wait_ns}
        return down, waiting | self._unheard
