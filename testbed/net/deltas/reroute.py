"""A path that is restored by the controller is put on another of its ways."""

from __future__ import annotations

import msgspec

from testbed.net.state import State, effect, with_rules
from testbed.net.tables import Rule
from testbed.scenario.delta import Delta


class Reroute(Delta, frozen=True, kw_only=True, tag="reroute"):
    """A path takes another way: a backup of its own, or the path itself again."""

    path: str
    cookie: int
    way: int
    """0 is the path itself."""
    nodes: tuple[str, ...]
    prepare: tuple[Rule, ...]
    """What has to be on the switches before `switch_over`."""
    switch_over: tuple[Rule, ...]
    """Takes the place of the first switch's rules."""

    @property
    def text(self) -> str:
        return f"reroute {self.path} by {'-'.join(self.nodes)}"


@effect(Reroute)
def reroute(state: State, delta: Reroute) -> State:
    """Rules of the way are added, and stay when the path leaves it."""
    ways = {**state.ways, delta.cookie: delta.way}
    return msgspec.structs.replace(
        state,
        rules=with_rules(state.rules, (*delta.prepare, *delta.switch_over)),
        ways={cookie: ways[cookie] for cookie in sorted(ways) if ways[cookie]},
    )
