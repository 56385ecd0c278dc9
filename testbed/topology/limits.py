"""What a topology may ask for: ranges of the kernel's shaper and of names.

Each function returns the value it was given (a loss as a probability), or raises InputError.
"""

from __future__ import annotations

import re

from testbed.errors import InputError
from testbed.units import show_bps, show_ns

MIN_RATE_BPS = 8_000
"""1 kB/s: below, a full frame lasts more than one and a half seconds."""
MAX_RATE_BPS = 400_000_000_000
"""Above, a 64-byte packet lasts about 1 ns, the unit netem and HTB count in."""
MAX_DELAY_NS = 274_000_000_000
"""netem's 32-bit delay, in ticks of 64 ns."""
MAX_BUFFER_PACKETS = 1_000_000
INTERFACE_CHARACTERS = 15
"""IFNAMSIZ less its closing zero."""
STOCK_MAX_RATE_BPS = 1_000_000_000
"""mininet.link.TCIntf.bwParamMax: stock Mininet ignores a `bw` above it."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def name(text: object, where: str) -> str:
    """A node's name: an interface of it must fit in 15 characters."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise InputError(
            f"{text!r} is not a node name",
            where=where,
            expected="a letter, then letters, digits, '_', '.' or '-'",
        )
    interface(text, 0)
    return text


def interface(node: str, port: int) -> str:
    """The interface name of a node's port, `node-ethN`."""
    text = f"{node}-eth{port}"
    if len(text) > INTERFACE_CHARACTERS:
        most = INTERFACE_CHARACTERS - len(text) + len(node)
        raise InputError(
            f"interface name {text!r} has {len(text)} characters",
            where=f"node {node}",
            expected=f"at most {INTERFACE_CHARACTERS} (Linux IFNAMSIZ)",
            remedy=f"give {node!r} a name of at most {most} characters, the long one as its site",
        )
    return text


def whole(value: object, what: str, low: int, high: int) -> int:
    """A whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(
            f"{what} = {value!r}",
            where=f"parameter {what}",
            expected=f"a whole number from {low} to {high}",
        )
    return value


def number(value: object, what: str, where: str, *, low: float = 0.0, high: float = 1e6) -> float:
    """A finite number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(
            f"{what} = {value!r}", where=where, expected=f"a number from {low:g} to {high:g}"
        )
    return float(value)


def rate(bps: int, where: str) -> int:
    """A rate in bit/s that netem and HTB can shape."""
    if not MIN_RATE_BPS <= bps <= MAX_RATE_BPS:
        raise InputError(
            f"a rate of {show_bps(bps)} cannot be shaped",
            where=where,
            expected=f"{show_bps(MIN_RATE_BPS)} to {show_bps(MAX_RATE_BPS)}",
            remedy="leave the rate away for a link that is not shaped",
        )
    return bps


def delay(ns: int, where: str) -> int:
    """A one-way delay in ns that netem can hold."""
    if not 0 <= ns <= MAX_DELAY_NS:
        raise InputError(
            f"a one-way delay of {show_ns(ns)} cannot be shaped",
            where=where,
            expected=f"0 to {show_ns(MAX_DELAY_NS)}",
        )
    return ns


def buffer(packets: object, where: str) -> int:
    """A buffer in packets."""
    if (
        isinstance(packets, bool)
        or not isinstance(packets, int)
        or not 1 <= packets <= MAX_BUFFER_PACKETS
    ):
        raise InputError(
            f"a buffer of {packets!r} packets",
            where=where,
            expected=f"a whole number from 1 to {MAX_BUFFER_PACKETS}",
        )
    return packets


def loss(percent: object, where: str) -> float:
    """Loss in percent, 0 to 100; returned as a probability."""
    return number(percent, "loss in percent", where, high=100.0) / 100
