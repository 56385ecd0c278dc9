"""3GPP ServiceProfile and GSMA GST become slices; what they cannot carry is named."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.scenario.model import Slo
from testbed.scenario.orders.gpp import from_3gpp
from testbed.scenario.orders.gst import QOS, from_gst
from testbed.scenario.orders.ietf import Orders, from_ietf
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.write import to_ietf
from testbed.scenario.orders.yang import OrderError

Json = dict[str, Any]

PROFILE: Json = {
    "serviceProfileId": "drive",
    "plmnInfoList": [{"plmnId": {"mcc": "001", "mnc": "01"}, "snssai": {"sst": 4, "sd": "0000a1"}}],
    "sst": 4,
    "dLLatency": 5,
    "uLLatency": 0.5,
    "networkSliceSharingIndicator": "NON-SHARED",
    "availability": 99.999,
    "dLThptPerSlice": {"guaThpt": 1000, "maxThpt": 2000.5},
    "uLThptPerSlice": {"guaThpt": 25000},
    "dLMaxPktSize": {"maxsize": 1500},
    "jitter": 500,
    "dLReliability": 99.9999,
    "survivalTime": 10,
}
TEMPLATE: Json = {
    "name": "render",
    "s-nssai": {"sst": 6},
    "attributes": {
        "Availability": 99.99,
        "Downlink throughput per network slice": {
            "Guaranteed downlink throughput": 45000,
            "Maximum downlink throughput": 100000,
        },
        "Isolation level": "Physical isolation",
        "Maximum supported packet size": 1500,
        "Number of UEs": 100,
        QOS: {
            "3GPP 5QI": 89,
            "Packet delay budget": "15 ms",
            "Jitter": "2 ms",
            "Packet error rate": 0.0001,
            "Maximum packet loss rate": 0.001,
            "Priority level": 25,
            "Maximum data burst volume": 17000,
        },
    },
}


def test_a_service_profile_keeps_each_direction() -> None:
    found = from_3gpp(PROFILE, ends=Ends("ue1", "park"))
    (slice_,) = found.slices
    up, down = slice_.contracts()
    assert (up.src, up.dst, down.src, down.dst) == ("ue1", "park", "park", "ue1")
    assert up.slo == Slo(
        guaranteed_bps=25_000_000, delay_ns=500_000, variation_ns=500_000, availability=0.99999
    )
    assert down.slo == Slo(
        guaranteed_bps=1_000_000,
        maximum_bps=2_000_500,
        delay_ns=5_000_000,
        loss=1e-6,
        mtu_bytes=1500,
        variation_ns=500_000,
        availability=0.99999,
    )
    assert (slice_.sst, slice_.sd, slice_.isolation) == (4, "0000A1", "dedicated-queue")
    assert (slice_.guaranteed_bps, slice_.delay_ns, slice_.loss) == (25_000_000, 500_000, 1e-6)
    assert found.notes == ("/plmnInfoList/0/plmnId", "/survivalTime")


def test_attributes_of_earlier_releases_hold_for_both_directions() -> None:
    (slice_,) = from_3gpp({"latency": 3, "reliability": 99, "maxPktSize": {"maxsize": 200}}).slices
    assert slice_.delay_ns == 3_000_000
    assert (slice_.loss, slice_.mtu_bytes, slice_.isolation) == (0.01, 200, "shared")
    assert all(c.slo is None for c in slice_.groups[0].constructs)


def test_lists_of_profiles_and_of_s_nssai() -> None:
    two = [PROFILE, PROFILE | {"serviceProfileId": "drive two"}]
    other = {"snssai": {"sst": 1}}
    two[0] = PROFILE | {"plmnInfoList": [*PROFILE["plmnInfoList"], other]}
    found = from_3gpp({"serviceProfileList": two})
    assert [slice_.id for slice_ in found.slices] == ["drive", "drive-two"]
    assert "/serviceProfileList/1/serviceProfileId: is shortened to 'drive-two'" in found.notes
    assert any("S-NSSAI 1-FFFFFF" in note for note in found.notes)


def test_a_template_has_its_names_and_units() -> None:
    found = from_gst(TEMPLATE)
    (slice_,) = found.slices
    up, down = (c.slo for c in slice_.groups[0].constructs)
    assert down is not None
    assert up is not None
    assert (down.guaranteed_bps, down.maximum_bps) == (45_000_000, 100_000_000)
    assert (up.guaranteed_bps, up.delay_ns, up.variation_ns) == (0, 15_000_000, 2_000_000)
    assert (slice_.loss, slice_.availability, slice_.mtu_bytes) == (1e-5, 0.9999, 1500)
    assert (slice_.priority, slice_.sdps[0].burst_bytes) == (25, 17_000)
    assert slice_.isolation == "dedicated-queue"
    assert found.notes == (
        "/attributes/Isolation level: links are shared; its queues are its own",
        f"/attributes/{QOS}/3GPP 5QI",
        "/attributes/Number of UEs",
    )


@pytest.mark.parametrize("found", [from_3gpp(PROFILE), from_gst(TEMPLATE)], ids=["3gpp", "gst"])
def test_a_converted_slice_survives_the_ietf_format(found: Orders) -> None:
    document, notes = to_ietf(found.slices)
    assert from_ietf(document).slices == found.slices
    assert notes == ()


@given(st.integers(1, 3_600_000_000), st.integers(0, 10**15), st.integers(1, 99_999_999), st.data())
def test_units_of_a_profile_are_exact(us: int, bps: int, parts: int, data: st.DataObject) -> None:
    profile = {
        "dLLatency": us / 1000,
        "uLLatency": us / 1000,
        "dLThptPerSlice": {"guaThpt": bps // 1000},
        "dLReliability": parts / 1_000_000,
    }
    keys = data.draw(st.permutations(list(profile)))
    (slice_,) = from_3gpp({key: profile[key] for key in keys}).slices
    down = slice_.groups[0].constructs[1].slo
    assert down is not None
    assert down.delay_ns == us * 1000
    assert down.guaranteed_bps == bps // 1000 * 1000
    assert down.loss == (10**8 - parts) / 10**8


Reader = Callable[[object], Orders]
WRONG: list[tuple[Reader, object, str, str]] = [
    (from_3gpp, 5, "/", "no JSON object"),
    (from_3gpp, [5], "/0", "no JSON object"),
    (from_3gpp, PROFILE | {"dlLatency": 5}, "/dlLatency", "did you mean 'dLLatency'"),
    (from_3gpp, PROFILE | {"dLLatency": "5"}, "/dLLatency", "milliseconds"),
    (from_3gpp, PROFILE | {"dLLatency": 0}, "/dLLatency", "more than 0"),
    (from_3gpp, PROFILE | {"dLLatency": -1}, "/dLLatency", "from 0"),
    (from_3gpp, PROFILE | {"availability": 101}, "/availability", "to 100"),
    (from_3gpp, PROFILE | {"dLReliability": 0}, "/dLReliability", "loss is 1"),
    (from_3gpp, PROFILE | {"serviceProfileId": 7}, "/serviceProfileId", "a string"),
    (from_3gpp, PROFILE | {"sst": 1}, "/sst", "plmnInfoList has 4"),
    (from_3gpp, PROFILE | {"sst": 256}, "/sst", "to 255"),
    (from_3gpp, PROFILE | {"plmnInfoList": {}}, "/plmnInfoList", "an array"),
    (from_3gpp, {"plmnInfoList": [{"snssai": {"sst": 4, "sd": "xyz"}}]},
     "/plmnInfoList/0/snssai/sd", "6 hex digits"),
    (from_3gpp, PROFILE | {"networkSliceSharingIndicator": "NO"}, "/networkSliceSharingIndicator",
     "SHARED"),
    (from_3gpp, PROFILE | {"dLThptPerSlice": 5}, "/dLThptPerSlice", "no JSON object"),
    (from_3gpp, PROFILE | {"dLThptPerSlice": {"guaThpt": 5, "maxThpt": 4}}, "/dLThptPerSlice",
     "below the guaranteed"),
    (from_3gpp, PROFILE | {"dLThptPerSlice": {"gua/Thpt": 5}}, "/dLThptPerSlice/gua~1Thpt",
     "unknown"),
    (from_3gpp, [PROFILE, PROFILE], "/1/serviceProfileId", "there twice"),
    (from_gst, 5, "/", "no JSON object"),
    (from_gst, {"name": "x"}, "/attributes", "is missing"),
    (from_gst, [TEMPLATE, TEMPLATE], "/1/name", "there twice"),
    (from_gst, {"attributes": {"Availabilty": 5}}, "/attributes/Availabilty", "'Availability'"),
    (from_gst, {"attributes": {"Availability": 0}}, "/attributes/Availability", "above 0"),
    (from_gst, {"attributes": {"Isolation level": "x"}}, "/attributes/Isolation level", "one of"),
    (from_gst, {"attributes": {QOS: {"Packet delay budget": 15}}},
     f"/attributes/{QOS}/Packet delay budget", "with its unit"),
    (from_gst, {"attributes": {QOS: {"Packet delay budget": "15"}}},
     f"/attributes/{QOS}/Packet delay budget", "no unit"),
    (from_gst, {"attributes": {QOS: {"Jitter": "0 ms"}}}, f"/attributes/{QOS}/Jitter", "than 0"),
    (from_gst, {"attributes": {QOS: {"Packet error rate": 1}}},
     f"/attributes/{QOS}/Packet error rate", "below 1"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "body", "path", "says"), WRONG)
def test_each_fault_has_its_json_pointer(read: Reader, body: object, path: str, says: str) -> None:
    with pytest.raises(OrderError) as caught:
        read(body)
    assert caught.value.faults[0].path == path
    assert says in str(caught.value.faults[0])
