"""Typed parameters of a build() function: what it takes, and values from text."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from typing import Any

from testbed.errors import InputError, unknown
from testbed.scenario.model import Param

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_KINDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "yes or no"}


def parameters(build: Callable[..., Any], where: str) -> dict[str, tuple[type, Param]]:
    """Name -> (type, default) of a build() function's parameters, without self.

    Raises InputError for a parameter without a default or of another type than
    str, int, float, bool.
    """
    hints = typing.get_type_hints(build)
    found: dict[str, tuple[type, Param]] = {}
    for parameter in inspect.signature(build).parameters.values():
        if parameter.name == "self" or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            continue
        kind = hints.get(parameter.name)
        if kind not in _KINDS or parameter.default is parameter.empty:
            raise InputError(
                f"parameter {parameter.name!r} of build() has no usable type or default",
                where=where,
                expected="name: str|int|float|bool = default",
            )
        found[parameter.name] = (kind, parameter.default)
    return found


def _convert(value: object, kind: type, name: str, where: str) -> Param:
    bad = InputError(
        f"{name} = {value!r} is not {_KINDS[kind]}", where=where, expected=_KINDS[kind]
    )
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise bad
    if kind is str:
        if isinstance(value, str):
            return value
        raise bad
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise bad
    if kind is int and isinstance(value, float):
        raise bad
    try:
        number = kind(value)
    except ValueError:
        raise bad from None
    if not math.isfinite(number):
        raise bad
    return typing.cast(Param, number)


def bind(build: Callable[..., Any], given: Mapping[str, object], where: str) -> dict[str, Param]:
    """All parameters of build(), the given ones converted to their types.

    Raises InputError: unknown name (with the nearest), wrong type.
    """
    known = parameters(build, where)
    bound = {name: default for name, (_, default) in known.items()}
    for name, value in given.items():
        if name not in known:
            raise unknown("parameter", name, known, where=where)
        bound[name] = _convert(value, known[name][0], name, where)
    return bound
