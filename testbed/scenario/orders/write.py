"""Slices written as an IETF `ietf-network-slice-service` document.

What ietf.py reads back is the same slices. Units are the largest that keep whole
numbers; what the module has no value for is rounded to the stricter side and named.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from testbed.errors import InputError
from testbed.scenario.model import Construct, Group, Match, Sdp, Slice, Slo
from testbed.scenario.orders.policy import FIELDS
from testbed.scenario.orders.schema import (
    AVAILABILITY,
    LABELS,
    MATCHES,
    MODULE,
    OWN_ROLES,
    OWN_TOPOLOGIES,
    ROOT,
    TESTBED,
    VPN,
    units_of,
)

_FIELD = {
    "port": "phy-interface",
    "vlan": "vlan",
    "label": "label",
    "src": "source-ip-prefix",
    "dst": "destination-ip-prefix",
    "dscp": "dscp",
    "acl": "acl",
}
_LABEL_NAMES = {number: name for name, number in LABELS.items()}


def to_ietf(slices: Iterable[Slice]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The document that orders these slices, and notes of what was rounded.

    Raises InputError for a slice with fewer than two SDPs, which the module asks for, or
    with a promise its units cannot say.
    """
    notes: dict[str, None] = {}
    services = [_service(slice_, notes) for slice_ in slices]
    return {ROOT: {"slice-service": services}}, tuple(notes)


def _service(slice_: Slice, notes: dict[str, None]) -> dict[str, Any]:
    where = f"slice {slice_.id}"
    if len(slice_.sdps) < 2:
        raise InputError(
            f"has {len(slice_.sdps)} SDPs",
            where=where,
            expected="two or more (min-elements of list sdp)",
            remedy="name its ends",
        )
    service: dict[str, Any] = {"id": slice_.id}
    if slice_.description:
        service["description"] = slice_.description
    service[f"{TESTBED}:s-nssai"] = {"sst": slice_.sst, "sd": slice_.sd}
    service[f"{TESTBED}:priority"] = slice_.priority
    if slice_.protection != "none":
        service[f"{TESTBED}:protection"] = slice_.protection
    own = Slo(**{name: getattr(slice_, name) for name in Slo.__struct_fields__})
    policy = _slo(own, where, notes)
    sle: dict[str, Any] = {}
    if slice_.isolation == "dedicated-queue":
        sle["isolation"] = ["traffic-isolation"]
    if slice_.diversity != "none":
        sle["path-constraints"] = {"diversity": {"diversity-type": slice_.diversity}}
    if sle:
        policy["sle-policy"] = sle
    if policy:
        service["service-slo-sle-policy"] = policy
    service["sdps"] = {"sdp": [_sdp(sdp) for sdp in slice_.sdps]}
    if slice_.groups:
        groups = [_group(group, where, notes) for group in slice_.groups]
        service["connection-groups"] = {"connection-group": groups}
    return service


def _slo(slo: Slo, where: str, notes: dict[str, None]) -> dict[str, Any]:
    """A policy with its slo-policy; empty when nothing is promised."""
    bounds = [
        bound
        for metric, field in FIELDS.items()
        if (value := getattr(slo, field)) not in (None, 0) or (field == "loss" and value == 0)
        for bound in [_bound(metric, field, value, slo, where)]
    ]
    found: dict[str, Any] = {"metric-bound": bounds} if bounds else {}
    if slo.availability is not None:
        level = min(
            (name for name, share in AVAILABILITY.items() if share >= slo.availability),
            key=AVAILABILITY.__getitem__,
            default="six-nines",
        )
        found["availability"] = level
        if AVAILABILITY[level] != slo.availability:
            notes[f"{where}: availability {slo.availability:.10g} is written as {level}"] = None
    if slo.mtu_bytes is not None:
        found["mtu"] = slo.mtu_bytes
    return {"slo-policy": found} if found else {}


def _bound(metric: str, field: str, value: float, slo: Slo, where: str) -> dict[str, Any]:
    units = units_of(metric)
    exact = Decimal(repr(value)) * (units["percentage"] * 100 if field == "loss" else 1)
    fitting = [(name, size) for name, size in units.items() if exact and exact % size == 0]
    if not fitting:
        raise InputError(
            f"{metric} of {value:g} cannot be said in its units",
            where=where,
            expected=f"a whole number, above 0, of {', '.join(units)}",
        )
    unit, size = fitting[0]
    bound = {"metric-type": metric, "metric-unit": unit, "bound": str(int(exact / size))}
    if metric.endswith("-percentile"):
        percentile = getattr(slo, field.removesuffix("_ns"))
        if round(percentile, 3) != percentile:
            raise InputError(
                f"percentile {percentile!r} has more than 3 decimals",
                where=where,
                expected="at most 3 decimals (percentile is a decimal64 of 3 fraction digits)",
            )
        bound["percentile-value"] = f"{percentile:.3f}"
    return bound


def _sdp(sdp: Sdp) -> dict[str, Any]:
    found: dict[str, Any] = {"id": sdp.id}
    if sdp.node is not None:
        found["node-id"] = sdp.node
    if sdp.addresses:
        found["sdp-ip-address"] = list(sdp.addresses)
    if sdp.matches:
        criteria = [_match(n, match) for n, match in enumerate(sdp.matches, 1)]
        found["service-match-criteria"] = {"match-criterion": criteria}
    rates = {"cir": sdp.rate_bps, "cbs": sdp.burst_bytes, "pir": sdp.peak_bps}
    limits = {name: str(value) for name, value in rates.items() if value is not None}
    if limits:
        found["incoming-qos-policy"] = {"rate-limits": limits}
    return found


def _match(index: int, match: Match) -> dict[str, Any]:
    types: list[dict[str, Any]] = []
    for field, kind in _FIELD.items():
        values = list(getattr(match, field))
        if field == "label":
            values = [
                f"ietf-routing-types:{_LABEL_NAMES[v]}" if v in _LABEL_NAMES else v for v in values
            ]
        leaf = MATCHES[kind]
        if values and leaf:
            types.append({"type": kind, leaf: values})
    found: dict[str, Any] = {
        "index": index,
        "match-type": types or [{"type": "any"}],
        "target-connection-group-id": match.group,
    }
    if match.role != "any-to-any":
        found["connection-group-sdp-role"] = _named(f"{match.role}-role", OWN_ROLES)
    if match.construct is not None:
        found["target-connectivity-construct-id"] = match.construct
    return found


def _named(name: str, own: Iterable[str]) -> str:
    """An identity, with its module's name (RFC 7951 section 6.8)."""
    return f"{MODULE if name in own else VPN}:{name}"


def _group(group: Group, where: str, notes: dict[str, None]) -> dict[str, Any]:
    constructs = [_construct(construct, where, notes) for construct in group.constructs]
    return {
        "id": group.id,
        "connectivity-type": _named(group.kind, OWN_TOPOLOGIES),
    } | ({"connectivity-construct": constructs} if constructs else {})


def _construct(construct: Construct, where: str, notes: dict[str, None]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": construct.id}
    if construct.kind == "a2a":
        found["a2a-sdp"] = [{"sdp-id": sdp} for sdp in construct.senders]
    elif construct.kind == "p2mp":
        found["p2mp-sender-sdp"] = construct.senders[0]
        found["p2mp-receiver-sdp"] = list(construct.receivers)
    else:
        found["p2p-sender-sdp"] = construct.senders[0]
        found["p2p-receiver-sdp"] = construct.receivers[0]
    if construct.slo is not None:
        found["service-slo-sle-policy"] = _slo(construct.slo, where, notes)
        found["service-slo-sle-policy-override"] = "full-override"
    return found
