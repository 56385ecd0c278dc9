"""Slice orders from IETF `ietf-network-slice-service` JSON (see schema.py).

    document --schema.py, yang.py--> valid tree --here--> slices, and what they leave out

After the tree is valid: references, policies (templates, overrides), units, and terms
that contradict each other. Every fault names its YANG instance path.

Where the module leaves a choice:
- A policy of a group or construct without an override option overrides in full.
- A bound of 0 is "unbounded" and promises nothing; a percentile needs a bound.
- A group without constructs connects the SDPs whose match criteria target it, by their
  roles; point-to-point both ways.
- one-way-bandwidth is the guaranteed rate, shared-bandwidth the maximum rate.
- The S-NSSAI is read from testbed-slice:s-nssai, or from opaque service tags `sst=4`
  and `sd=000001`; without either the slice is sst 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from testbed.scenario.model import Construct, Group, Match, Sdp, Slice, Slo
from testbed.scenario.orders.policy import Policies, Terms, isolation_of
from testbed.scenario.orders.schema import MATCHES, ROOT, SERVICES, TESTBED
from testbed.scenario.orders.yang import OrderError, Reader, quoted

DEFAULT_SST = 1
MAX_DIRECTIONS = 10_000
"""Of one slice: each has a contract. 100 SDPs, each with every other, are 9,900."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TAG = re.compile(r"sst=([0-9]{1,3})|sd=([0-9A-Fa-f]{6})")
_FIELD = {
    "phy-interface": "port",
    "vlan": "vlan",
    "label": "label",
    "source-ip-prefix": "src",
    "destination-ip-prefix": "dst",
    "dscp": "dscp",
    "acl": "acl",
}
"""Match type, and the field of Match."""


class Orders(NamedTuple):
    """What a document orders."""

    slices: tuple[Slice, ...]
    notes: tuple[str, ...]
    """What is valid but not carried: its path or attribute, and why."""


def from_ietf(document: Any, where: str = "") -> Orders:
    """The slices a document orders. Raises OrderError with every fault found.

    `document` is decoded JSON, `where` the file or request it came from.
    """
    reader = Reader()
    try:
        if not isinstance(document, dict):
            reader.fault("/", "is no JSON object", f"{{{ROOT!r}: ...}}")
        elif list(document) != [ROOT]:
            for name in document.keys() - {ROOT}:
                reader.fault(f"/{name}", "is unknown", f"one member, {ROOT}")
            if ROOT not in document:
                reader.fault(f"/{ROOT}", "is missing")
        _stop(reader)
        tree = reader.value(SERVICES, document[ROOT], f"/{ROOT}")
        _stop(reader)
        slices = tuple(_Services(tree, reader).slices())
        _stop(reader)
    except OrderError as error:
        error.where = where
        raise
    return Orders(slices, tuple(dict.fromkeys(reader.left_out)))


def _stop(reader: Reader) -> None:
    if reader.faults:
        raise OrderError(reader.faults)


class _Services:
    """One valid document, read slice by slice."""

    def __init__(self, tree: Mapping[str, Any], reader: Reader) -> None:
        self._services = tree.get("slice-service", ())
        self._reader = reader
        self._policies = Policies(tree.get("slo-sle-templates", {}), reader)

    def slices(self) -> Iterable[Slice]:
        for service in self._services:
            yield self._slice(service, f"/{ROOT}/slice-service[id={quoted(service['id'])}]")

    def _slice(self, service: Mapping[str, Any], path: str) -> Slice:
        reader = self._reader
        if not _ID.fullmatch(service["id"]):
            reader.fault(
                f"{path}/id",
                "cannot name a slice of the testbed",
                "1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit",
            )
        terms = self._policies.of(service, path) or {}
        slo = self._policies.slo(terms, path)
        sst, sd = self._s_nssai(service, path)
        sdps = tuple(self._sdp(sdp, f"{path}/sdps") for sdp in service["sdps"]["sdp"])
        groups = tuple(
            self._group(group, terms, sdps, f"{path}/connection-groups")
            for group in service.get("connection-groups", {}).get("connection-group", ())
        )
        directions = sum(len(c.senders) * len(c.receivers) for g in groups for c in g.constructs)
        if directions > MAX_DIRECTIONS:
            reader.fault(
                f"{path}/connection-groups",
                f"connects {directions} pairs of a sender and a receiver",
                f"at most {MAX_DIRECTIONS}",
            )
            _stop(reader)
        self._targets(service, groups, path)
        self._mtu(service, slo, groups, path)
        return Slice(
            id=service["id"],
            description=service.get("description", ""),
            sst=sst,
            sd=sd,
            priority=service.get(f"{TESTBED}:priority", 80),
            protection=service.get(f"{TESTBED}:protection", "none"),
            diversity=self._policies.diversity(terms),
            isolation=isolation_of(terms),
            sdps=sdps,
            groups=groups,
            **{name: getattr(slo, name) for name in Slo.__struct_fields__},
        )

    def _s_nssai(self, service: Mapping[str, Any], path: str) -> tuple[int, str]:
        tags: list[tuple[str, str]] = [
            (tag["tag-type"], value)
            for tag in service.get("service-tags", {}).get("tag-type", ())
            for value in tag.get("tag-type-value", ())
        ]
        given = service.get(f"{TESTBED}:s-nssai", {})
        sst: int | None = given.get("sst")
        sd: str | None = given.get("sd")
        for kind, value in tags:
            place = f"{path}/service-tags/tag-type[tag-type={quoted(kind)}]/tag-type-value"
            match = _TAG.fullmatch(value) if kind == "opaque" and not given else None
            if match is None:
                self._reader.left_out.append(f"{place}: {value}")
            elif match[1] and not 1 <= int(match[1]) <= 255:
                self._reader.fault(place, f"is {value!r}", "sst=1 to sst=255 (TS 23.003)")
            elif match[1]:
                sst = int(match[1])
            else:
                sd = match[2].upper()
        if sst is None:
            sst = DEFAULT_SST
            self._reader.left_out.append(f"{path}: has no S-NSSAI, read as sst {DEFAULT_SST}")
        return sst, sd or "FFFFFF"

    def _sdp(self, sdp: Mapping[str, Any], path: str) -> Sdp:
        path = f"{path}/sdp[id={quoted(sdp['id'])}]"
        limits = sdp.get("incoming-qos-policy", {}).get("rate-limits", {})
        place = f"{path}/incoming-qos-policy/rate-limits"
        for name in ("cir", "pir"):
            if limits.get(name) == 0 or limits.get(name, 0) >= 2**62:
                self._reader.fault(
                    f"{place}/{name}", f"is {limits[name]} bps", "above 0, below 2^62"
                )
        if limits.get("cbs", 0) >= 2**32:
            self._reader.fault(f"{place}/cbs", f"is {limits['cbs']} bytes", "below 2^32")
        if limits.get("pir", 2**63) < limits.get("cir", 0):
            self._reader.fault(f"{place}/pir", "is below cir", f"{limits['cir']} bps or more")
        return Sdp(
            id=sdp["id"],
            node=sdp.get("node-id"),
            addresses=tuple(sdp.get("sdp-ip-address", ())),
            matches=tuple(
                self._match(criterion, f"{path}/service-match-criteria")
                for criterion in sorted(_criteria(sdp), key=lambda c: int(c["index"]))
            ),
            rate_bps=limits.get("cir"),
            burst_bytes=limits.get("cbs"),
            peak_bps=limits.get("pir"),
        )

    def _match(self, criterion: Mapping[str, Any], path: str) -> Match:
        path = f"{path}/match-criterion[index={quoted(criterion['index'])}]"
        values: dict[str, Any] = {}
        for entry in criterion.get("match-type", ()):
            kind = entry["type"]
            place = f"{path}/match-type[type={quoted(kind)}]"
            wanted = MATCHES[kind]
            for name in entry.keys() - {"type", wanted}:
                self._reader.fault(
                    f"{place}/{name}", f"does not go with {kind}", wanted or "nothing"
                )
            if wanted is None:
                continue
            if not entry.get(wanted):
                self._reader.fault(f"{place}/{wanted}", "is missing or empty", "values to match")
            values[_FIELD[kind]] = tuple(entry.get(wanted, ()))
        return Match(
            group=criterion["target-connection-group-id"],
            construct=criterion.get("target-connectivity-construct-id"),
            role=criterion.get("connection-group-sdp-role", "any-to-any-role").removesuffix(
                "-role"
            ),
            **values,
        )

    def _targets(self, service: Mapping[str, Any], groups: Iterable[Group], path: str) -> None:
        """Match criteria lead to groups and constructs that are there."""
        known = {group.id: {c.id for c in group.constructs} for group in groups}
        for sdp in service["sdps"]["sdp"]:
            place = f"{path}/sdps/sdp[id={quoted(sdp['id'])}]/service-match-criteria"
            for criterion in _criteria(sdp):
                index = f"{place}/match-criterion[index={quoted(criterion['index'])}]"
                group = criterion["target-connection-group-id"]
                construct = criterion.get("target-connectivity-construct-id")
                if group not in known:
                    self._reader.fault(
                        f"{index}/target-connection-group-id",
                        f"refers to connection-group {group!r}, which is not there",
                        _one_of(known),
                    )
                elif construct is not None and construct not in known[group]:
                    self._reader.fault(
                        f"{index}/target-connectivity-construct-id",
                        f"refers to connectivity-construct {construct!r}, which is not in "
                        f"connection-group {group!r}",
                        _one_of(known[group]),
                    )

    def _mtu(
        self, service: Mapping[str, Any], slo: Slo, groups: Iterable[Group], path: str
    ) -> None:
        """The MTU is at most that of every attachment circuit, as the module's text asks."""
        asked = [slo.mtu_bytes] + [c.slo.mtu_bytes for g in groups for c in g.constructs if c.slo]
        largest = max((mtu for mtu in asked if mtu is not None), default=0)
        for sdp in service["sdps"]["sdp"]:
            for ac in sdp.get("attachment-circuits", {}).get("attachment-circuit", ()):
                if ac.get("mtu", largest) < largest:
                    self._reader.fault(
                        f"{path}/sdps/sdp[id={quoted(sdp['id'])}]/attachment-circuits"
                        f"/attachment-circuit[id={quoted(ac['id'])}]/mtu",
                        f"is {ac['mtu']} bytes, less than the slice's {largest}",
                        "no less than the slice's",
                    )

    def _group(
        self, group: Mapping[str, Any], outer: Terms, sdps: tuple[Sdp, ...], path: str
    ) -> Group:
        path = f"{path}/connection-group[id={quoted(group['id'])}]"
        kind = group.get("connectivity-type", "any-to-any")
        terms = self._policies.over(outer, group, path)
        own = terms is not outer
        written = group.get("connectivity-construct", ())
        if written:
            constructs = tuple(
                self._construct(each, terms, own, {sdp.id for sdp in sdps}, path)
                for each in written
            )
        else:
            slo = self._policies.slo(terms, path) if own else None
            constructs = tuple(
                Construct(id=str(n), kind=shape, senders=senders, receivers=receivers, slo=slo)
                for n, (shape, senders, receivers) in enumerate(
                    self._implied(group["id"], kind, sdps, path), 1
                )
            )
        return Group(id=group["id"], kind=kind, constructs=constructs)

    def _construct(
        self, construct: Mapping[str, Any], outer: Terms, changed: bool, ends: set[str], path: str
    ) -> Construct:
        path = f"{path}/connectivity-construct[id={quoted(construct['id'])}]"
        terms = self._policies.over(outer, construct, path)
        senders, receivers, kind = self._ends(construct, path)
        for name, sdp in (*senders, *receivers):
            if sdp not in ends:
                self._reader.fault(f"{path}/{name}", f"refers to sdp {sdp!r}, which is not there",
                                   _one_of(ends))  # fmt: skip
        return Construct(
            id=construct["id"],
            kind=kind,
            senders=tuple(sdp for _, sdp in senders),
            receivers=tuple(sdp for _, sdp in receivers),
            slo=self._policies.slo(terms, path) if changed or terms is not outer else None,
        )

    def _ends(self, construct: Mapping[str, Any], path: str) -> Any:
        """(leaf, SDP) of senders and receivers, and the construct's kind."""
        if "a2a-sdp" in construct:
            both = [(f"a2a-sdp[sdp-id={quoted(e['sdp-id'])}]/sdp-id", e["sdp-id"])
                    for e in construct["a2a-sdp"]]  # fmt: skip
            if len(both) < 2:
                self._reader.fault(f"{path}/a2a-sdp", f"has {len(both)} SDPs", "2 or more")
            return both, both, "a2a"
        kind = "p2mp" if construct.keys() & {"p2mp-sender-sdp", "p2mp-receiver-sdp"} else "p2p"
        to, by = f"{kind}-receiver-sdp", f"{kind}-sender-sdp"
        found = construct.get(to) or []
        receivers = [(to, sdp) for sdp in (found if kind == "p2mp" else [found]) if sdp]
        senders = [(by, construct[by])] if by in construct else []
        for name, there in ((by, senders), (to, receivers)):
            if not there:
                self._reader.fault(f"{path}/{name}", "is missing", "an SDP of the slice")
        if {sdp for _, sdp in senders} & {sdp for _, sdp in receivers}:
            self._reader.fault(f"{path}/{to}", "is the sender itself", "another SDP")
        return senders, receivers, kind

    def _implied(self, group: str, kind: str, sdps: tuple[Sdp, ...], path: str) -> list[Any]:
        """(kind, senders, receivers) of a group that leaves its constructs to the provider."""
        roles = {sdp.id: m.role for sdp in sdps for m in sdp.matches if m.group == group}
        if not roles:
            return []

        def those(*wanted: str) -> tuple[str, ...]:
            return tuple(sdp for sdp, role in roles.items() if role in wanted)

        def from_each(senders: tuple[str, ...], receivers: tuple[str, ...]) -> list[Any]:
            shape = "p2p" if len(receivers) == 1 else "p2mp"
            return [(shape, (sender,), receivers) for sender in senders]

        if kind == "point-to-point":
            a, *rest = roles
            found = from_each((a,), tuple(rest)) + from_each(tuple(rest), (a,))
            fine = len(rest) == 1
        elif kind.startswith("hub-spoke"):
            hubs, spokes = those("hub"), those("spoke")
            found = from_each(hubs, spokes) + from_each(spokes, hubs)
            fine = bool(hubs and spokes)
        elif kind in ("point-to-multipoint", "multipoint-to-point"):
            senders, receivers = those("sender"), those("receiver")
            found = from_each(senders, receivers)
            one = senders if kind.startswith("point") else receivers
            fine = bool(senders and receivers) and len(one) == 1
        else:
            found, fine = [("a2a", tuple(roles), tuple(roles))], len(roles) > 1
        if not fine:
            self._reader.fault(
                path,
                f"has no connectivity-construct, and {len(roles)} match criteria with roles "
                f"{', '.join(sorted(set(roles.values())))} do not make it {kind}",
                "connectivity-construct entries, or the roles that imply them",
            )
        return found


def _criteria(sdp: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sdp.get("service-match-criteria", {}).get("match-criterion", [])
    return found


def _one_of(names: Iterable[str]) -> str:
    shown = sorted(names)
    return "one of " + ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "") if shown else ""
