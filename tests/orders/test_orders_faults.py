"""Every way an IETF order can be wrong is answered with its YANG instance path."""

from typing import Any

import pytest

from testbed.scenario.orders.ietf import from_ietf
from testbed.scenario.orders.schema import ROOT
from testbed.scenario.orders.yang import Fault, OrderError
from tests.orders.documents import (
    PLAIN,
    POLICY,
    SERVICE,
    TEMPLATE,
    Change,
    Json,
    bounds,
    changed,
    document,
)

SDP = f"{SERVICE}/sdps/sdp[id='a']"
CRITERION = f"{SDP}/service-match-criteria/match-criterion[index='1']"
GROUP = f"{SERVICE}/connection-groups/connection-group[id='g']"
CONSTRUCT = f"{GROUP}/connectivity-construct[id='up']"
DELAY = f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-delay-maximum']"


def sdp(service: Json) -> Json:
    found: Json = service["sdps"]["sdp"][0]
    return found


def criterion(service: Json) -> Json:
    found: Json = sdp(service)["service-match-criteria"]["match-criterion"][0]
    return found


def group(service: Json) -> Json:
    found: Json = service["connection-groups"]["connection-group"][0]
    return found


def construct(service: Json) -> Json:
    found: Json = group(service)["connectivity-construct"][0]
    return found


def delay(service: Json) -> Json:
    found: Json = service["service-slo-sle-policy"]["slo-policy"]["metric-bound"][0]
    return found


def slo(service: Json) -> Json:
    found: Json = service["service-slo-sle-policy"]["slo-policy"]
    return found


def limits(**given: object) -> Change:
    return lambda s: sdp(s).update({"incoming-qos-policy": {"rate-limits": given}})


def match(*types: Json) -> Change:
    return lambda s: criterion(s).update({"match-type": list(types)})


def policy(*given: Any) -> Change:
    return lambda s: s.update({"service-slo-sle-policy": bounds(*given)})


def faults(body: object) -> tuple[Fault, ...]:
    with pytest.raises(OrderError) as caught:
        from_ietf(body, "order.json")
    assert caught.value.where == "order.json"
    return caught.value.faults


def test_the_plain_order_is_right() -> None:
    (slice_,) = from_ietf(document(PLAIN)).slices
    assert slice_.delay_ns == 900_000
    assert [(c.src, c.dst) for c in slice_.contracts()] == [("h1", "h2")]


P2P = "p2p-receiver-sdp"
ONE_FAULT: list[tuple[str, Change, str, str]] = [
    # structure and types
    ("unknown leaf", lambda s: sdp(s).update({"nodeid": "h1"}), f"{SDP}/nodeid", "'node-id'"),
    ("qualified", lambda s: s.update({"ietf-x:id": 1}), f"{SERVICE}/ietf-x:id", "unknown"),
    ("number for string", lambda s: sdp(s).update({"node-id": 5}), f"{SDP}/node-id", "a string"),
    ("control", lambda s: sdp(s).update({"node-id": "a\x1b"}), f"{SDP}/node-id", "\\u001b"),
    ("uint64 as number", lambda s: delay(s).update(bound=900), f"{DELAY}/bound", "a JSON string"),
    ("uint64 negative", lambda s: delay(s).update(bound="-1"), f"{DELAY}/bound", "uint64"),
    ("uint64 in hex", lambda s: delay(s).update(bound="0x10"), f"{DELAY}/bound", "uint64"),
    ("uint64 too large", lambda s: delay(s).update(bound=str(2**64)), f"{DELAY}/bound", "uint64"),
    ("uint32 as string", lambda s: slo(s).update(mtu="1500"), f"{POLICY}/slo-policy/mtu", "number"),
    ("bool for number", lambda s: slo(s).update(mtu=True), f"{POLICY}/slo-policy/mtu", "number"),
    ("float for integer", lambda s: slo(s).update(mtu=64.0), f"{POLICY}/slo-policy/mtu", "whole"),
    (
        "decimal64 as number",
        lambda s: delay(s).update({"percentile-value": 99.9}),
        f"{DELAY}/percentile-value",
        "JSON string",
    ),
    (
        "decimal64 too fine",
        lambda s: delay(s).update({"percentile-value": "99.9999"}),
        f"{DELAY}/percentile-value",
        "up to 3 decimals",
    ),
    ("boolean", lambda s: sdp(s).update({"ce-mode": "true"}), f"{SDP}/ce-mode", "true or false"),
    ("empty", lambda s: s.update({"test-only": True}), f"{SERVICE}/test-only", "[null]"),
    (
        "bits",
        lambda s: s["service-slo-sle-policy"].update(
            {"sle-policy": {"path-constraints": {"diversity": {"diversity-type": "link lane"}}}}
        ),
        f"{POLICY}/sle-policy/path-constraints/diversity/diversity-type",
        "node, link, srlg",
    ),
    (
        "identity",
        lambda s: slo(s).update(availability="five-nine"),
        f"{POLICY}/slo-policy/availability",
        "did you mean 'five-nines'",
    ),
    (
        "identity of another module, bare",
        lambda s: group(s).update({"connectivity-type": "any-to-any"}),
        f"{GROUP}/connectivity-type",
        "ietf-vpn-common:any-to-any",
    ),
    (
        "address",
        lambda s: sdp(s).update({"sdp-ip-address": ["10.0.0.1", "10.0.0.256"]}),
        f"{SDP}/sdp-ip-address[2]",
        "an IPv4 or IPv6 address",
    ),
    (
        "value twice",
        lambda s: sdp(s).update({"sdp-ip-address": ["10.0.0.1", "10.0.0.1"]}),
        f"{SDP}/sdp-ip-address[2]",
        "twice",
    ),
    (
        "prefix",
        match({"type": "source-ip-prefix", "ip-prefix": ["10.0.0.0"]}),
        f"{CRITERION}/match-type[type='source-ip-prefix']/ip-prefix[1]",
        "prefix",
    ),
    (
        "dscp range",
        match({"type": "dscp", "dscp": [64]}),
        f"{CRITERION}/match-type[type='dscp']/dscp[1]",
        "from 0 to 63",
    ),
    (
        "vlan range",
        match({"type": "vlan", "vlan": [4096]}),
        f"{CRITERION}/match-type[type='vlan']/vlan[1]",
        "from 0 to 4095",
    ),
    (
        "label",
        match({"type": "label", "label": [15]}),
        f"{CRITERION}/match-type[type='label']/label[1]",
        "from 16",
    ),
    (
        "acl length",
        match({"type": "acl", "acl-name": ["x" * 65]}),
        f"{CRITERION}/match-type[type='acl']/acl-name[1]",
        "1 to 64",
    ),
    ("list as object", lambda s: s["sdps"].update(sdp={}), f"{SERVICE}/sdps/sdp", "array"),
    ("entry as string", lambda s: s["sdps"]["sdp"].append("c"), f"{SERVICE}/sdps/sdp[3]", "object"),
    ("container as list", lambda s: s.update(sdps=[]), f"{SERVICE}/sdps", "a JSON object"),
    ("leaf-list as leaf", match({"type": "dscp", "dscp": 4}),
     f"{CRITERION}/match-type[type='dscp']/dscp", "a JSON array"),
    ("missing key", lambda s: s["sdps"]["sdp"].append({}), f"{SERVICE}/sdps/sdp[3]/id", "missing"),
    ("wrong key", lambda s: criterion(s).update(index="1"),
     f"{SDP}/service-match-criteria/match-criterion[1]/index", "number"),
    (
        "key twice",
        lambda s: s["sdps"]["sdp"].append({"id": "a"}),
        SDP,
        "is there twice",
    ),
    ("too few", lambda s: s["sdps"]["sdp"].pop(), f"{SERVICE}/sdps/sdp", "at least 2"),
    ("no list", lambda s: s["sdps"].pop("sdp"), f"{SERVICE}/sdps/sdp", "missing"),
    ("no container", lambda s: s.pop("sdps"), f"{SERVICE}/sdps", "missing"),
    ("mandatory unit", lambda s: delay(s).pop("metric-unit"), f"{DELAY}/metric-unit", "mandatory"),
    (
        "mandatory target",
        lambda s: criterion(s).pop("target-connection-group-id"),
        f"{CRITERION}/target-connection-group-id",
        "mandatory",
    ),
    (
        "two policies",
        lambda s: s.update({"slo-sle-template": "t"}),
        SERVICE,
        "has slo-sle-template and service-slo-sle-policy",
    ),
    (
        "two kinds of construct",
        lambda s: construct(s).update({"p2mp-receiver-sdp": ["a"]}),
        CONSTRUCT,
        "expected one of them",
    ),
    ("state", lambda s: sdp(s).update({"sdp-monitoring": {}}), f"{SDP}/sdp-monitoring", "state"),
    (
        "state inside",
        lambda s: s.update(status={"admin-status": {"last-change": "2026-01-01T00:00:00Z"}}),
        f"{SERVICE}/status/admin-status/last-change",
        "state",
    ),
    (
        "ipv6 for ipv4",
        lambda s: sdp(s).update(
            {"attachment-circuits": {"attachment-circuit": [{"id": "x", "ac-ipv4-address": "::1"}]}}
        ),
        f"{SDP}/attachment-circuits/attachment-circuit[id='x']/ac-ipv4-address",
        "an IPv4 address",
    ),
    (
        "sst",
        lambda s: s.update({"testbed-slice:s-nssai": {"sst": 0}}),
        f"{SERVICE}/testbed-slice:s-nssai/sst",
        "from 1 to 255",
    ),
    (
        "protection",
        lambda s: s.update({"testbed-slice:protection": "fast-failover"}),
        f"{SERVICE}/testbed-slice:protection",
        "did you mean 'fast_failover'",
    ),
    (
        "sd",
        lambda s: s.update({"testbed-slice:s-nssai": {"sst": 1, "sd": "00000G"}}),
        f"{SERVICE}/testbed-slice:s-nssai/sd",
        "6 hex digits",
    ),
    # references
    (
        "receiver",
        lambda s: construct(s).update({P2P: "c"}),
        f"{CONSTRUCT}/{P2P}",
        "refers to sdp 'c'",
    ),
    (
        "group",
        lambda s: criterion(s).update({"target-connection-group-id": "h"}),
        f"{CRITERION}/target-connection-group-id",
        "refers to connection-group 'h'",
    ),
    (
        "construct",
        lambda s: criterion(s).update({"target-connectivity-construct-id": "down"}),
        f"{CRITERION}/target-connectivity-construct-id",
        "not in connection-group 'g'",
    ),
    (
        "template",
        lambda s: group(s).update({"slo-sle-template": "gold"}),
        f"{GROUP}/slo-sle-template",
        "refers to slo-sle-template 'gold'",
    ),
    # constructs
    ("no receiver", lambda s: construct(s).pop(P2P), f"{CONSTRUCT}/{P2P}", "is missing"),
    (
        "itself",
        lambda s: construct(s).update({P2P: "a"}),
        f"{CONSTRUCT}/{P2P}",
        "the sender itself",
    ),
    (
        "lonely matrix",
        lambda s: group(s).update(
            {"connectivity-construct": [{"id": "up", "a2a-sdp": [{"sdp-id": "a"}]}]}
        ),
        f"{CONSTRUCT}/a2a-sdp",
        "2 or more",
    ),
    (
        "not implied",
        lambda s: group(s).pop("connectivity-construct"),
        GROUP,
        "do not make it point-to-point",
    ),
    # matches
    (
        "when",
        match({"type": "dscp", "dscp": [1], "vlan": [2]}),
        f"{CRITERION}/match-type[type='dscp']/vlan",
        "does not go with dscp",
    ),
    (
        "nothing to match",
        match({"type": "dscp"}),
        f"{CRITERION}/match-type[type='dscp']/dscp",
        "missing or empty",
    ),
    # promises
    ("unit", lambda s: delay(s).update({"metric-unit": "microsecond"}), f"{DELAY}/metric-unit",
     "did you mean 'microseconds'"),
    (
        "unit of another metric",
        policy(("one-way-bandwidth", "percentage", "5")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-bandwidth']/metric-unit",
        "Gbps, Mbps, Kbps, bps",
    ),
    ("too long", lambda s: delay(s).update({"metric-unit": "hours", "bound": "2000000"}),
     f"{DELAY}/bound", "below 2^62"),
    (
        "percentile of a maximum",
        lambda s: delay(s).update({"percentile-value": "99.9"}),
        f"{DELAY}/percentile-value",
        "does not go with one-way-delay-maximum",
    ),
    (
        "percentile without bound",
        policy(("one-way-delay-percentile", "milliseconds", "0", "99.9")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-delay-percentile']/bound",
        "percentile without a bound",
    ),
    (
        "bound without percentile",
        policy(("one-way-delay-percentile", "milliseconds", "5")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-delay-percentile']/percentile-value",
        "is missing",
    ),
    (
        "percentile 0",
        policy(("one-way-delay-percentile", "milliseconds", "5", "0")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-delay-percentile']",
        "percentile is 0",
    ),
    (
        "guaranteed above maximum",
        policy(("one-way-bandwidth", "Mbps", "5"), ("shared-bandwidth", "Mbps", "4")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='shared-bandwidth']",
        "below the guaranteed rate",
    ),
    (
        "all lost",
        policy(("one-way-packet-loss", "percentage", "100")),
        f"{POLICY}/slo-policy/metric-bound[metric-type='one-way-packet-loss']",
        "loss is 1",
    ),
    ("mtu", lambda s: slo(s).update(mtu=40), f"{POLICY}/slo-policy/mtu", "64 to 65535"),
    (
        "mtu of a circuit",
        lambda s: (
            slo(s).update(mtu=1500),
            sdp(s).update(
                {"attachment-circuits": {"attachment-circuit": [{"id": "x", "mtu": 1400}]}}
            ),
        ),
        f"{SDP}/attachment-circuits/attachment-circuit[id='x']/mtu",
        "less than the slice's 1500",
    ),
    ("cir 0", limits(cir="0"), f"{SDP}/incoming-qos-policy/rate-limits/cir", "above 0"),
    ("pir below cir", limits(cir="5", pir="4"), f"{SDP}/incoming-qos-policy/rate-limits/pir",
     "below cir"),
    ("cbs", limits(cbs=str(2**33)), f"{SDP}/incoming-qos-policy/rate-limits/cbs", "below 2^32"),
    (
        "sst in a tag",
        lambda s: s.update(
            {"service-tags": {"tag-type": [{"tag-type": "opaque", "tag-type-value": ["sst=300"]}]}}
        ),
        f"{SERVICE}/service-tags/tag-type[tag-type='opaque']/tag-type-value",
        "sst=1 to sst=255",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "path", "says"), [row[1:] for row in ONE_FAULT], ids=[row[0] for row in ONE_FAULT]
)
def test_one_fault_has_one_path(change: Change, path: str, says: str) -> None:
    (fault,) = faults(document(changed(change)))
    assert fault.path == path
    assert says in f"{fault.what}; expected {fault.expected}"


def test_a_contradiction_is_found_where_it_was_inherited_from() -> None:
    template = {"id": "t"} | bounds(("shared-bandwidth", "Mbps", "4"))
    service = changed(lambda s: s.pop("service-slo-sle-policy")) | {"slo-sle-template": "t"}
    construct(service).update(
        {
            "service-slo-sle-policy": bounds(("one-way-bandwidth", "Mbps", "5")),
            "service-slo-sle-policy-override": "partial-override",
        }
    )
    (fault,) = faults(document(service, templates=[template]))
    assert fault.path == f"{TEMPLATE}/slo-policy/metric-bound[metric-type='shared-bandwidth']"


@pytest.mark.parametrize(
    ("templates", "says"),
    [
        ([{"id": "t", "template-ref": "t"}], "refers to itself"),
        ([{"id": "t", "template-ref": "u"}, {"id": "u", "template-ref": "t"}], "refers to itself"),
        ([{"id": "t", "template-ref": "v"}], "refers to slo-sle-template 'v'"),
        ([{"id": "t"}, {"id": "t"}], "is there twice"),
    ],
)
def test_templates_lead_somewhere(templates: list[Json], says: str) -> None:
    found = faults(document(PLAIN, templates=templates))
    assert says in found[0].what
    assert found[0].path.startswith(f"/{ROOT}/slo-sle-templates/slo-sle-template[id=")


def test_a_chain_of_templates_may_be_long() -> None:
    chain = [{"id": f"t{n}", "template-ref": f"t{n + 1}"} for n in range(3_000)]
    last = {"id": "t3000"} | bounds(("one-way-bandwidth", "Mbps", "5"))
    service = changed(lambda s: s.pop("service-slo-sle-policy")) | {"slo-sle-template": "t0"}
    (slice_,) = from_ietf(document(service, templates=[*chain, last])).slices
    assert slice_.guaranteed_bps == 5_000_000


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ([], "/", "no JSON object"),
        (None, "/", "no JSON object"),
        ({}, f"/{ROOT}", "missing"),
        ({ROOT: 5}, f"/{ROOT}", "is 5"),
        ({ROOT: {}, "x": 1}, "/x", "unknown"),
        ({"network-slice-services": {}}, "/network-slice-services", "unknown"),
        (document(PLAIN, PLAIN), SERVICE, "is there twice"),
        (document(PLAIN | {"id": "a b"}), f"/{ROOT}/slice-service[id='a b']/id", "cannot name"),
        (document(PLAIN | {"id": "it's"}), f'/{ROOT}/slice-service[id="it\'s"]/id', "cannot name"),
        (document({}), f"/{ROOT}/slice-service[1]/id", "missing"),
    ],
)
def test_the_document_itself(body: object, path: str, says: str) -> None:
    fault = faults(body)[0]
    assert fault.path == path
    assert says in fault.what


def test_all_faults_are_told_at_once() -> None:
    def change(service: Json) -> None:
        sdp(service)["node-id"] = 5
        delay(service)["bound"] = 5
        del construct(service)["id"]

    found = faults(document(changed(change)))
    assert {f.path for f in found} == {
        f"{SDP}/node-id",
        f"{DELAY}/bound",
        f"{GROUP}/connectivity-construct[1]/id",
    }
