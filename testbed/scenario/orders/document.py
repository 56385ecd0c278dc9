"""A JSON document from a file or a request's body: sizes, encoding and syntax.

Every fault of the text itself is found here: too large, not UTF-8, not JSON, NaN, a
member twice in one object (RFC 8259 leaves open which would win), nested too deep.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from testbed.errors import InputError

MAX_BYTES = 64_000_000
"""Larger documents are refused unread: ten thousand orders are about 15 MB."""

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
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
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
        raise InputError("nested too deep", where=where, expected=_EXPECTED) from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"not JSON: {error}", where=where, expected=_EXPECTED) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"member {twice!r} is twice in one object", expected="each member once")
    return found


def _constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not JSON", expected=_EXPECTED)
