"""The tree of ietf-network-slice-service, revision 2026-05-27 (RFC 9543 slices).

Names, types, keys, mandatory leaves, choices and state are those of the module and of
the groupings it uses (ietf-ac-common, ietf-vpn-common, ietf-geo-location, RFC 9179).
`carried=False`: valid, but nothing of the testbed answers it, so it is named to the
user; descriptions ask nothing and are not.

testbed-slice.yang, beside this file, adds the S-NSSAI, the priority and the protection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from testbed.scenario.model import Protection
from testbed.scenario.orders.yang import (
    Container,
    Leaf,
    MistypedError,
    Node,
    Type,
    bits,
    boolean,
    decimal64,
    empty,
    enumeration,
    identity,
    integer,
    ip_address,
    ip_prefix,
    pattern,
    short_text,
    text,
    uint64,
)

MODULE, REVISION = "ietf-network-slice-service", "2026-05-27"
PREFIX = "ietf-nss"
ROOT = f"{MODULE}:network-slice-services"
LIST = f"{MODULE}:slice-service"
"""The member of a request's body that holds slices."""
VPN = "ietf-vpn-common"
TESTBED = "testbed-slice"

DELAY = (
    "delay-maximum",
    "delay-percentile",
    "delay-variation-maximum",
    "delay-variation-percentile",
)
METRICS = (
    "one-way-bandwidth",
    "two-way-bandwidth",
    "shared-bandwidth",
    *(f"{way}-way-{metric}" for metric in (*DELAY, "packet-loss") for way in ("one", "two")),
)
AVAILABILITY = {
    "six-nines": 0.999999,
    "five-nines": 0.99999,
    "four-nines": 0.9999,
    "three-nines": 0.999,
    "two-nines": 0.99,
}
MATCHES = {
    "phy-interface": "interface-name",
    "vlan": "vlan",
    "label": "label",
    "source-ip-prefix": "ip-prefix",
    "destination-ip-prefix": "ip-prefix",
    "dscp": "dscp",
    "acl": "acl-name",
    "any": None,
}
"""Match type, and the leaf-list that its `when` allows."""
LABELS = {
    "ipv4-explicit-null-label": 0,
    "router-alert-label": 1,
    "ipv6-explicit-null-label": 2,
    "implicit-null-label": 3,
    "entropy-label-indicator": 7,
    "gal-label": 13,
    "oam-alert-label": 14,
    "extension-label": 15,
}
"""Special-purpose MPLS labels (RFC 8294)."""
OWN_TOPOLOGIES = (
    "point-to-point",
    "point-to-multipoint",
    "multipoint-to-multipoint",
    "multipoint-to-point",
)
VPN_TOPOLOGIES = ("any-to-any", "hub-spoke", "hub-spoke-disjoint", "custom")
OWN_ROLES = ("sender-role", "receiver-role")
VPN_ROLES = ("any-to-any-role", "hub-role", "spoke-role", "custom-role")


def _own(*names: str) -> Type:
    return identity((MODULE, PREFIX, names))


_METRIC = _own(*METRICS)
_AVAILABILITY = _own(*AVAILABILITY)
_SECURITY = _own("authentication", "integrity", "encryption")
_ISOLATION = _own("traffic-isolation")
_OVERRIDE = _own("full-override", "partial-override")
_TAG = _own("customer", "service", "opaque")
_AC_TAG = _own("vlan-id", "cvlan-id", "svlan-id", "ip-address-mask")
_MATCH = _own(*MATCHES)
_TOPOLOGY = identity((MODULE, PREFIX, OWN_TOPOLOGIES), (VPN, "vpn-common", VPN_TOPOLOGIES))
_ROLE = identity((MODULE, PREFIX, OWN_ROLES), (VPN, "vpn-common", VPN_ROLES))
_ADMIN = ("admin-up", "admin-down", "admin-testing", "admin-pre-deployment")
_REQUEST = ("awaiting-validation", "awaiting-processing", "admin-prohibited", "rejected")
_STATUS = identity(
    (MODULE, PREFIX, ()),
    (VPN, "vpn-common", _ADMIN),
    ("ietf-ac-common", "ac-common", _REQUEST),
)
_SPECIAL = identity((MODULE, PREFIX, ()), ("ietf-routing-types", "rt-types", LABELS))


def label(value: Any) -> int:
    """rt-types:mpls-label: a number, or the name of a special-purpose label."""
    if isinstance(value, str):
        return LABELS[_SPECIAL(value)]
    number = integer(16, 1_048_575)(value)
    assert isinstance(number, int)
    return number


def ipv4_address(value: Any) -> str:
    """inet:ipv4-address"""
    return _of_version(value, ":", "an IPv4 address")


def ipv6_address(value: Any) -> str:
    """inet:ipv6-address"""
    return _of_version(value, ".", "an IPv6 address")


def _of_version(value: Any, never: str, expected: str) -> str:
    try:
        address = ip_address(value)
    except MistypedError:
        raise MistypedError(expected) from None
    if never in address.partition("%")[0]:
        raise MistypedError(expected)
    return address


_URI = pattern("[a-z][a-z0-9+.-]*:.*", "a URI, such as urn:example:network")
_MOMENT = pattern(
    r"\d{4}-(1[0-2]|0[1-9])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"(Z|[+-]((1[0-3]|0\d):[0-5]\d|14:00))?",
    "a date and time, such as 2026-01-31T12:00:00Z",
)
"""yang:date-and-time"""
_LOWER_CASE = pattern(r"[ -@\[-^_-~]*", "a name in ASCII without capital letters")
"""As RFC 9179 names bodies and systems."""

_NS = {
    "hours": 3_600_000_000_000,
    "minutes": 60_000_000_000,
    "seconds": 1_000_000_000,
    "milliseconds": 1_000_000,
    "microseconds": 1_000,
    "nanoseconds": 1,
}
_BPS = {"Gbps": 1_000_000_000, "Mbps": 1_000_000, "Kbps": 1_000, "bps": 1}
_PARTS = {"percentage": 10**10, "ppm": 10**6, "ppb": 10**3, "ppt": 1}
"""In 1e-12; the module names percentage only, too coarse for a network in whole numbers."""


def units_of(metric: str) -> dict[str, int]:
    """Units of a metric, largest first, in ns, bit/s or 1e-12."""
    if metric.endswith("bandwidth"):
        return _BPS
    return _PARTS if metric.endswith("packet-loss") else _NS


def _leaf(type_: Type = text, **how: bool) -> Leaf:
    return Leaf(type=type_, **how)


def _list(key: str, members: dict[str, Node], *, least: int = 0, carried: bool = True) -> Container:
    return Container(members=members, key=key, least=least, carried=carried)


def _inner(members: dict[str, Node]) -> Container:
    return Container(members=members)


_STATE = Container(config=False)
_STATUS_TREE = _inner(
    {
        "admin-status": _inner(
            {"status": _leaf(_STATUS, carried=False), "last-change": _leaf(config=False)}
        ),
        "oper-status": _STATE,
    }
)

_SLO_MEMBERS: dict[str, Node] = {
    "slo-policy": _inner(
        {
            "metric-bound": _list(
                "metric-type",
                {
                    "metric-type": _leaf(_METRIC),
                    "metric-unit": _leaf(mandatory=True),
                    "value-description": _leaf(),
                    "percentile-value": _leaf(decimal64(3, 0, 100)),
                    "bound": _leaf(uint64),
                },
            ),
            "availability": _leaf(_AVAILABILITY),
            "mtu": _leaf(integer(0, 2**32 - 1)),
        }
    ),
    "sle-policy": _inner(
        {
            "security": _leaf(_SECURITY, many=True, carried=False),
            "isolation": _leaf(_ISOLATION, many=True),
            "max-occupancy-level": _leaf(integer(1, 100), carried=False),
            "path-constraints": _inner(
                {
                    "service-functions": _inner({}),
                    "diversity": _inner({"diversity-type": _leaf(bits("node", "link", "srlg"))}),
                }
            ),
        }
    ),
}

_POLICY: dict[str, Node] = {
    "slo-sle-template": _leaf(),
    "service-slo-sle-policy": _inner({"description": _leaf()} | _SLO_MEMBERS),
}
_POLICY_CHOICE = (frozenset({"slo-sle-template"}), frozenset({"service-slo-sle-policy"}))
_OVERRIDES: dict[str, Node] = {"service-slo-sle-policy-override": _leaf(_OVERRIDE)}


def _rates(*carried: str) -> dict[str, Node]:
    names = ("cir", "cbs", "eir", "ebs", "pir", "pbs")
    return {name: _leaf(uint64, carried=name in carried) for name in names}


def _qos(*carried: str) -> Container:
    classes = _list("cos-id", {"cos-id": _leaf(integer(0, 255), carried=False)} | _rates())
    return _inner(
        {
            "qos-policy-name": _leaf(carried=False),
            "rate-limits": _inner(_rates(*carried) | {"classes": _inner({"cos": classes})}),
        }
    )


def _peering(many: bool) -> Container:
    return _inner({"peer-sap-id": _leaf(many=many, carried=False), "protocols": _inner({})})


def _numbers(digits: int, *names: str) -> dict[str, Node]:
    return {name: _leaf(decimal64(digits)) for name in names}


_GEO = Container(
    carried=False,
    members={
        "reference-frame": _inner(
            {
                "alternate-system": _leaf(),
                "astronomical-body": _leaf(_LOWER_CASE),
                "geodetic-system": _inner(
                    {"geodetic-datum": _leaf(_LOWER_CASE)}
                    | _numbers(6, "coord-accuracy", "height-accuracy")
                ),
            }
        ),
        "velocity": _inner(_numbers(12, "v-north", "v-east", "v-up")),
        "timestamp": _leaf(_MOMENT),
        "valid-until": _leaf(_MOMENT),
    }
    | _numbers(16, "latitude", "longitude")
    | _numbers(6, "height", "x", "y", "z"),
    choices=((frozenset({"latitude", "longitude", "height"}), frozenset({"x", "y", "z"})),),
)

_MATCH_CRITERIA = _inner(
    {
        "match-criterion": _list(
            "index",
            {
                "index": _leaf(integer(0, 2**32 - 1)),
                "match-type": _list(
                    "type",
                    {
                        "type": _leaf(_MATCH),
                        "interface-name": _leaf(many=True),
                        "vlan": _leaf(integer(0, 4095), many=True),
                        "label": _leaf(label, many=True),
                        "ip-prefix": _leaf(ip_prefix, many=True),
                        "dscp": _leaf(integer(0, 63), many=True),
                        "acl-name": _leaf(short_text(64), many=True),
                    },
                ),
                "target-connection-group-id": _leaf(mandatory=True),
                "connection-group-sdp-role": _leaf(_ROLE),
                "target-connectivity-construct-id": _leaf(),
            },
        )
    }
)

_ATTACHMENT = _list(
    "id",
    {
        "id": _leaf(),
        "description": _leaf(),
        "ac-svc-ref": _leaf(),
        "ac-node-id": _leaf(),
        "ac-tp-id": _leaf(),
        "ac-ipv4-address": _leaf(ipv4_address),
        "ac-ipv4-prefix-length": _leaf(integer(0, 32)),
        "ac-ipv6-address": _leaf(ipv6_address),
        "ac-ipv6-prefix-length": _leaf(integer(0, 128)),
        "mtu": _leaf(integer(0, 2**32 - 1)),
        "ac-tags": _inner(
            {
                "ac-tag": _list(
                    "tag-type", {"tag-type": _leaf(_AC_TAG), "tag-type-value": _leaf(many=True)}
                )
            }
        ),
        "incoming-qos-policy": _qos("cir", "cbs", "eir", "ebs", "pir", "pbs"),
        "outgoing-qos-policy": _qos("cir", "cbs", "eir", "ebs", "pir", "pbs"),
        "sdp-peering": _peering(many=False),
        "status": _STATUS_TREE,
    },
    carried=False,
)

_SDP = _list(
    "id",
    {
        "id": _leaf(),
        "description": _leaf(),
        "geo-location": _GEO,
        "node-id": _leaf(),
        "sdp-ip-address": _leaf(ip_address, many=True),
        "tp-ref": _leaf(_URI, carried=False),
        "service-match-criteria": _MATCH_CRITERIA,
        "incoming-qos-policy": _qos("cir", "cbs", "pir"),
        "outgoing-qos-policy": _qos(),
        "sdp-peering": _peering(many=True),
        "ac-svc-ref": _leaf(many=True, carried=False),
        "ce-mode": _leaf(boolean, carried=False),
        "attachment-circuits": _inner({"attachment-circuit": _ATTACHMENT}),
        "status": _STATUS_TREE,
        "sdp-monitoring": _STATE,
    },
    least=2,
)

_A2A = Container(
    members={"sdp-id": _leaf()}
    | {name: replace(node, carried=False) for name, node in _POLICY.items()},
    choices=(_POLICY_CHOICE,),
    key="sdp-id",
)

_CONSTRUCT = Container(
    members={
        "id": _leaf(),
        "p2p-sender-sdp": _leaf(),
        "p2p-receiver-sdp": _leaf(),
        "p2mp-sender-sdp": _leaf(),
        "p2mp-receiver-sdp": _leaf(many=True),
        "a2a-sdp": _A2A,
        "status": _STATUS_TREE,
        "connectivity-construct-monitoring": _STATE,
    }
    | _POLICY
    | _OVERRIDES,
    choices=(
        (
            frozenset({"p2p-sender-sdp", "p2p-receiver-sdp"}),
            frozenset({"p2mp-sender-sdp", "p2mp-receiver-sdp"}),
            frozenset({"a2a-sdp"}),
        ),
        _POLICY_CHOICE,
    ),
    key="id",
)

_GROUP = Container(
    members={
        "id": _leaf(),
        "connectivity-type": _leaf(_TOPOLOGY),
        "connectivity-construct": _CONSTRUCT,
        "connection-group-monitoring": _STATE,
    }
    | _POLICY
    | _OVERRIDES,
    choices=(_POLICY_CHOICE,),
    key="id",
)


def _sd(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 6 or set(value) - set("0123456789abcdefABCDEF"):
        raise MistypedError("6 hex digits (TS 23.003 clause 28.4.2)")
    return value.upper()


_SERVICE = Container(
    members={
        "id": _leaf(),
        "description": _leaf(),
        f"{TESTBED}:s-nssai": _inner(
            {"sst": _leaf(integer(1, 255), mandatory=True), "sd": _leaf(_sd)}
        ),
        f"{TESTBED}:priority": _leaf(integer(1, 127)),
        f"{TESTBED}:protection": _leaf(enumeration(*get_args(Protection))),
        "service-tags": _inner(
            {
                "tag-type": _list(
                    "tag-type", {"tag-type": _leaf(_TAG), "tag-type-value": _leaf(many=True)}
                )
            }
        ),
        "test-only": _leaf(empty, carried=False),
        "status": _STATUS_TREE,
        "sdps": _inner({"sdp": _SDP}),
        "connection-groups": _inner({"connection-group": _GROUP}),
        "custom-topology": _inner({"network-ref": _leaf(_URI, carried=False)}),
    }
    | _POLICY,
    choices=(_POLICY_CHOICE,),
    key="id",
)

SERVICES = _inner(
    {
        "slo-sle-templates": _inner(
            {
                "slo-sle-template": _list(
                    "id",
                    {
                        "id": _leaf(),
                        "description": _leaf(),
                        "template-ref": _leaf(),
                    }
                    | _SLO_MEMBERS,
                )
            }
        ),
        "slice-service": _SERVICE,
    }
)
"""Container network-slice-services."""
