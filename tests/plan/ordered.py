"""Orders as they come at run time."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.net.deltas.install import Install
from testbed.net.state import State
from testbed.net.tables import key
from testbed.plan.admission import Admission
from testbed.plan.refusal import Refusal
from testbed.scenario.model import Construct, Group, Match, Sdp, Slice
from testbed.topology.model import Network
from tests.plan.networks import MBIT, compiled, scenario


def order(
    id_: str = "late",
    a: str = "h1",
    b: str = "h2",
    *,
    rate: int = 10 * MBIT,
    dscp: tuple[int, ...] = (),
    both: bool = True,
    **given: Any,
) -> Slice:
    """A slice between two hosts, both ways unless told otherwise."""
    matches = (Match(group="g", dscp=dscp),)
    ways = [("there", "a", "b"), ("back", "b", "a")]
    return Slice(
        id=id_,
        sst=1,
        guaranteed_bps=rate,
        sdps=(Sdp(id="a", node=a, matches=matches), Sdp(id="b", node=b, matches=matches)),
        groups=(
            Group(
                id="g",
                constructs=tuple(
                    Construct(id=name, senders=(src,), receivers=(dst,))
                    for name, src, dst in ways[: 1 + both]
                ),
            ),
        ),
        **given,
    )


def admission(network: Network | None = None, **given: Any) -> Admission:
    """The triangle with h1's probe to h2 on slice gold, unless given."""
    return Admission(compiled(LowestDelay(), scenario(**given), network), LowestDelay())


def admitted(here: Admission, state: State, *orders: Slice) -> State:
    """The state with further orders, all of which fit."""
    for one in orders:
        delta = here.admit(state, one)
        assert isinstance(delta, Install), delta
        state = state + delta
    return state


def refused(here: Admission, state: State, asked: Slice) -> Refusal:
    """Why an order is not carried."""
    answer = here.admit(state, asked)
    assert isinstance(answer, Refusal), answer
    return answer


def canonical(state: State) -> State:
    """Rules in order, so that states are compared by what switches do."""
    rules = tuple(sorted(state.rules, key=lambda rule: repr(key(rule))))
    return msgspec.structs.replace(state, rules=rules)


@st.composite
def requests(draw: st.DrawFn, hosts: list[str]) -> list[tuple[str, Slice]]:
    """Orders, changes and withdrawals of up to four slices."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        a, b = draw(st.lists(st.sampled_from(hosts), min_size=2, max_size=2, unique=True))
        asked = order(
            draw(st.sampled_from(["w", "x", "y", "z"])),
            a,
            b,
            rate=draw(st.sampled_from([0, MBIT, 30 * MBIT, 60 * MBIT])),
            dscp=draw(st.sampled_from([(), (46,), (10, 12)])),
            both=draw(st.booleans()),
            priority=draw(st.integers(1, 127)),
        )
        found.append((draw(st.sampled_from(["place", "replace", "remove"])), asked))
    return found
