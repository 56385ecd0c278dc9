import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import units
from testbed.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 ms", 5_000_000),
        ("200us", 200_000),
        ("1.5 s", 1_500_000_000),
        ("0 s", 0),
        ("1e3 ns", 1000),
    ],
)
def test_time(text: str, value: int) -> None:
    assert units.time_ns(text) == value


@pytest.mark.parametrize("text", ["5", "", "ms", "-1 ms", "5 m s", "5 parsec", "nan ms", 5, None])
def test_time_is_refused(text: object) -> None:
    with pytest.raises(InputError) as error:
        units.time_ns(text, "deadline of telesurgery")
    assert error.value.where == "deadline of telesurgery"
    assert error.value.expected


@given(st.integers(1, 10**12))
def test_a_rate_keeps_its_value(bps: int) -> None:
    assert units.rate_bps(f"{bps} bit/s") == bps


@given(st.text())
def test_any_text_is_a_quantity_or_an_input_error(text: str) -> None:
    for parse in (units.time_ns, units.rate_bps, units.length_km, units.size_bytes):
        with contextlib.suppress(InputError):
            assert parse(text) >= 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (980, "980 ns"),
        (1_234_567, "1.23 ms"),
        (88_146, "88.1 us"),
        (2e9, "2.00 s"),
        (450e6, "450 ms"),
    ],
)
def test_times_are_shown_with_three_digits(value: float, text: str) -> None:
    assert units.show_ns(value) == text
