"""IETF orders to break, and slices drawn at random."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

from hypothesis import strategies as st

from testbed.scenario.model import Construct, Group, Match, Sdp, Slice, Slo
from testbed.scenario.orders.schema import AVAILABILITY, ROOT

SERVICE = f"/{ROOT}/slice-service[id='s']"
POLICY = f"{SERVICE}/service-slo-sle-policy"
TEMPLATE = f"/{ROOT}/slo-sle-templates/slo-sle-template[id='t']"

Json = dict[str, Any]
Change = Callable[[Json], object]

_END = {"index": 1, "match-type": [{"type": "any"}], "target-connection-group-id": "g"}
PLAIN: Json = {
    "id": "s",
    "service-slo-sle-policy": {
        "slo-policy": {
            "metric-bound": [
                {
                    "metric-type": "one-way-delay-maximum",
                    "metric-unit": "microseconds",
                    "bound": "900",
                }
            ]
        }
    },
    "sdps": {
        "sdp": [
            {"id": "a", "node-id": "h1", "service-match-criteria": {"match-criterion": [_END]}},
            {"id": "b", "node-id": "h2"},
        ]
    },
    "connection-groups": {
        "connection-group": [
            {
                "id": "g",
                "connectivity-type": "point-to-point",
                "connectivity-construct": [
                    {"id": "up", "p2p-sender-sdp": "a", "p2p-receiver-sdp": "b"}
                ],
            }
        ]
    },
}
"""A slice-service with everything once."""


def document(*services: Json, templates: list[Json] | None = None) -> Json:
    body: Json = {"slice-service": list(services)}
    if templates is not None:
        body["slo-sle-templates"] = {"slo-sle-template": templates}
    return {ROOT: body}


def changed(change: Change, base: Json = PLAIN) -> Json:
    """A copy of a service after a change in place."""
    service = copy.deepcopy(base)
    change(service)
    return service


def bounds(*given: tuple[str, str, str] | tuple[str, str, str, str]) -> Json:
    """A service-slo-sle-policy: (metric, unit, bound, percentile) each."""
    return {
        "slo-policy": {
            "metric-bound": [
                {"metric-type": metric, "metric-unit": unit, "bound": bound}
                | ({"percentile-value": rest[0]} if rest else {})
                for metric, unit, bound, *rest in given
            ]
        }
    }


# Slices at random

_IDS = st.text("abcXYZ019_.-' \"é/[]=", min_size=1, max_size=8)
_NS = st.integers(1, 10**13)
_BPS = st.integers(1, 10**13)
_PERCENTILES = st.integers(1, 100_000).map(lambda n: n / 1000)
_PREFIXES = st.sampled_from(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/64", "0.0.0.0/0"])


@st.composite
def slos(draw: st.DrawFn) -> Slo:
    guaranteed = draw(st.just(0) | _BPS)
    found: Json = {"guaranteed_bps": guaranteed}
    if draw(st.booleans()):
        found["maximum_bps"] = max(1, guaranteed) + draw(st.integers(0, 10**12))
    for name in ("delay", "variation"):
        found[f"{name}_ns"] = draw(st.none() | _NS)
        if draw(st.booleans()):
            found[f"{name}_percentile"] = draw(_PERCENTILES)
            found[f"{name}_percentile_ns"] = draw(_NS)
    found["loss"] = draw(st.none() | st.integers(1, 10**12 - 1).map(lambda n: n / 10**12))
    found["availability"] = draw(st.none() | st.sampled_from(list(AVAILABILITY.values())))
    found["mtu_bytes"] = draw(st.none() | st.integers(64, 65_535))
    return Slo(**found)


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3, unique=True).map(tuple)


@st.composite
def slices(draw: st.DrawFn, name: str = "s") -> Slice:
    ends = draw(st.lists(_IDS, min_size=2, max_size=5, unique=True))
    groups = tuple(
        Group(
            id=group,
            kind=draw(st.sampled_from(["point-to-point", "any-to-any", "hub-spoke", "custom"])),
            constructs=tuple(
                draw(constructs(construct, ends))
                for construct in draw(st.lists(_IDS, min_size=1, max_size=3, unique=True))
            ),
        )
        for group in draw(st.lists(_IDS, max_size=3, unique=True))
    )
    slo = draw(slos())
    return Slice(
        id=name,
        description=draw(st.text("ab é\n", max_size=9)),
        sst=draw(st.integers(1, 255)),
        sd=draw(st.sampled_from(["FFFFFF", "00000A", "123456"])),
        priority=draw(st.integers(1, 127)),
        protection=draw(st.sampled_from(["none", "reactive", "fast_failover", "frer"])),
        diversity=draw(st.sampled_from(["none", "link", "node"])),
        isolation=draw(st.sampled_from(["shared", "dedicated-queue"])),
        sdps=tuple(draw(sdps(end, groups)) for end in ends),
        groups=groups,
        **{name: getattr(slo, name) for name in Slo.__struct_fields__},
    )


@st.composite
def constructs(draw: st.DrawFn, name: str, ends: list[str]) -> Construct:
    kinds: tuple[Literal["p2p", "p2mp", "a2a"], ...] = ("p2p", "p2mp", "a2a")
    kind = draw(st.sampled_from(kinds))
    some = draw(st.lists(st.sampled_from(ends), min_size=2, unique=True))
    senders, receivers = {
        "p2p": (some[:1], some[1:2]),
        "p2mp": (some[:1], some[1:]),
        "a2a": (some, some),
    }[kind]
    return Construct(
        id=name,
        kind=kind,
        senders=tuple(senders),
        receivers=tuple(receivers),
        slo=draw(st.none() | slos()),
    )


@st.composite
def sdps(draw: st.DrawFn, name: str, groups: tuple[Group, ...]) -> Sdp:
    rate = draw(st.none() | _BPS)
    return Sdp(
        id=name,
        node=draw(st.none() | st.sampled_from(["h1", "s2", "ue1"])),
        addresses=draw(_some(st.sampled_from(["10.0.0.1", "2001:db8::1"]))),
        matches=draw(st.lists(matches(groups), max_size=3).map(tuple)) if groups else (),
        rate_bps=rate,
        burst_bytes=draw(st.none() | st.integers(0, 10**6)),
        peak_bps=draw(st.none() | st.integers(rate or 1, 10**14)),
    )


@st.composite
def matches(draw: st.DrawFn, groups: tuple[Group, ...]) -> Match:
    group = draw(st.sampled_from(groups))
    return Match(
        group=group.id,
        construct=draw(st.none() | st.sampled_from([c.id for c in group.constructs])),
        dscp=draw(_some(st.integers(0, 63))),
        vlan=draw(_some(st.integers(0, 4095))),
        label=draw(_some(st.integers(16, 1_048_575) | st.sampled_from([0, 1, 2, 3, 7, 13]))),
        src=draw(_some(_PREFIXES)),
        dst=draw(_some(_PREFIXES)),
        port=draw(_some(_IDS)),
        acl=draw(_some(_IDS)),
        role=draw(st.sampled_from(["any-to-any", "hub", "spoke", "custom", "sender", "receiver"])),
    )
