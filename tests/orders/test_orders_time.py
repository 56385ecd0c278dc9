"""Reading an order takes time in proportion to its size, however it is made."""

from __future__ import annotations

import json

import pytest

from testbed.errors import InputError
from testbed.scenario.orders.document import MAX_DEPTH, parse_document
from testbed.scenario.orders.profile import Attributes
from testbed.scenario.orders.read import parse_orders
from testbed.scenario.orders.schema import LIST
from testbed.scenario.orders.yang import MAX_FAULTS, OrderError
from testbed.units import time_ns
from tests.orders.documents import PLAIN, changed
from tests.plan.ordered import admission, admitted, order, refused


class Counted(str):
    """A name that counts how often it is compared."""

    asked = 0

    def __hash__(self) -> int:
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.asked += 1
        return super().__eq__(other)


def test_a_member_that_is_twice_is_found_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(text: str, object_pairs_hook: object, **_: object) -> object:
        pairs = [(Counted(f"m{n}"), n) for n in range(3000)]
        assert callable(object_pairs_hook)
        return object_pairs_hook([*pairs, (Counted("m2999"), 0)])

    monkeypatch.setattr(json, "loads", counted)
    with pytest.raises(InputError, match="'m2999' is twice"):
        parse_document(b"{}", "here")
    assert Counted.asked < 100_000


def test_so_deep_and_no_deeper() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse_document(deep, "here") == json.loads(deep)
    for body in (b"[" + deep + b"]", b'{"a":' * 100_000, b"[" * 100_000):
        with pytest.raises(InputError, match=r"nested too deep|not JSON") as wrong:
            parse_document(body, "here")
        assert "here" in wrong.value.where


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "1" * 10_000])
def test_numbers_are_finite(number: str) -> None:
    with pytest.raises(InputError):
        parse_document(f'{{"a": [{number}]}}'.encode(), "here")


@pytest.mark.parametrize("body", ['{{"serviceProfileId":"x",{}}}', '{{"attributes":{{{}}}}}'])
def test_reading_ends_after_so_many_faults(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    place = Attributes._place

    def counted(attributes: Attributes, name: str) -> str:
        asked.append(name)
        return place(attributes, name)

    monkeypatch.setattr(Attributes, "_place", counted)
    members = ",".join(f'"m{n}":{n}' for n in range(2_000))
    with pytest.raises(OrderError) as wrong:
        parse_orders(body.format(members).encode(), "here")
    assert len(wrong.value.faults) == MAX_FAULTS
    assert wrong.value.where == "here"
    assert len(asked) < 100


def test_so_many_directions_and_no_more() -> None:
    ends = [{"id": f"e{n}", "node-id": f"h{n}"} for n in range(102)]
    construct = {"id": "c", "a2a-sdp": [{"sdp-id": end["id"]} for end in ends]}

    def all_to_all(service: dict[str, object]) -> None:
        service["sdps"] = {"sdp": ends}
        service["connection-groups"] = {
            "connection-group": [{"id": "g", "connectivity-construct": [construct]}]
        }

    with pytest.raises(OrderError, match="connects 10404 pairs") as wrong:
        parse_orders(json.dumps({LIST: [changed(all_to_all, PLAIN)]}).encode(), "here")
    assert wrong.value.faults[0].path.endswith("/connection-groups")


def test_an_order_at_run_time_has_so_many_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    here = admission()
    monkeypatch.setattr("testbed.plan.placing.MAX_DIRECTIONS", 1)
    assert "connects 2 pairs of hosts" in refused(here, here.first, order(dscp=(10,))).what
    assert admitted(here, here.first, order(dscp=(10,), both=False)).book.placed


def test_a_quantity_is_short() -> None:
    with pytest.raises(InputError, match="too long for a time"):
        time_ns("1 s" + " " * 100_000 + "\n")
