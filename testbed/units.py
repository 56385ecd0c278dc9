"""Quantities as users write them, and the one unit each has inside.

    time    "5 ms", "200us", "1.5 s"      int nanoseconds   names end in _ns
    rate    "20 Mbit/s", "10 Gbit/s"      int bit/s         names end in _bps
    length  "18 km", "500 m"              float km          names end in _km
    size    "1500 B", "33 kB"             int bytes         names end in _bytes

A bare number has no unit and is refused. Prefixes are decimal (1 kB = 1000 B).
"""

from __future__ import annotations

import re

from testbed.errors import InputError

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*")

_LONGEST = 100
"""Characters of a quantity."""

_TIME = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9, "h": 3600e9}
_RATE = {
    f"{prefix}{unit}": factor
    for prefix, factor in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))
    for unit in ("bit/s", "bps")
}
_LENGTH = {"m": 1e-3, "km": 1.0}
_SIZE = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_MEMORY = {**_SIZE, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TB": 1e12, "TiB": 2**40}


def _parse(text: object, units: dict[str, float], kind: str, example: str, where: str) -> float:
    expected = f"a {kind} with its unit, such as {example!r} ({', '.join(units)})"
    if not isinstance(text, str):
        raise InputError(f"{kind} {text!r} has no unit", where=where, expected=expected)
    if len(text) > _LONGEST:
        what = f"{text[:_LONGEST]!r}... is too long for a {kind}"
        raise InputError(what, where=where, expected=expected)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a {kind}", where=where, expected=expected)
    number, unit = match.groups()
    if unit is None:
        raise InputError(f"{kind} {text!r} has no unit", where=where, expected=expected)
    if unit not in units:
        raise InputError(
            f"{kind} {text!r} has unknown unit {unit!r}", where=where, expected=expected
        )
    value = float(number) * units[unit]
    if value < 0:
        raise InputError(f"{kind} {text!r} is negative", where=where, expected=f"a {kind} >= 0")
    if value > 2**62:
        raise InputError(f"{kind} {text!r} is too large", where=where, expected=expected)
    return value


def time_ns(text: object, where: str = "") -> int:
    """Time in integer nanoseconds. Raises InputError."""
    return round(_parse(text, _TIME, "time", "5 ms", where))


def whole_ms_ns(text: str, where: str) -> int:
    """A time of whole milliseconds, 1 or more. Raises InputError."""
    found = time_ns(text, where)
    if found < 1_000_000 or found % 1_000_000:
        raise InputError(f"{text!r}", where=where, expected="whole milliseconds, 1 or more")
    return found


def rate_bps(text: object, where: str = "") -> int:
    """Rate in integer bit/s, greater than zero. Raises InputError."""
    value = round(_parse(text, _RATE, "rate", "20 Mbit/s", where))
    if value == 0:
        raise InputError(f"rate {text!r} is zero", where=where, expected="a rate > 0")
    return value


def length_km(text: object, where: str = "") -> float:
    """Length in km. Raises InputError."""
    return _parse(text, _LENGTH, "length", "18 km", where)


def size_bytes(text: object, where: str = "") -> int:
    """Size in bytes. Raises InputError."""
    return round(_parse(text, _SIZE, "size", "1500 B", where))


def memory_bytes(text: object, where: str = "") -> int:
    """'2 GiB' -> 2147483648. Raises InputError."""
    return round(_parse(text, _MEMORY, "memory size", "2 GiB", where))


def show_memory(value: int) -> str:
    """Memory for people and for `--memory`, not above the value.

    >>> show_memory(500 * 2**30), show_memory(24_105 * 2**20), show_memory(256 * 2**20)
    ('500 GiB', '23.54 GiB', '256 MiB')
    """
    if value >= 2**30:
        return f"{value * 100 // 2**30 / 100:g} GiB"
    return f"{value >> 20} MiB"


def show_ns(value: float) -> str:
    """A time for people: three significant digits in ns, us, ms or s.

    >>> show_ns(1_234_567), show_ns(980)
    ('1.23 ms', '980 ns')
    """
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(value) >= factor:
            scaled = value / factor
            digits = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            return f"{scaled:.{digits}f} {unit}"
    return f"{value:.0f} ns"


def show_bps(value: float) -> str:
    """A rate for people.

    >>> show_bps(20_000_000)
    '20 Mbit/s'
    """
    for unit, factor in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g} bit/s"


def least_ns(value: int) -> str:
    """A time for people that is not below the value, so that it can be asked for.

    >>> least_ns(14_649_575), show_ns(14_649_575)
    ('14.7 ms', '14.6 ms')
    """
    step = 10 ** max(0, len(str(value)) - 3)
    return show_ns(-(-value // step) * step)


def most_bps(value: int) -> str:
    """A rate for people that is not above the value, so that it can be asked for.

    >>> most_bps(12_345_678), show_bps(12_345_678)
    ('12.34 Mbit/s', '12.35 Mbit/s')
    """
    step = 10 ** max(0, len(str(value)) - 4)
    return show_bps(value // step * step)


def show_bytes(value: float) -> str:
    """A size for people.

    >>> show_bytes(1518), show_bytes(64)
    ('1.518 kB', '64 B')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g} B"
