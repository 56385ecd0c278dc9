"""A JSON document from a file or a request's body: sizes, encoding and syntax.

Every fault of the text itself is found here: too large, not UTF-8, not JSON, NaN, a
member twice in one object (RFC 8259 leaves open which would win), nested too deep, a
number beyond what a double holds. Reading takes time in proportion to the size.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from testbed.errors import InputError

MAX_BYTES = 64_000_000
"""Larger documents are refused unread: ten thousand orders are about 15 MB."""

MAX_DEPTH = 64
"""Arrays and objects within each other; no format needs a quarter of it."""

_EXPECTED = "a JSON document (RFC 8259) in UTF-8"


def read_document(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON in a file. Raises InputError."""
    where = str(path)
    try:
        with path.open("rb") as file:
            body = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(
            f"cannot read: {error.strerror}", where=where, expected="a JSON file"
        ) from error
    return parse_document(body, where, max_bytes)


def parse_document(body: bytes, where: str, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON in a body. Raises InputError."""
    if len(body) > max_bytes:
        raise InputError(
            f"more than {max_bytes} bytes",
            where=where,
            expected=f"at most {max_bytes} bytes",
            remedy="split the orders over several documents",
        )
    try:
        found = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_finite,
        )
        _shallow(found)
    except InputError as error:
        error.where = where
        raise
    except json.JSONDecodeError as error:
        raise InputError(
            f"not JSON: {error.msg}",
            where=f"{where}:{error.lineno}:{error.colno}",
            expected=_EXPECTED,
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} is not UTF-8", where=where, expected=_EXPECTED
        ) from error
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"not JSON: {error}", where=where, expected=_EXPECTED) from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                break
            seen.add(name)
        twice = name if len(name) <= 60 else name[:57] + "..."
        raise InputError(f"member {twice!r} is twice in one object", expected="each member once")
    return found


def _finite(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise InputError(f"{written[:60]} is beyond any double", expected="a smaller number")
    return number


def _shallow(found: Any) -> None:
    """Raises InputError for what is nested too deep."""
    level: list[Any] = [[found]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep("")


def _too_deep(where: str) -> InputError:
    return InputError("nested too deep", where=where, expected=f"at most {MAX_DEPTH} levels")


def _constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not JSON", expected=_EXPECTED)
