"""A slice as build() writes it: text with units in, scenario.Slice out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

from testbed.errors import InputError, unknown
from testbed.scenario.model import (
    Construct,
    Diversity,
    Group,
    Isolation,
    Match,
    Protection,
    Sdp,
    Slice,
    Slo,
)
from testbed.scenario.promise import contradictions
from testbed.units import rate_bps, size_bytes, time_ns

_ARGUMENT = {
    "guaranteed_bps": "guaranteed",
    "maximum_bps": "maximum",
    "delay_ns": "delay",
    "delay_percentile_ns": "delay_percentile",
    "variation_ns": "variation",
    "variation_percentile_ns": "variation_percentile",
    "mtu_bytes": "mtu",
}


def written_slice(
    id: str,
    *,
    sst: int,
    sd: str,
    priority: int,
    guaranteed: str | None,
    maximum: str | None,
    delay: str | None,
    delay_percentile: tuple[float, str] | None,
    variation: str | None,
    variation_percentile: tuple[float, str] | None,
    loss: float | None,
    availability: float | None,
    mtu: str | None,
    diversity: str,
    protection: str,
    isolation: str,
    ends: Sequence[tuple[str, str]],
    burst: str | None,
    description: str,
) -> Slice:
    """The arguments of Experiment.slice() as a Slice. Raises InputError."""
    where = f"slice {id}"
    if isinstance(sst, bool) or not isinstance(sst, int) or not 1 <= sst <= 255:
        raise InputError(f"sst = {sst!r}", where=where, expected="1 to 255 (TS 23.501)")
    if len(sd) != 6 or any(c not in "0123456789abcdefABCDEF" for c in sd):
        raise InputError(f"sd = {sd!r}", where=where, expected="6 hex digits, FFFFFF for none")
    if isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority <= 127:
        raise InputError(
            f"priority = {priority!r}", where=where, expected="1 (first) to 127 (last)"
        )
    for name, value, choices in (
        ("diversity", diversity, get_args(Diversity)),
        ("protection", protection, get_args(Protection)),
        ("isolation", isolation, get_args(Isolation)),
    ):
        if value not in choices:
            raise unknown(name, value, choices, where=where)
    delays = _percentile(delay_percentile, "delay_percentile", where)
    variations = _percentile(variation_percentile, "variation_percentile", where)
    slo = Slo(
        guaranteed_bps=rate_bps(guaranteed, where) if guaranteed is not None else 0,
        maximum_bps=rate_bps(maximum, where) if maximum is not None else None,
        delay_ns=time_ns(delay, f"{where}, delay") if delay is not None else None,
        delay_percentile=delays[0],
        delay_percentile_ns=delays[1],
        variation_ns=time_ns(variation, f"{where}, variation") if variation is not None else None,
        variation_percentile=variations[0],
        variation_percentile_ns=variations[1],
        loss=_ratio(loss, "loss", where),
        availability=_ratio(availability, "availability", where),
        mtu_bytes=size_bytes(mtu, f"{where}, mtu") if mtu is not None else None,
    )
    for field, what, expected in contradictions(slo):
        raise InputError(what, where=f"{where}, {_ARGUMENT.get(field, field)}", expected=expected)
    sdps, groups = _between(
        ends, size_bytes(burst, f"{where}, burst") if burst is not None else None, where
    )
    return Slice(
        id=id,
        description=description,
        sst=sst,
        sd=sd.upper(),
        priority=priority,
        diversity=cast(Diversity, diversity),
        protection=cast(Protection, protection),
        isolation=cast(Isolation, isolation),
        sdps=sdps,
        groups=groups,
        **{name: getattr(slo, name) for name in Slo.__struct_fields__},
    )


def _percentile(
    given: tuple[float, str] | None, name: str, where: str
) -> tuple[float | None, int | None]:
    if given is None:
        return None, None
    if not isinstance(given, tuple) or len(given) != 2:
        raise InputError(
            f"{name} = {given!r}",
            where=where,
            expected='a percentile and its bound, such as (99.9, "2 ms")',
        )
    return _number(given[0], name, where), time_ns(given[1], f"{where}, {name}")


def _ratio(value: float | None, name: str, where: str) -> float | None:
    return None if value is None else _number(value, name, where)


def _number(value: object, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} = {value!r}", where=where, expected="a number")
    return value


def _between(
    ends: Sequence[tuple[str, str]], burst_bytes: int | None, where: str
) -> tuple[tuple[Sdp, ...], tuple[Group, ...]]:
    """An SDP for each node, and two constructs for each pair, in one group."""
    for pair in ends:
        if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] == pair[1]:
            raise InputError(
                f"ends has {pair!r}",
                where=where,
                expected='pairs of nodes, such as ("ue1", "park")',
            )
    if len({frozenset(pair) for pair in ends}) != len(ends):
        raise InputError("ends has a pair twice", where=where, expected="each pair once")
    if not ends:
        if burst_bytes is not None:
            raise InputError("burst without ends", where=where, expected="the ends that send it")
        return (), ()
    sdps = tuple(
        Sdp(id=node, node=node, burst_bytes=burst_bytes, matches=(Match(group="ends"),))
        for node in dict.fromkeys(node for pair in ends for node in pair)
    )
    constructs = tuple(
        Construct(id=f"{a}>{b}", senders=(a,), receivers=(b,))
        for pair in ends
        for a, b in (pair, pair[::-1])
    )
    kind: Literal["point-to-point", "custom"] = "point-to-point" if len(ends) == 1 else "custom"
    return sdps, (Group(id="ends", kind=kind, constructs=constructs),)
