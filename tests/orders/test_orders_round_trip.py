"""What is written as an order is read back as the same slice; reading is linear and quick."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.scenario.model import Sdp, Slice
from testbed.scenario.orders.read import parse_orders
from testbed.scenario.orders.write import to_ietf
from tests.orders.documents import PLAIN, document, slices
from tests.searching import examples

TWO = (Sdp(id="a", node="h1"), Sdp(id="b", node="h2"))


@given(st.lists(slices(), max_size=3))
@settings(max_examples=examples(150), deadline=None)
def test_slices_survive_a_document(drawn: list[Slice]) -> None:
    named = [_renamed(slice_, f"s{n}") for n, slice_ in enumerate(drawn)]
    written, notes = to_ietf(named)
    found = parse_orders(json.dumps(written).encode(), "body")
    assert list(found.slices) == named
    assert notes == found.notes == ()


def _renamed(slice_: Slice, name: str) -> Slice:
    return msgspec.structs.replace(slice_, id=name)


def test_an_availability_between_levels_is_written_as_the_stricter() -> None:
    written, notes = to_ietf([Slice(id="s", sst=1, sdps=TWO, availability=0.995)])
    assert notes == ("slice s: availability 0.995 is written as three-nines",)
    assert parse_orders(json.dumps(written).encode(), "").slices[0].availability == 0.999


@pytest.mark.parametrize(
    ("slice_", "says"),
    [
        (Slice(id="s", sst=1), "has 0 SDPs"),
        (Slice(id="s", sst=1, sdps=TWO, loss=0.0), "one-way-packet-loss of 0"),
        (Slice(id="s", sst=1, sdps=TWO, loss=1e-15), "cannot be said"),
        (
            Slice(id="s", sst=1, sdps=TWO, delay_percentile=99.9999, delay_percentile_ns=5),
            "more than 3 decimals",
        ),
    ],
)
def test_what_the_module_cannot_say_is_refused(slice_: Slice, says: str) -> None:
    with pytest.raises(InputError, match=says):
        to_ietf([slice_])


@pytest.mark.thorough
def test_ten_thousand_orders_take_seconds_and_grow_linearly() -> None:
    def seconds(count: int) -> float:
        services = [PLAIN | {"id": f"s{n}"} for n in range(count)]
        body = json.dumps(document(*services)).encode()
        start = time.process_time()
        assert len(parse_orders(body, "body").slices) == count
        return time.process_time() - start

    seconds(100)
    small, large = min(seconds(1_000) for _ in range(3)), seconds(10_000)
    assert large < 20
    assert large < 30 * small  # ten times as many; a quadratic reader would need 100


def test_ten_thousand_faults_end_soon() -> None:
    wrong: dict[str, Any] = PLAIN | {"what": 1}
    body = json.dumps(document(*(wrong | {"id": f"s{n}"} for n in range(10_000)))).encode()
    with pytest.raises(InputError, match="is unknown") as caught:
        parse_orders(body, "body")
    assert len(str(caught.value).splitlines()) < 30
    assert "mend these first" in caught.value.remedy
