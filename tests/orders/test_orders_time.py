"""Reading an order takes time in proportion to its size, however it is made."""

from __future__ import annotations

import json

import pytest

from testbed.errors import InputError
from testbed.scenario.orders.document import MAX_DEPTH, parse_document


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
