"""Slices from GSMA NG.116 generic slice template attributes.

NG.116 has no JSON of its own. Here a document is an object, or an array of them:

    {"name": "v2x", "s-nssai": {"sst": 4, "sd": "000001"}, "attributes": {
       "Availability": 99.999,
       "Downlink throughput per network slice":
          {"Guaranteed downlink throughput": 20000, "Maximum downlink throughput": 50000},
       "Slice quality of service parameters": {"Packet delay budget": "5 ms"}}}

Attributes and their parameters have NG.116's names. Values have its units (percent,
kbit/s, bytes), except that a time is text with its unit and a packet error rate a ratio.

    Availability                                  availability
    Downlink, Uplink throughput per network slice guaranteed_bps, maximum_bps
    Maximum supported packet size                 mtu_bytes
    Isolation level                               Logical, Physical: a queue of its own
    Slice quality of service parameters
      Packet delay budget                         delay_ns, both directions
      Packet error rate, Maximum packet loss rate loss (the lower of both)
      Jitter                                      variation_ns
      Priority level                              priority
      Maximum data burst volume                   burst_bytes of both ends

The packet delay budget is that from the UE to the UPF (TS 23.501 clause 5.7.3.4), radio
included. Every other attribute is named as not carried.
"""

from __future__ import annotations

from typing import Any

from testbed.errors import InputError
from testbed.scenario.model import Slice, Slo
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
from testbed.units import time_ns

QOS = "Slice quality of service parameters"
_DIRECTIONS = {
    "Uplink": "Uplink throughput per network slice",
    "Downlink": "Downlink throughput per network slice",
}
_SIZE = "Maximum supported packet size"
_CARRIED = ("Availability", *_DIRECTIONS.values(), _SIZE, "Isolation level", QOS)
_NOT_CARRIED = (
    *("Area of service", "Delay tolerance", "Deterministic communication"),
    *("Downlink maximum throughput per UE", "Uplink maximum throughput per UE"),
    *("Energy efficiency", "Group communication support", "Location based message delivery"),
    *("Mission critical support", "MMTel support", "NB-IoT support", "Number of connections"),
    *("Number of UEs", "Network Slice Customer network functions", "Performance monitoring"),
    *("Performance prediction", "Positioning support", "Radio spectrum"),
    *("Root cause investigation", "Session and Service Continuity support"),
    *("Simultaneous use of the network slice", "Support for non-IP traffic"),
    *("Supported device velocity", "Synchronicity", "UE density", "User management openness"),
    *("User data access", "V2X communication mode", "Supported data network"),
    *("Latency from (last) UPF to Application Server", "Multimedia Priority Service support"),
    "Network Slice Specific Authentication and Authorization (NSSAA) Required",
)
_ISOLATION = ("No isolation", "Logical isolation", "Physical isolation")
_QOS_CARRIED = (
    *("Packet delay budget", "Packet error rate", "Maximum packet loss rate", "Jitter"),
    *("Priority level", "Maximum data burst volume"),
)
_MAX_KBPS = 10**12


def from_gst(document: Any, where: str = "", ends: Ends | None = None) -> Orders:
    """The slices of a document's templates. Raises OrderError with every fault."""
    faults: list[Fault] = []
    notes: list[str] = []
    if isinstance(document, list):
        listed = [(each, f"/{n}") for n, each in enumerate(document)]
    else:
        listed = [(document, "")]
    try:
        slices = [_slice(each, path, ends or Ends(), faults, notes) for each, path in listed]
    except OrderError as error:
        error.where = where
        raise
    return orders_of(slices, [f"{path}/name" for _, path in listed], faults, notes, where)


def _slice(value: Any, path: str, ends: Ends, faults: list[Fault], notes: list[str]) -> Slice:
    template = Attributes(value, path, ("name", "s-nssai", "attributes"), faults, notes)
    name = template.take("name", str, "a string") or "slice"
    if slice_id(name) != name:
        template.note("name", f"is shortened to {slice_id(name)!r}")
    sst, sd = s_nssai(template.parts("s-nssai", ("sst", "sd")), template, "s-nssai")
    attributes = template.parts("attributes", (*_CARRIED, *_NOT_CARRIED))
    if attributes is None:
        template.fault("attributes", "is missing", "an object of NG.116 attributes")
        attributes = Attributes({}, path, (), faults, notes)
    isolation = attributes.take("Isolation level", str, "one of " + ", ".join(_ISOLATION))
    if isolation is not None and isolation not in _ISOLATION:
        attributes.fault("Isolation level", f"is {isolation!r}", "one of " + ", ".join(_ISOLATION))
    if isolation == "Physical isolation":
        attributes.note("Isolation level", "links are shared; its queues are its own")
    qos = attributes.parts(QOS, (*_QOS_CARRIED, "3GPP 5QI", "Resource type"))
    common: dict[str, Any] = {
        "availability": ratio(attributes.number("Availability", 0, 100, "percent")),
        "mtu_bytes": whole(attributes.number(_SIZE, 64, 65535, "bytes")),
    }
    priority, burst = None, None
    if qos:
        common["delay_ns"] = _time(qos, "Packet delay budget")
        common["variation_ns"] = _time(qos, "Jitter")
        errors = qos.number("Packet error rate", 0, 1, "lost packets to sent")
        lost = ratio(qos.number("Maximum packet loss rate", 0, 100, "percent"))
        rates = [float(r) for r in (errors, lost) if r is not None]
        common["loss"] = min(rates) if rates else None
        priority = whole(qos.number("Priority level", 1, 127, "TS 23.501 clause 5.7.3.3"))
        burst = whole(qos.number("Maximum data burst volume", 1, 10**9, "bytes"))
        places = {
            "delay_ns": "Packet delay budget",
            "variation_ns": "Jitter",
            "loss": "Packet error rate",
        }
        refuse_contradictions(Slo(**{name: common[name] for name in places}), places, qos)
        qos.close()
    slos = [_direction(attributes, direction, common) for direction in _DIRECTIONS]
    attributes.close()
    return session(
        slos[0],
        slos[1],
        ends,
        id=slice_id(name),
        description=f"GSMA GST {name}",
        sst=sst,
        sd=sd,
        priority=priority or 80,
        isolation="shared" if isolation in (None, "No isolation") else "dedicated-queue",
        burst_bytes=burst,
    )


def _direction(attributes: Attributes, direction: str, common: dict[str, Any]) -> Slo:
    name = _DIRECTIONS[direction]
    words = [f"{word} {direction.lower()} throughput" for word in ("Guaranteed", "Maximum")]
    parts = attributes.parts(name, words)
    rates = [parts.number(w, 0, _MAX_KBPS, "kbit/s", 1000) if parts else None for w in words]
    slo = Slo(guaranteed_bps=whole(rates[0]) or 0, maximum_bps=whole(rates[1]), **common)
    refuse_contradictions(
        Slo(guaranteed_bps=slo.guaranteed_bps, maximum_bps=slo.maximum_bps),
        {"guaranteed_bps": name, "maximum_bps": name},
        attributes,
    )
    refuse_contradictions(
        Slo(availability=slo.availability), {"availability": "Availability"}, attributes
    )
    return slo


def _time(attributes: Attributes, name: str) -> int | None:
    text = attributes.take(name, str, "a time with its unit, such as '5 ms'")
    if text is None:
        return None
    try:
        return time_ns(text)
    except InputError as error:
        attributes.fault(name, error.what, error.expected)
        return None
