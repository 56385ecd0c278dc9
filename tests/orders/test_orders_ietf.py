"""What an IETF order means: templates, overrides, roles, units, and what is left out."""

from testbed.scenario.model import Slice, Slo
from testbed.scenario.orders.ietf import from_ietf
from tests.orders.documents import PLAIN, SERVICE, Json, bounds, changed, document


def read(service: Json, templates: list[Json] | None = None) -> Slice:
    (slice_,) = from_ietf(document(service, templates=templates)).slices
    return slice_


def with_construct(**more: object) -> Json:
    return changed(
        lambda s: s["connection-groups"]["connection-group"][0]["connectivity-construct"][0].update(
            {key.replace("_", "-"): value for key, value in more.items()}
        )
    )


def inner(slice_: Slice) -> Slo | None:
    return slice_.groups[0].constructs[0].slo


def test_a_template_refines_the_one_it_refers_to() -> None:
    base = {"id": "base"} | bounds(
        ("one-way-delay-maximum", "milliseconds", "5"), ("one-way-bandwidth", "Mbps", "1")
    )
    fine = {"id": "fine", "template-ref": "base"} | bounds(("one-way-bandwidth", "Gbps", "2"))
    service = changed(lambda s: s.pop("service-slo-sle-policy")) | {"slo-sle-template": "fine"}
    slice_ = read(service, [fine, base])
    assert (slice_.delay_ns, slice_.guaranteed_bps) == (5_000_000, 2_000_000_000)


def test_a_construct_overrides_in_full_unless_it_says_in_part() -> None:
    own = bounds(("one-way-bandwidth", "bps", "7"))
    full = read(with_construct(service_slo_sle_policy=own))
    part = read(
        with_construct(
            service_slo_sle_policy=own, service_slo_sle_policy_override="partial-override"
        )
    )
    assert inner(full) == Slo(guaranteed_bps=7)
    assert inner(part) == Slo(guaranteed_bps=7, delay_ns=900_000)
    assert inner(read(PLAIN)) is None


def test_a_groups_policy_holds_for_its_constructs() -> None:
    service = changed(
        lambda s: s["connection-groups"]["connection-group"][0].update(
            {"service-slo-sle-policy": bounds(("one-way-delay-maximum", "seconds", "1"))}
        )
    )
    assert inner(read(service)) == Slo(delay_ns=1_000_000_000)


def test_units() -> None:
    service = PLAIN | {
        "service-slo-sle-policy": bounds(
            ("ietf-nss:one-way-bandwidth", "Kbps", "3"),
            ("ietf-network-slice-service:shared-bandwidth", "Gbps", "1"),
            ("one-way-delay-maximum", "minutes", "1"),
            ("one-way-delay-percentile", "nanoseconds", "17", "99.995"),
            ("one-way-delay-variation-maximum", "microseconds", "3"),
            ("one-way-delay-variation-percentile", "milliseconds", "2", "50"),
            ("one-way-packet-loss", "percentage", "2"),
        )
    }
    slice_ = read(service)
    assert (slice_.guaranteed_bps, slice_.maximum_bps) == (3_000, 1_000_000_000)
    assert slice_.delay_ns == 60_000_000_000
    assert (slice_.delay_percentile, slice_.delay_percentile_ns) == (99.995, 17)
    assert (slice_.variation_ns, slice_.variation_percentile_ns) == (3_000, 2_000_000)
    assert (slice_.variation_percentile, slice_.loss) == (50, 0.02)


def test_roles_imply_constructs() -> None:
    def ends(kind: str, *roles: str) -> list[tuple[str, str]]:
        service: Json = {
            "id": "s",
            "sdps": {
                "sdp": [
                    {
                        "id": f"{n}",
                        "node-id": f"h{n}",
                        "service-match-criteria": {
                            "match-criterion": [
                                {
                                    "index": 1,
                                    "target-connection-group-id": "g",
                                    "connection-group-sdp-role": role,
                                }
                            ]
                        },
                    }
                    for n, role in enumerate(roles, 1)
                ]
            },
            "connection-groups": {"connection-group": [{"id": "g", "connectivity-type": kind}]},
        }
        return [(c.src, c.dst) for c in read(service).contracts()]

    hub, spoke = "ietf-vpn-common:hub-role", "vpn-common:spoke-role"
    assert ends("ietf-vpn-common:hub-spoke", hub, spoke, spoke) == [
        ("h1", "h2"),
        ("h1", "h3"),
        ("h2", "h1"),
        ("h3", "h1"),
    ]
    any_ = "ietf-vpn-common:any-to-any-role"
    assert len(ends("multipoint-to-multipoint", any_, any_, any_)) == 6
    assert ends("point-to-point", any_, any_) == [("h1", "h2"), ("h2", "h1")]
    sender, receiver = "sender-role", "receiver-role"
    assert ends("point-to-multipoint", sender, receiver, receiver) == [("h1", "h2"), ("h1", "h3")]
    assert ends("multipoint-to-point", sender, sender, receiver) == [("h1", "h3"), ("h2", "h3")]


def test_the_s_nssai_stands_in_the_augmentation_or_in_tags() -> None:
    tags = {
        "tag-type": [{"tag-type": "opaque", "tag-type-value": ["sst=4", "sd=00000a", "5qi=86"]}]
    }
    tagged = from_ietf(document(PLAIN | {"service-tags": tags}))
    assert (tagged.slices[0].sst, tagged.slices[0].sd) == (4, "00000A")
    assert [note.rpartition(": ")[2] for note in tagged.notes] == ["5qi=86"]
    both = read(PLAIN | {"service-tags": tags, "testbed-slice:s-nssai": {"sst": 2}})
    assert (both.sst, both.sd) == (2, "FFFFFF")
    assert from_ietf(document(PLAIN)).notes == (f"{SERVICE}: has no S-NSSAI, read as sst 1",)


def test_what_is_valid_but_not_carried_is_named_once() -> None:
    def change(service: Json) -> None:
        service["testbed-slice:s-nssai"] = {"sst": 1}
        service["test-only"] = [None]
        service["service-slo-sle-policy"] = bounds(
            ("two-way-delay-maximum", "milliseconds", "5"), ("one-way-bandwidth", "Mbps", "0")
        ) | {
            "sle-policy": {
                "security": ["encryption"],
                "path-constraints": {"diversity": {"diversity-type": "srlg link"}},
            }
        }
        service["sdps"]["sdp"][0] |= {
            "description": "asks nothing",
            "geo-location": {"latitude": "49.6", "longitude": "6.1"},
            "attachment-circuits": {
                "attachment-circuit": [{"id": "x", "mtu": 1500, "ac-ipv4-address": "10.0.0.1"}]
            },
            "incoming-qos-policy": {"rate-limits": {"cir": "5", "eir": "3"}},
        }

    found = from_ietf(document(changed(change)))
    policy, sdp = f"{SERVICE}/service-slo-sle-policy", f"{SERVICE}/sdps/sdp[id='a']"
    assert set(found.notes) == {
        f"{SERVICE}/test-only",
        f"{policy}/slo-policy/metric-bound[metric-type='two-way-delay-maximum']",
        f"{policy}/slo-policy/metric-bound[metric-type='one-way-bandwidth']: "
        "a bound of 0 is unbounded, so no promise",
        f"{policy}/sle-policy/security",
        f"{policy}/sle-policy/path-constraints/diversity/diversity-type: srlg",
        f"{sdp}/geo-location",
        f"{sdp}/attachment-circuits/attachment-circuit",
        f"{sdp}/incoming-qos-policy/rate-limits/eir",
    }
    assert found.slices[0].diversity == "link"
    assert found.slices[0].sdps[0].rate_bps == 5
