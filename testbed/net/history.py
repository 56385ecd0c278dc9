"""The states of a network one after the other, as far as they are known beforehand."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.net.restoration import restored, ways
from testbed.net.state import State
from testbed.scenario.delta import Delta


def history(first: State, deltas: Iterable[Delta]) -> list[State]:
    """The first state, and the one after each delta once the controller has answered it.

    Raises InputError for what cannot happen when it is to.
    """
    states, known = [first], ways(first)
    for delta in deltas:
        states.append(restored(states[-1] + delta, known))
    return states
