"""Slices from 3GPP ServiceProfile JSON (TS 28.541 clause 6.3.3, Rel-18 SliceNrm 18.6).

A document is a ServiceProfile, an array of them, or an object with `serviceProfileList`.

    attribute                       unit            becomes
    serviceProfileId                                id
    plmnInfoList[0].snssai, sst                     sst, sd
    dLLatency, uLLatency            ms              delay_ns, one-way maximum
    dLReliability, uLReliability    percent         loss = 1 - reliability
    dLThptPerSlice, uLThptPerSlice  kbit/s          guaranteed_bps, maximum_bps
    dLMaxPktSize, uLMaxPktSize      bytes           mtu_bytes
    jitter                          microseconds    variation_ns, both directions
    availability                    percent         availability
    networkSliceSharingIndicator                    NON-SHARED: a queue of its own

Earlier releases' `latency`, `reliability` and `maxPktSize` hold for both directions.
Reliability speaks of packets delivered in time; the slice is promised more: at most the
rest is lost, and no packet is late. The latency is that from the UE to N6, radio
included. Everything else of the profile is named as not carried.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from testbed.scenario.model import Isolation, Slice, Slo
from testbed.scenario.orders.ietf import Orders
from testbed.scenario.orders.profile import (
    Attributes,
    Ends,
    orders_of,
    ratio,
    refuse_contradictions,
    s_nssai,
    session,
    slice_id,
    whole,
)
from testbed.scenario.orders.yang import Fault, OrderError

_BOTH = ("latency", "reliability", "maxPktSize", "jitter", "availability")
_EACH = ("Latency", "Reliability", "ThptPerSlice", "MaxPktSize")
_CARRIED = (
    "serviceProfileId",
    "plmnInfoList",
    "sst",
    "networkSliceSharingIndicator",
    *_BOTH,
    *(f"{direction}{name}" for direction in ("dL", "uL") for name in _EACH),
)
_NOT_CARRIED = (
    *("maxNumberofUEs", "uEMobilityLevel", "delayTolerance", "dLDeterministicComm"),
    *("uLDeterministicComm", "dLThptPerUE", "uLThptPerUE", "maxNumberofPDUSessions"),
    *("kPIMonitoring", "nBIoT", "radioSpectrum", "synchronicity", "positioning"),
    *("userMgmtOpen", "v2XCommModels", "coverageArea", "coverageAreas", "termDensity"),
    *("activityFactor", "uESpeed", "survivalTime", "maxDLDataVolume", "maxULDataVolume"),
    *("sliceSimultaneousUse", "energyEfficiency", "nssaaSupport", "n6Protection"),
    *("nonIPSupport", "supportedDataNetworks", "dataNetworkAccess"),
)
_SHARING: dict[str, Isolation] = {
    "SHARED": "shared",
    "NON-SHARED": "dedicated-queue",
    "NON_SHARED": "dedicated-queue",
}
_MAX_MS = 3_600_000
_MAX_KBPS = 10**12


def from_3gpp(document: Any, where: str = "", ends: Ends | None = None) -> Orders:
    """The slices of a document's service profiles. Raises OrderError with every fault."""
    faults: list[Fault] = []
    notes: list[str] = []
    listed, path = document, ""
    if isinstance(document, dict) and "serviceProfileList" in document:
        listed, path = document["serviceProfileList"], "/serviceProfileList"
    if isinstance(listed, list):
        profiles = [(each, f"{path}/{n}") for n, each in enumerate(listed)]
    else:
        profiles = [(listed, path)]
    try:
        slices = [_slice(each, place, ends or Ends(), faults, notes) for each, place in profiles]
    except OrderError as error:
        error.where = where
        raise
    names = [f"{place}/serviceProfileId" for _, place in profiles]
    return orders_of(slices, names, faults, notes, where)


def _slice(value: Any, path: str, ends: Ends, faults: list[Fault], notes: list[str]) -> Slice:
    profile = Attributes(value, path, (*_CARRIED, *_NOT_CARRIED), faults, notes)
    given = profile.take("serviceProfileId", str, "a string") or "slice"
    if slice_id(given) != given:
        profile.note("serviceProfileId", f"is shortened to {slice_id(given)!r}")
    sst, sd = _identity(profile)
    sharing = profile.take("networkSliceSharingIndicator", str, "SHARED or NON-SHARED")
    if sharing is not None and sharing not in _SHARING:
        profile.fault("networkSliceSharingIndicator", f"is {sharing!r}", "SHARED or NON-SHARED")
    both = _both(profile)
    slos = [_direction(profile, direction, both) for direction in ("uL", "dL")]
    profile.close()
    return session(
        slos[0],
        slos[1],
        ends,
        id=slice_id(given),
        description=f"3GPP ServiceProfile {given}",
        sst=sst,
        sd=sd,
        isolation=_SHARING.get(sharing or "SHARED", "shared"),
    )


def _identity(profile: Attributes) -> tuple[int, str]:
    """The S-NSSAI; a profile has one for each PLMN, a slice one."""
    listed = profile.take("plmnInfoList", list, "an array of PlmnInfo") or []
    found: list[tuple[int, str]] = []
    for n, each in enumerate(listed):
        info = Attributes(
            each, f"{profile.path}/plmnInfoList/{n}", ("plmnId", "snssai"), profile.faults,
            profile.notes,
        )  # fmt: skip
        found.append(s_nssai(info.parts("snssai", ("sst", "sd")), info, "snssai"))
        info.close()
    sst = profile.number("sst", 1, 255, "TS 23.003 clause 28.4.2")
    if not found:
        if sst is None:
            profile.note("", "has no S-NSSAI, read as sst 1")
        return int(sst or 1), "FFFFFF"
    if sst is not None and int(sst) != found[0][0]:
        profile.fault("sst", f"is {sst}, but plmnInfoList has {found[0][0]}", "the same sst")
    for other in dict.fromkeys(found[1:]):
        if other != found[0]:
            profile.note("plmnInfoList", f"S-NSSAI {other[0]}-{other[1]}: one slice carries one")
    return found[0]


def _both(profile: Attributes) -> dict[str, Decimal | None]:
    size = profile.parts("maxPktSize", ("maxsize", "maxSize", "servAttrCom"))
    return {
        "latency": profile.number("latency", 0, _MAX_MS, "milliseconds", 1_000_000),
        "reliability": profile.number("reliability", 0, 100, "percent"),
        "jitter": profile.number("jitter", 0, _MAX_MS * 1000, "microseconds", 1000),
        "availability": profile.number("availability", 0, 100, "percent"),
        "size": size.number("maxsize", 64, 65535, "bytes") if size else None,
    }


def _direction(profile: Attributes, direction: str, both: dict[str, Decimal | None]) -> Slo:
    latency = profile.number(f"{direction}Latency", 0, _MAX_MS, "milliseconds", 1_000_000)
    reliability = profile.number(f"{direction}Reliability", 0, 100, "percent")
    reliability = both["reliability"] if reliability is None else reliability
    throughput = profile.parts(f"{direction}ThptPerSlice", ("guaThpt", "maxThpt", "servAttrCom"))
    guaranteed = maximum = None
    if throughput:
        guaranteed = throughput.number("guaThpt", 0, _MAX_KBPS, "kbit/s", 1000)
        maximum = throughput.number("maxThpt", 0, _MAX_KBPS, "kbit/s", 1000)
        throughput.close(quiet=("servAttrCom",))
    packet = profile.parts(f"{direction}MaxPktSize", ("maxsize", "servAttrCom"))
    size = packet.number("maxsize", 64, 65535, "bytes") if packet else None
    slo = Slo(
        guaranteed_bps=whole(guaranteed) or 0,
        maximum_bps=whole(maximum),
        delay_ns=whole(both["latency"] if latency is None else latency),
        variation_ns=whole(both["jitter"]),
        loss=None if reliability is None else ratio(100 - reliability),
        availability=ratio(both["availability"]),
        mtu_bytes=whole(both["size"] if size is None else size),
    )
    names = {
        "guaranteed_bps": f"{direction}ThptPerSlice",
        "maximum_bps": f"{direction}ThptPerSlice",
        "delay_ns": f"{direction}Latency",
        "variation_ns": "jitter",
        "loss": f"{direction}Reliability",
        "availability": "availability",
    }
    refuse_contradictions(slo, names, profile)
    return slo
