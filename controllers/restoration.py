"""When paths that order `reactive` take other ways, as links fail and come back. Pure.

A link that had failed may be used again once it has been up for the wait-to-restore,
unless the path is on it already.
"""

from __future__ import annotations

from collections import defaultdict

from testbed.net.deltas.reroute import Reroute
from testbed.net.restoration import reroutes, ways
from testbed.net.state import Pair, State


class Restoration:
    """What switches said of their ports, and the state that the controller has made."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._wait_ns = state.recovery.wait_to_restore_ns
        self._ends = {(p.node, p.number): frozenset((p.node, p.peer_node)) for p in state.ports}
        self._down: dict[Pair, set[str]] = defaultdict(set)
        self._since: dict[Pair, int] = {}
        """When links that had failed came back."""
        self._ways = ways(state)

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

    def changes(self, now_ns: int) -> list[Reroute]:
        """What puts paths on the ways they should take, of those that are on others."""

        def usable(link: Pair, used: bool) -> bool:
            if self._down[link]:
                return False
            return used or now_ns >= self._since.get(link, now_ns - self._wait_ns) + self._wait_ns

        return reroutes(self._ways, self.state.ways, usable)

    def take(self, delta: Reroute) -> None:
        """The path is on this way from now on."""
        self.state = self.state + delta

    def current(self, delta: Reroute, now_ns: int) -> bool:
        """Whether a change that was asked for is still the right one."""
        return delta in self.changes(now_ns)
