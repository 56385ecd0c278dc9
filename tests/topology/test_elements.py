import pytest

from testbed.errors import InputError
from testbed.topology.elements import ELEMENTS, amplifiers, element, fibre_ns


def test_light_takes_its_group_index_over_c() -> None:
    assert fibre_ns(1) == round(1.4682 / 299_792.458 * 1e9)
    assert fibre_ns(100) == 489_700
    assert fibre_ns(0) == 0


@pytest.mark.parametrize(("km", "sites"), [(0, 0), (80, 0), (80.1, 1), (160, 1), (2250, 28)])
def test_an_amplifier_for_each_further_80_km(km: float, sites: int) -> None:
    assert amplifiers(km) == sites


def test_every_kind_has_a_source_and_fits_its_range() -> None:
    assert all(e.source and 0 <= e.forwarding_ns <= 1_000_000 for e in ELEMENTS.values())
    assert {k for k, e in ELEMENTS.items() if e.optical} == {"oxc", "roadm"}
    assert {k for k, e in ELEMENTS.items() if e.role == "host"} == {"host", "ue", "compute"}


def test_unknown_kind_names_the_nearest_of_its_role() -> None:
    with pytest.raises(InputError, match="did you mean 'router'") as caught:
        element("ruter", "switch", "switch r1")
    assert caught.value.where == "switch r1"
    assert "compute" not in caught.value.expected
    with pytest.raises(InputError, match="unknown switch kind 'ue'"):
        element("ue", "switch")
