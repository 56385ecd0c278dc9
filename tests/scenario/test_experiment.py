"""build() collects a frozen scenario, and says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.errors import InputError
from testbed.scenario.events import cut_fibre, mend_fibre
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.scenario import Scenario

UNUSED: Any = lambda _ref: None


class Sample(Experiment):
    """Does it hold?"""

    def build(
        self, span: str = "18 km", flood: float = 1.2, sites: int = 4, tcp: bool = False
    ) -> None:
        self.topology("metro_ring", span=span, sites=sites)
        s = self.slice("urgent", sst=2, guaranteed="5 Mbit/s", priority=20)
        self.probe("telesurgery_haptic", "h1", "h2", slice=s, duration="10 s")
        self.probe("telesurgery_haptic", "h1", "h3", slice=s, duration="10 s")
        self.flow(
            "load",
            "h2",
            "h3",
            slice=s,
            rate=f"{flood * 10} Mbit/s",
            duration="1 s",
            kind="tcp" if tcp else "udp",
        )
        self.at("7 s", mend_fibre("s1", "s2"))
        self.at("5 s", cut_fibre("s1", "s2"))


def test_a_scenario_survives_json() -> None:
    scenario = scenario_of("sample", Sample, {}, seed=7, network=UNUSED)
    assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario
    assert scenario.question == "Does it hold?"
    assert [p.id for p in scenario.probes] == ["telesurgery_haptic", "telesurgery_haptic-2"]
    assert [e.at_ns for e in scenario.events] == [5_000_000_000, 7_000_000_000]


class Scheduled(Sample):
    """Whose turn is it?"""

    def build(self, kind: str = "time_aware", cycle: str = "2 ms", burst: str = "8 kB") -> None:  # type: ignore[override]
        super().build()
        self.scheduler(kind, cycle=cycle)
        self.policing(burst)


def test_a_scheduler_and_policing_are_part_of_the_scenario() -> None:
    plain = scenario_of("sample", Sample, {}, seed=7, network=UNUSED)
    assert (plain.scheduler, plain.policing_burst_bytes) == ("htb", None)
    one = scenario_of("scheduled", Scheduled, {}, seed=7, network=UNUSED)
    assert (one.scheduler, one.cycle_ns, one.policing_burst_bytes) == (
        "time_aware",
        2_000_000,
        8000,
    )


def test_an_unknown_scheduler_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'strict_priority'"):
        scenario_of("s", Scheduled, {"kind": "strict-priority"}, seed=1, network=UNUSED)


def test_parameters_come_typed_from_text() -> None:
    scenario = scenario_of(
        "sample", Sample, {"flood": "2", "tcp": "yes", "sites": "6"}, seed=1, network=UNUSED
    )
    assert scenario.params == {"span": "18 km", "flood": 2.0, "sites": 6, "tcp": True}
    assert scenario.flows[0].rate_bps == 20_000_000
    assert scenario.flows[0].kind == "tcp"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"spam": "18 km"}, "did you mean 'span'"),
        ({"flood": "much"}, "is not a number"),
        ({"flood": "nan"}, "is not a number"),
        ({"sites": "4.5"}, "is not a whole number"),
        ({"tcp": "maybe"}, "is not yes or no"),
        ({"flood": "-1"}, "negative"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as error:
        scenario_of("sample", Sample, given, seed=1, network=UNUSED)
    assert says in str(error.value)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("slice", {"sst": 0}),
    ("slice", {"sst": 2, "sd": "12345G"}),
    ("slice", {"sst": 2, "priority": 0}),
    ("slice", {"sst": 2, "guaranteed": "5"}),
    ("flow", {"rate": "0 bit/s", "duration": "1 s"}),
    ("flow", {"rate": "1 Mbit/s", "duration": "0 s"}),
    ("flow", {"rate": "1 Mbit/s", "duration": "1 s", "dscp": 64}),
    ("flow", {"rate": "1 Mbit/s", "duration": "1 s", "packet": "9000 B"}),
    ("flow", {"rate": "1 Mbit/s", "duration": "1 s", "kind": "sctp"}),
    ("probe", {"duration": "10"}),
    ("probe", {"duration": "10 s", "deadline": "5"}),
    ("probe", {"duration": "10 s", "id": "a/b"}),
]


@pytest.mark.parametrize(("verb", "given"), WRONG)
def test_wrong_calls_are_input_errors(verb: str, given: dict[str, Any]) -> None:
    experiment = Experiment(UNUSED)
    call: dict[str, Callable[[], object]] = {
        "slice": lambda: experiment.slice("s", **given),
        "flow": lambda: experiment.flow("f", "h1", "h2", slice="s", **given),
        "probe": lambda: experiment.probe("app", "h1", "h2", slice="s", **given),
    }
    with pytest.raises(InputError) as error:
        call[verb]()
    assert error.value.expected


def test_ids_are_given_once() -> None:
    experiment = Experiment(UNUSED)
    experiment.slice("s", sst=1)
    with pytest.raises(InputError, match="two slices"):
        experiment.slice("s", sst=1)


def test_an_error_in_build_is_named_with_its_line() -> None:
    class Wrong(Experiment):
        def build(self) -> None:
            self.slice("s", sst=1, guarantee="5 Mbit/s")  # type: ignore[call-arg]

    with pytest.raises(InputError, match=r"argument of slice.*'guarantee'") as error:
        scenario_of("wrong", Wrong, {}, seed=1, network=UNUSED)
    assert Path(__file__).name in error.value.where
    assert "guaranteed" in error.value.expected
    assert "'guaranteed'" in error.value.remedy


def test_a_call_that_is_not_there_is_answered_with_the_nearest() -> None:
    class Wrong(Experiment):
        def build(self) -> None:
            self.probbe("ar_vr_pose")  # type: ignore[attr-defined]

    with pytest.raises(InputError, match="probbe") as error:
        scenario_of("wrong", Wrong, {}, seed=1, network=UNUSED)
    assert error.value.remedy == "did you mean 'probe'?"
    assert Path(__file__).name in error.value.where


def test_an_order_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no order file") as error:
        Experiment(UNUSED).orders("orders/none.json")
    assert error.value.expected.count("orders/none.json") == 2


def test_an_experiment_needs_a_topology_and_a_slice() -> None:
    class Empty(Experiment):
        def build(self) -> None:
            pass

    with pytest.raises(InputError, match="no topology"):
        scenario_of("empty", Empty, {}, seed=1, network=UNUSED)


class Timed(Experiment):
    """When is it sent?"""

    def build(self, drift: float = 20.0, own: float = -3.5) -> None:
        self.topology("metro_ring")
        self.clocks(drift_ppm=drift)
        self.slice("s", sst=1)
        self.probe("site_reach", "h1", "h2", slice="s", duration="2 s", phase="3 ms")
        self.probe("site_reach", "h1", "h3", slice="s", duration="2 s", drift_ppm=own)
        self.flow("f", "h2", "h3", slice="s", rate="1 Mbit/s", duration="2 s", phase="0 s")


def test_phases_and_clocks_are_part_of_the_scenario() -> None:
    asked = scenario_of("timed", Timed, {}, seed=1, network=UNUSED)
    assert asked.clock_drift_ppb == 20_000
    fixed, drifting = asked.probes
    assert (fixed.phase_ns, fixed.drift_ppb) == (3_000_000, None)
    assert (drifting.phase_ns, drifting.drift_ppb) == (None, -3500)
    assert asked.flows[0].phase_ns == 0
    with pytest.raises(InputError, match="drift_ppm = -1"):
        scenario_of("timed", Timed, {"drift": -1.0}, seed=1, network=UNUSED)


def test_a_headline_is_the_experiments_own_or_told_from_its_events() -> None:
    def of(kind: type[Experiment]) -> str:
        return scenario_of("x", kind, {}, seed=1, network=UNUSED).headline

    assert (of(Sample), of(Timed)) == ("outages", "verdicts")
    assert of(type("Own", (Timed,), {"headline": "reach"})) == "reach"
    with pytest.raises(InputError, match=r"headline 'isolatoin'") as wrong:
        of(type("Wrong", (Timed,), {"headline": "isolatoin"}))
    assert "isolation" in str(wrong.value)
