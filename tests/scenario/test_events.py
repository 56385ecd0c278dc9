"""What can happen at a moment, and what cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controllers.policies.lowest_delay import LowestDelay
from testbed.errors import InputError
from testbed.scenario import events
from testbed.scenario.events import Event
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.model import Recovery
from testbed.scenario.scenario import Scenario
from tests.plan.networks import MS, S, compiled, scenario

HAPPENINGS = {
    "cut s1-s2": events.cut_fibre("s1", "s2"),
    "silence s1-s2": events.silence_fibre("s1", "s2"),
    "mend s1-s2": events.mend_fibre("s1", "s2"),
    "drop s3": events.drop_node("s3"),
    "revive s3": events.revive_node("s3"),
    "slow s3": events.slow_node("s3", by="2 ms"),
    "restart s3": events.restart_switch("s3"),
    "kill controller": events.kill_controller(),
    "start controller": events.start_controller(),
}


def collected(build: Any) -> Scenario:
    def whole(self: Experiment) -> None:
        self.topology("any")
        self.slice("gold", sst=2)
        build(self)

    kind = type("Sample", (Experiment,), {"build": whole})
    return scenario_of("sample", kind, {}, seed=1, network=lambda _: None)  # type: ignore[arg-type, return-value]


def test_all_events_are_named_dated_sorted_and_survive_json() -> None:
    def build(self: Experiment) -> None:
        for second, event in enumerate(reversed(HAPPENINGS.values())):
            self.at(f"{9 - second} s", event)

    found = collected(build)
    assert [event.text for event in found.events] == list(HAPPENINGS)
    assert [event.at_ns for event in found.events] == [n * S for n in range(1, 10)]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Scenario) == found
    compiled(LowestDelay(), scenario(events=found.events))


def test_recovery_is_collected() -> None:
    found = collected(lambda self: self.recovery(control_delay="2 ms", bfd="3 ms"))
    assert found.recovery == Recovery(control_delay_ns=2 * MS, bfd_ns=3 * MS)
    assert compiled(LowestDelay(), scenario(recovery=found.recovery)).recovery == found.recovery
    for bfd in ("500 us", "1.5 ms"):
        with pytest.raises(InputError, match="bfd"):
            collected(lambda self, bfd=bfd: self.recovery(bfd=bfd))


def test_what_is_no_event_or_protection_is_refused() -> None:
    with pytest.raises(InputError, match=r"at\(\) was given 'cut'"):
        collected(lambda self: self.at("1 s", "cut"))
    with pytest.raises(InputError, match="did you mean 'fast_failover'"):
        collected(lambda self: self.slice("s", sst=1, protection="fast_failovr"))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (events.cut_fibre("s1", "h2"), "unknown neighbour of s1 'h2'"),
        (events.silence_fibre("s9", "s1"), "unknown node 's9'"),
        (events.drop_node("s33"), "did you mean 's3'"),
        (events.restart_switch("h1"), "unknown switch 'h1'"),
        (events.start_controller(), "the controller runs at 1.00 s"),
    ],
)
def test_events_name_what_is_there(event: Event, says: str) -> None:
    dated = msgspec.structs.replace(event, at_ns=S)
    with pytest.raises(InputError) as caught:
        compiled(LowestDelay(), scenario(events=(dated,)))
    assert says in str(caught.value)


def test_a_controller_is_killed_once() -> None:
    twice = (msgspec.structs.replace(events.kill_controller(), at_ns=n * S) for n in (1, 2))
    with pytest.raises(InputError, match=r"does not run at 2\.00 s"):
        compiled(LowestDelay(), scenario(events=tuple(twice)))
