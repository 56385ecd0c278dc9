"""Orders as they come at run time, and switches that carry out the steps of a change."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.change import Step
from testbed.plan.intake import Intake
from testbed.plan.model import Plan
from testbed.plan.openflow import key
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


def intake(network: Network | None = None, **given: Any) -> Intake:
    """The triangle with h1's probe to h2 on slice gold, unless given."""
    asked = scenario(**given)
    plan = compiled(LowestDelay(), asked, network)
    return Intake(plan, asked.slices, LowestDelay(), asked.scheduler)


class Switches:
    """What a plan's switches have, and take."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.rules = {key(rule): rule for rule in plan.rules}
        self.ports = {port.name: port for port in plan.ports}

    def do(self, step: Step) -> None:
        self.ports |= {port.name: port for port in step.ports}
        self.rules |= {key(rule): rule for rule in step.add}
        for rule in step.delete:
            self.rules.pop(key(rule), None)

    def plan(self) -> Plan:
        return msgspec.structs.replace(
            self._plan, rules=tuple(self.rules.values()), ports=tuple(self.ports.values())
        )


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
