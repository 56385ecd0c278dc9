"""The text of a document: its size, encoding and syntax."""

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.scenario.orders.document import MAX_BYTES
from testbed.scenario.orders.read import parse_orders, read_orders
from testbed.scenario.orders.schema import ROOT


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b'{"a": }', "Expecting value"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "b": 2, "a": 3}', "member 'a' is twice"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"[" + b"9" * 5_000 + b"]", "not JSON"),
    ],
)
def test_a_text_that_is_no_json(body: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_orders(body, "request")
    assert caught.value.where.startswith("request")


def test_size_is_capped_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="more than 10 bytes"):
        parse_orders(b" " * 11, "request", max_bytes=10)
    with pytest.raises(InputError, match=f"more than {MAX_BYTES} bytes"):
        read_orders(Path("/dev/zero"))


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "o.json"
    file.write_text('{\n "x": 1,\n}')
    with pytest.raises(InputError) as caught:
        read_orders(file)
    assert caught.value.where.startswith(f"{file}:")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            read_orders(path)


def test_an_unknown_format() -> None:
    with pytest.raises(InputError, match="unknown format"):
        parse_orders(b"{}", "request", "3ggp")  # type: ignore[arg-type]


def test_no_orders_are_no_slices() -> None:
    assert parse_orders(f'{{"{ROOT}": {{}}}}'.encode(), "request").slices == ()
