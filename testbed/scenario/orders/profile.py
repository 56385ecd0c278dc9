"""What the converters of service profiles share: attributes by name, ends, directions.

A profile says what a slice of a mobile network is promised, uplink and downlink, but not
between which nodes: the slice gets two SDPs, `terminal` and `server`, and two
constructs, `uplink` and `downlink`, in one group, `session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from testbed.scenario.model import Construct, Group, Isolation, Match, Sdp, Slice, Slo
from testbed.scenario.orders.ietf import Orders
from testbed.scenario.orders.yang import MAX_FAULTS, Fault, OrderError, near, printable, too_many
from testbed.scenario.promise import contradictions

T = TypeVar("T")


class Ends(NamedTuple):
    """The nodes a profile's slice connects; None leaves an SDP without its node."""

    terminal: str | None = None
    server: str | None = None


class Attributes:
    """The attributes of one JSON object. Faults and notes grow on the way.

    Paths are JSON pointers (RFC 6901).
    """

    def __init__(
        self, value: Any, path: str, known: Iterable[str], faults: list[Fault], notes: list[str]
    ) -> None:
        self.path, self.faults, self.notes = path, faults, notes
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        self._left = dict.fromkeys(self._values)
        names = set(known)
        if not isinstance(value, dict):
            self.fault("", "is no JSON object")
        for name in self._values:
            if name not in names:
                self.fault(name, "is unknown" + near(name, names))

    def fault(self, name: str, what: str, expected: str = "") -> None:
        """Note a fault of an attribute, or of the object itself.

        Raises OrderError once there are MAX_FAULTS.
        """
        self.faults.append(Fault(self._place(name), what, expected))
        if len(self.faults) >= MAX_FAULTS:
            raise too_many(self.faults)

    def note(self, name: str, why: str = "") -> None:
        """Note an attribute that is not carried, or not wholly."""
        self.notes.append(self._place(name) + (f": {why}" if why else ""))

    def take(self, name: str, kind: type[T], expected: str) -> T | None:
        """An attribute of a JSON type, or None; what is taken counts as carried."""
        self._left.pop(name, None)
        value = self._values.get(name)
        if value is None or isinstance(value, kind):
            return value
        self.fault(name, f"is {value!r}"[:80], expected)
        return None

    def number(
        self, name: str, least: float, most: float, unit: str, factor: int | Decimal = 1
    ) -> Decimal | None:
        """A number in range times a factor, exactly, or None."""
        self._left.pop(name, None)
        value = self._values.get(name)
        if value is None:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            self.fault(name, f"is {value!r}"[:80], f"a number of {unit} from {least:g} to {most:g}")
            return None
        return Decimal(repr(value)) * factor

    def parts(self, name: str, known: Iterable[str]) -> Attributes | None:
        """An attribute that is an object."""
        self._left.pop(name, None)
        if name not in self._values:
            return None
        return Attributes(self._values[name], self._place(name), known, self.faults, self.notes)

    def close(self, quiet: Iterable[str] = ()) -> None:
        """Note every attribute that nothing has taken."""
        for name in self._left:
            if name not in quiet and not any(f.path == self._place(name) for f in self.faults):
                self.note(name)

    def _place(self, name: str) -> str:
        token = printable(name).replace("~", "~0").replace("/", "~1")
        return f"{self.path}/{token}" if name else self.path or "/"


def ratio(percent: Decimal | None) -> float | None:
    """99.999 -> 0.99999"""
    return None if percent is None else float(percent / 100)


def whole(value: Decimal | None) -> int | None:
    """The nearest whole number."""
    return None if value is None else round(value)


def session(
    up: Slo,
    down: Slo,
    ends: Ends,
    *,
    id: str,
    description: str,
    sst: int,
    sd: str,
    priority: int = 80,
    isolation: Isolation = "shared",
    burst_bytes: int | None = None,
) -> Slice:
    """The slice of a profile. Where the directions differ each construct has its own
    promise, and the slice as a whole the stricter of both."""
    same = up == down
    slo = up if same else _stricter(up, down)
    sdps = tuple(
        Sdp(
            id=end,
            node=node,
            burst_bytes=burst_bytes,
            matches=(Match(group="session", construct=construct),),
        )
        for end, node, construct in (
            ("terminal", ends.terminal, "uplink"),
            ("server", ends.server, "downlink"),
        )
    )
    constructs = (
        Construct(
            id="uplink", senders=("terminal",), receivers=("server",), slo=None if same else up
        ),
        Construct(
            id="downlink", senders=("server",), receivers=("terminal",), slo=None if same else down
        ),
    )
    return Slice(
        id=id,
        description=description,
        sst=sst,
        sd=sd,
        priority=priority,
        isolation=isolation,
        sdps=sdps,
        groups=(Group(id="session", kind="point-to-point", constructs=constructs),),
        **{name: getattr(slo, name) for name in Slo.__struct_fields__},
    )


def _stricter(a: Slo, b: Slo) -> Slo:
    greater = {"guaranteed_bps", "maximum_bps", "availability", "mtu_bytes"}
    found: dict[str, Any] = {}
    for name in Slo.__struct_fields__:
        values = [v for v in (getattr(a, name), getattr(b, name)) if v is not None]
        choose: Callable[[list[Any]], Any] = max if name in greater else min
        found[name] = choose(values) if values else None
    if a.maximum_bps is None or b.maximum_bps is None:
        found["maximum_bps"] = None
    return Slo(**found)


def refuse_contradictions(slo: Slo, names: Mapping[str, str], attributes: Attributes) -> None:
    """Faults of what cannot be promised, at the attribute that says so."""
    for field, what, expected in contradictions(slo):
        attributes.fault(names.get(field, ""), what, expected)


def s_nssai(attributes: Attributes | None, outer: Attributes, path: str) -> tuple[int, str]:
    """(sst, sd) of an object {sst, sd}; sst 1, and a note, without one."""
    sst = attributes.number("sst", 1, 255, "TS 23.003 clause 28.4.2") if attributes else None
    sd = attributes.take("sd", str, "6 hex digits") if attributes else None
    if attributes and sd is not None and (len(sd) != 6 or set(sd) - set("0123456789abcdefABCDEF")):
        attributes.fault("sd", f"is {sd!r}", "6 hex digits (TS 23.003 clause 28.4.2)")
    if sst is None:
        outer.note("", f"has no {path}, read as sst 1")
    return int(sst or 1), (sd or "FFFFFF").upper()


def slice_id(text: str) -> str:
    """A name the testbed takes: other characters become '-'."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in text)
    return kept.strip("-._")[:64] or "slice"


def orders_of(
    slices: Sequence[Slice],
    ids: Sequence[str],
    faults: list[Fault],
    notes: Iterable[str],
    where: str,
) -> Orders:
    """The orders of a document; `ids` are the paths of the slices' names.

    Raises OrderError if there were faults, or if two slices have one name.
    """
    seen: set[str] = set()
    for slice_, path in zip(slices, ids, strict=True):
        if slice_.id in seen:
            faults.append(Fault(path, f"{slice_.id!r} is there twice", "each once"))
        seen.add(slice_.id)
    if faults:
        raise OrderError(faults[:MAX_FAULTS], where=where)
    return Orders(tuple(slices), tuple(dict.fromkeys(notes)))
