import pytest

from testbed.errors import InputError
from testbed.links.fibre import (
    AMPLIFIER_NS,
    AMPLIFIER_SPAN_KM,
    FIBRE_NS_PER_KM,
    TRANSPONDER_NS,
    amplifiers,
    fibre_ns,
)
from testbed.topology.elements import ELEMENTS, element


def test_light_takes_its_group_index_over_c() -> None:
    assert fibre_ns(1) == round(1.4682 / 299_792.458 * 1e9)
    assert fibre_ns(100) == 489_700
    assert fibre_ns(0) == 0


@pytest.mark.parametrize(("km", "sites"), [(0, 0), (80, 0), (80.1, 1), (160, 1), (2250, 28)])
def test_an_amplifier_for_each_further_80_km(km: float, sites: int) -> None:
    assert amplifiers(km) == sites


@pytest.mark.parametrize(
    ("kind", "forwarding_ns"),
    [
        ("host", 0),
        ("ue", 0),
        ("compute", 0),
        ("gnb", 0),
        ("oxc", 500),
        ("roadm", 500),
        ("switch", 1_000),
        ("otn", 15_000),
        ("router", 15_000),
        ("vswitch", 50_000),
        ("firewall", 200_000),
    ],
)
def test_what_each_kind_takes_is_what_the_documentation_says(kind: str, forwarding_ns: int) -> None:
    assert ELEMENTS[kind].forwarding_ns == forwarding_ns


def test_no_kind_is_without_its_number_above() -> None:
    assert len(ELEMENTS) == 11
    numbers = (FIBRE_NS_PER_KM, AMPLIFIER_NS, AMPLIFIER_SPAN_KM, TRANSPONDER_NS)
    assert numbers == (4_897, 150, 80.0, 15_000)


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
