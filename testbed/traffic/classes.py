"""Application classes: what an application sends, and the deadline it is judged by.

A class is one TOML file named after it. Quantities are strings with units. Keys:

    description           one line for people
    direction             UL, DL (terminal to server, back), UL+DL, U2U (between
                          terminals), DC (between data centres)
    size                  application bytes of one message
    interval              time between messages (the mean, if arrivals are poisson),
      or sampled_every    for traffic without a period: how often its delay is sampled
    arrivals              periodic or poisson (RFC 3432, RFC 2330)
    deadline              as the source states it, or absent: no deadline
    deadline_kind         OW one-way; OW-prop one-way propagation; RTT round trip;
                          TTFT time to first token; FCT flow completion time
    judged                one-way or rtt: which network delay is held against it
    network_share         the network's part of the deadline, where it is not all,
    network_share_reason  and why
    reliability           share of messages within the deadline that is asked for
    survival              survival time (TS 22.104 annex C.3)
    sst                   slice/service type (TS 23.501 table 5.15.2.2-1)
    five_qi, pdb, per     5QI, packet delay budget, packet error rate (TS 23.501
                          table 5.7.4-1)
    dscp                  code point of the class's packets (RFC 4594)
    source, evidence      spec clause, and how it is known: see EVIDENCE
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from testbed.errors import InputError, unknown
from testbed.scenario.model import Frozen
from testbed.units import size_bytes, time_ns

BUILT_IN = Path(__file__).with_name("classes")
"""The folder of the classes that come with the testbed."""

EVIDENCE = {
    "S": "read in a public source",
    "M": "recalled from the specification; check the clause before quoting it",
    "D": "design choice of the testbed",
}

Direction = Literal["UL", "DL", "UL+DL", "U2U", "DC"]
DeadlineKind = Literal["OW", "OW-prop", "RTT", "TTFT", "FCT"]
Judged = Literal["one-way", "rtt"]
Arrivals = Literal["periodic", "poisson"]

_DELAY_OF_KIND = {"OW": "one-way", "OW-prop": "one-way", "RTT": "rtt"}
"""Kinds that are network delays themselves, and the only delay they can judge."""


class AppClass(Frozen, frozen=True, kw_only=True):
    """One application class. Times in ns, sizes in application bytes."""

    name: str
    description: str
    direction: Direction
    size_bytes: int
    interval_ns: int
    sampled: bool
    """The application has no period; `interval_ns` is how often it is sampled."""
    arrivals: Arrivals
    stated_deadline_ns: int | None
    """The deadline in the source's own terms."""
    stated_kind: DeadlineKind | None
    deadline_ns: int | None
    """What the network is judged by, as a delay of kind `judged`."""
    judged: Judged
    network_share_reason: str
    """Why `deadline_ns` is not the stated one; empty if it is."""
    reliability: float | None
    survival_ns: int | None
    sst: int
    five_qi: int | None
    pdb_ns: int | None
    per: float | None
    dscp: int
    source: str
    evidence: Literal["S", "M", "D"]


def load_classes(
    folders: Iterable[Path] = (BUILT_IN,), broken: list[InputError] | None = None
) -> dict[str, AppClass]:
    """All classes of the folders, by name.

    Raises InputError for a file that is wrong, unless there is a list `broken` to add it to.
    """
    found: dict[str, AppClass] = {}
    origin: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            if path.stem in found:
                raise InputError(
                    f"application class {path.stem!r} is defined twice",
                    where=f"{origin[path.stem]} and {path}",
                    expected="one file for each class",
                    remedy="rename one of them",
                )
            try:
                found[path.stem] = load_class(path)
            except InputError as error:
                if broken is None:
                    raise
                broken.append(error)
            origin[path.stem] = path
    return found


def load_class(path: Path) -> AppClass:
    """The class in one file. Raises InputError, naming file, key and what was expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise InputError(
            f"application class cannot be read: {err}", where=str(path), expected="a TOML file"
        ) from err
    return parse_class(path.stem, raw, where=str(path))


def parse_class(name: str, raw: Mapping[str, object], where: str) -> AppClass:
    """A class from its file's keys. Raises InputError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(
            f"{name!r} is not a class name",
            where=where,
            expected="a file name of lower-case letters, digits and _, starting with a letter",
        )
    for key in raw:
        if key not in _KEYS:
            raise unknown("key", key, _KEYS, where=where)
    value = {key: parse(raw[key], f"{where}: {key}") for key, parse in _KEYS.items() if key in raw}
    for key in _REQUIRED:
        if key not in value:
            raise _wrong(f"key {key!r} is missing", where, f"the keys {', '.join(_REQUIRED)}")
    _check(value, where)
    deadline = value.get("deadline")
    return AppClass(
        name=name,
        description=value["description"],
        direction=value["direction"],
        size_bytes=value["size"],
        interval_ns=value.get("interval") or value["sampled_every"],
        sampled="sampled_every" in value,
        arrivals=value["arrivals"],
        stated_deadline_ns=deadline,
        stated_kind=value.get("deadline_kind"),
        deadline_ns=value.get("network_share", deadline),
        judged=value.get("judged", "one-way"),
        network_share_reason=value.get("network_share_reason", ""),
        reliability=value.get("reliability"),
        survival_ns=value.get("survival"),
        sst=value["sst"],
        five_qi=value.get("five_qi"),
        pdb_ns=value.get("pdb"),
        per=value.get("per"),
        dscp=value["dscp"],
        source=value["source"],
        evidence=value["evidence"],
    )


def _check(value: Mapping[str, Any], where: str) -> None:
    """What keys ask of each other."""
    for group in (("deadline", "deadline_kind", "judged"), ("five_qi", "pdb", "per")):
        absent = [key for key in group if key not in value]
        if absent and len(absent) < len(group):
            raise _wrong(f"key {absent[0]!r} is missing", where, f"all of {', '.join(group)}")
    if ("interval" in value) == ("sampled_every" in value):
        raise _wrong("no message interval, or two", where, "either interval or sampled_every")
    if "deadline" not in value:
        if "network_share" in value:
            raise _wrong("network_share without a deadline", where, "a deadline to share")
        return
    kind, judged = value["deadline_kind"], value["judged"]
    if _DELAY_OF_KIND.get(kind, judged) != judged:
        raise InputError(
            f"a deadline of kind {kind} cannot be judged by a delay of kind {judged}",
            where=f"{where}: judged",
            expected=repr(_DELAY_OF_KIND[kind]),
            remedy="judge the delay that the source limits",
        )
    share = value.get("network_share")
    if share is None and kind not in _DELAY_OF_KIND:
        raise _wrong(
            f"a {kind} deadline is not a network delay", where, "network_share with its reason"
        )
    if share is not None and share > value["deadline"]:
        raise _wrong("network_share is larger than the deadline", where, "a part of the deadline")
    if (share is None) != ("network_share_reason" not in value):
        raise _wrong(
            "network_share and its reason go together", where, "network_share_reason, one line"
        )


def _wrong(what: str, where: str, expected: str) -> InputError:
    return InputError(what, where=where, expected=expected)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"{value!r} is not a text", where, "a text in quotes")
    return value


def _one_of(*names: str) -> Callable[[object, str], str]:
    def parse(value: object, where: str) -> str:
        if value not in names:
            raise unknown("value", str(value), names, where=where)
        return str(value)

    return parse


def _whole(low: int, high: int) -> Callable[[object, str], int]:
    def parse(value: object, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _wrong(f"{value!r} is out of range", where, f"a number from {low} to {high}")
        return value

    return parse


def _share(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise _wrong(f"{value!r} is not a share", where, "a number over 0, up to 1, no unit")
    return float(value)


def _above_zero(parse: Callable[[object, str], int]) -> Callable[[object, str], int]:
    def positive(value: object, where: str) -> int:
        result = parse(value, where)
        if result == 0:
            raise _wrong(f"{value!r} is zero", where, "more than zero")
        return result

    return positive


_KEYS: dict[str, Callable[[object, str], Any]] = {
    "description": _text,
    "direction": _one_of("UL", "DL", "UL+DL", "U2U", "DC"),
    "size": _above_zero(size_bytes),
    "interval": _above_zero(time_ns),
    "sampled_every": _above_zero(time_ns),
    "arrivals": _one_of("periodic", "poisson"),
    "deadline": _above_zero(time_ns),
    "deadline_kind": _one_of("OW", "OW-prop", "RTT", "TTFT", "FCT"),
    "judged": _one_of("one-way", "rtt"),
    "network_share": _above_zero(time_ns),
    "network_share_reason": _text,
    "reliability": _share,
    "survival": _above_zero(time_ns),
    "sst": _whole(1, 255),
    "five_qi": _whole(1, 255),
    "pdb": _above_zero(time_ns),
    "per": _share,
    "dscp": _whole(0, 63),
    "source": _text,
    "evidence": _one_of(*EVIDENCE),
}
_REQUIRED = ("description", "direction", "size", "arrivals", "sst", "dscp", "source", "evidence")
