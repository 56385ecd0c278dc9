"""Experiment.background(): quantities with units in, a frozen Background out."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import InputError
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.model import Background

UNUSED: Any = lambda _ref: None


def collected(**given: Any) -> tuple[Background, ...]:
    class Sample(Experiment):
        """?"""

        def build(self) -> None:
            self.topology("city")
            self.slice("gold", sst=1)
            fields = {"slice": "gold", "rate": "8 Gbit/s", "duration": "2 s"}
            self.background("load", "h1", "h2", **(fields | given))

    return scenario_of("sample", Sample, {}, seed=1, network=UNUSED).backgrounds


def test_defaults() -> None:
    assert collected() == (
        Background(
            id="load",
            src="h1",
            dst="h2",
            slice="gold",
            rate_bps=8_000_000_000,
            sizes=((1518, 1),),
            arrivals="poisson",
            burst=1,
            start_ns=0,
            duration_ns=2_000_000_000,
        ),
    )


def test_sizes_with_weights() -> None:
    (one,) = collected(packet={"64 B": 7, "1518 B": 1}, start="1 s", burst=3, arrivals="periodic")
    assert one.sizes == ((64, 7), (1518, 1))
    assert (one.start_ns, one.burst, one.arrivals) == (1_000_000_000, 3, "periodic")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"arrivals": "random"}, "poisson or periodic"),
        ({"rate": "0 bit/s"}, "is zero"),
        ({"rate": 5}, "has no unit"),
        ({"packet": "1518"}, "has no unit"),
        ({"packet": {"64 B": 0.5}}, "weight of 64 B = 0.5"),
        ({"burst": 1.5}, "burst = 1.5"),
        ({"duration": "0 s"}, "duration is zero"),
    ],
)
def test_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        collected(**given)
