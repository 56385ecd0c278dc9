"""Holds JSON against a YANG module: RFC 7951 encoding, RFC 7950 constraints.

A module is written as a tree of Node (see schema.py). validate() walks the JSON and the
tree together and finds every fault at once, each with the instance identifier of the
place: unknown members, wrong types, missing keys and mandatory leaves, keys used twice,
members of two cases of one choice, state where configuration is asked.

What the tree cannot say (references, `when`, sums) is left to the module's own code.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from testbed.errors import InputError

MAX_FAULTS = 20
"""After so many faults reading ends: the rest is likely the same mistake."""


class Fault(NamedTuple):
    """What is wrong at one place of an instance document."""

    path: str
    """Instance identifier, RFC 7951 section 6.11, keys quoted."""
    what: str
    expected: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" + (
            f"; expected {self.expected}" if self.expected else ""
        )


class OrderError(InputError):
    """An order that breaks a rule of its format; `faults` are all that were found."""

    def __init__(
        self, faults: Iterable[Fault], *, where: str = "", expected: str = "", remedy: str = ""
    ) -> None:
        self.faults = tuple(faults)
        what = "\n".join(map(str, self.faults))
        super().__init__(what, where=where, expected=expected, remedy=remedy)


def too_many(faults: Iterable[Fault]) -> OrderError:
    """Where reading ends."""
    return OrderError(faults, remedy=f"the first {MAX_FAULTS} faults; mend these first")


# Types: a value in JSON to the value meant, or a text that says what was expected


class MistypedError(ValueError):
    """A value that is not of its type; the text says what would be."""


Type = Callable[[Any], Any]


_NO_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def text(value: Any) -> str:
    """string: no control characters or lone surrogates (RFC 7950 section 9.4)"""
    if not isinstance(value, str) or _NO_CHARACTER.search(value):
        raise MistypedError("a string without control characters")
    return value


def short_text(longest: int) -> Type:
    """string { length "1..longest" }"""

    def read(value: Any) -> str:
        if not 1 <= len(text(value)) <= longest:
            raise MistypedError(f"a string of 1 to {longest} characters")
        return str(value)

    return read


def integer(least: int, most: int) -> Type:
    """Up to 32 bits: a JSON number (RFC 7951 section 6.1)."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise MistypedError(f"a JSON number, whole, from {least} to {most}")
        return value

    return read


def pattern(expression: str, expected: str) -> Type:
    """string { pattern }, the whole of which must match (RFC 7950 section 9.4.5)."""
    whole = re.compile(expression)

    def read(value: Any) -> str:
        if not whole.fullmatch(text(value)):
            raise MistypedError(expected)
        return str(value)

    return read


_DIGITS = re.compile(r"[+-]?[0-9]{1,30}")


def uint64(value: Any) -> int:
    """A JSON string (RFC 7951 section 6.1) of decimal digits (RFC 7950 section 9.2.1)."""
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else 2**64
    if not 0 <= number < 2**64:
        raise MistypedError('a uint64 as a JSON string of decimal digits, such as "1000"')
    return number


def decimal64(digits: int, least: float | None = None, most: float | None = None) -> Type:
    """A JSON string (RFC 7951 section 6.1) with at most `digits` decimals.

    Without a range it holds what 64 bits do (RFC 7950 section 9.3.4).
    """
    pattern = re.compile(rf"[+-]?[0-9]{{1,30}}(\.[0-9]{{1,{digits}}})?")
    span = "" if most is None else f" from {least:g} to {most:g}"
    largest = (2**63 - 1) / 10**digits
    least, most = (-largest, largest) if least is None or most is None else (least, most)

    def read(value: Any) -> float:
        number = float(value) if isinstance(value, str) and pattern.fullmatch(value) else None
        if number is None or not least <= number <= most:
            raise MistypedError(f"a decimal64{span} as a JSON string with up to {digits} decimals")
        return number

    return read


def boolean(value: Any) -> bool:
    """true or false"""
    if not isinstance(value, bool):
        raise MistypedError("true or false")
    return value


def empty(value: Any) -> bool:
    """A leaf of type empty is [null] (RFC 7951 section 6.9)."""
    if value != [None]:
        raise MistypedError("[null]")
    return True


def enumeration(*names: str) -> Type:
    """One of the names (RFC 7951 section 6.4)."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise MistypedError(f"one of {', '.join(names)}{near(value, names)}")
        return value

    return read


def bits(*names: str) -> Type:
    """Names separated by spaces, each once (RFC 7951 section 6.5)."""

    def read(value: Any) -> frozenset[str]:
        words = value.split() if isinstance(value, str) else [""]
        if not set(words) <= set(names) or len(set(words)) != len(words):
            raise MistypedError(f"a string of {', '.join(names)}, separated by spaces")
        return frozenset(words)

    return read


def identity(*modules: tuple[str, str, Iterable[str]]) -> Type:
    """identityref: (module, prefix, identities), the leaf's own module first.

    The own module's identities may stand bare, others need their module's name (RFC 7951
    section 6.8). A prefix in its place, as in the examples of the IETF drafts, is read too.
    """
    known: dict[str, str] = {}
    shown: list[str] = []
    for nth, (module, prefix, names) in enumerate(modules):
        for name in names:
            known |= {f"{module}:{name}": name, f"{prefix}:{name}": name}
            if nth == 0:
                known[name] = name
            shown.append(name if nth == 0 else f"{module}:{name}")

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise MistypedError(f"one of {', '.join(shown)}{near(value, known)}")
        return known[value]

    return read


def ip_address(value: Any) -> str:
    """inet:ip-address, canonical; a zone index is kept."""
    try:
        address, percent, zone = text(value).partition("%")
        return str(ipaddress.ip_address(address)) + percent + zone
    except ValueError:
        raise MistypedError("an IPv4 or IPv6 address") from None


def ip_prefix(value: Any) -> str:
    """inet:ip-prefix, canonical: host bits are zero."""
    try:
        if "/" not in text(value):
            raise ValueError
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise MistypedError("an IPv4 or IPv6 prefix, such as 10.0.1.0/24") from None


# The tree


@dataclass(frozen=True)
class Node:
    """A data node of a module."""

    carried: bool = True
    """Part of what the testbed promises; what is not is named to the user."""
    config: bool = True


@dataclass(frozen=True)
class Leaf(Node):
    """A leaf; `many` makes it a leaf-list."""

    type: Type = text
    mandatory: bool = False
    many: bool = False


@dataclass(frozen=True)
class Container(Node):
    """A container, or with a `key` a list."""

    members: Mapping[str, Node] = field(default_factory=dict)
    choices: tuple[tuple[frozenset[str], ...], ...] = ()
    """Each choice: the members of its cases, of which one may be there."""
    key: str = ""
    least: int = 0
    """min-elements of a list."""


def near(value: object, known: Iterable[str]) -> str:
    """A hint at the nearest name, or nothing."""
    found = difflib.get_close_matches(str(value), list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def quoted(key: object) -> str:
    """A key value as an instance identifier has it: quoted by what it does not contain."""
    shown = printable(str(key))
    return f'"{shown}"' if "'" in shown else f"'{shown}'"


def printable(name: str) -> str:
    """A name as a terminal can show it: control characters escaped."""
    return name if name.isprintable() else json.dumps(name)[1:-1]


class Reader:
    """Walks one document. `faults` and `left_out` (paths not carried) grow on the way."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.left_out: list[str] = []

    def fault(self, path: str, what: str, expected: str = "") -> None:
        """Note a fault. Raises OrderError once there are MAX_FAULTS."""
        fault = Fault(path, what, expected)
        if fault in self.faults:  # of a template that many slices use
            return
        self.faults.append(fault)
        if len(self.faults) >= MAX_FAULTS:
            raise too_many(self.faults)

    def value(self, node: Node, value: Any, path: str) -> Any:
        """The value meant, or None after a fault."""
        if not node.config:
            self.fault(path, "is state, which cannot be ordered")
            return None
        before = len(self.left_out)
        found = self._read(node, value, path)
        if not node.carried:  # named once, whatever is inside
            self.left_out[before:] = [path]
        return found

    def _read(self, node: Node, value: Any, path: str) -> Any:
        if isinstance(node, Leaf):
            return (
                self._leaf_list(node, value, path) if node.many else self._leaf(node, value, path)
            )
        assert isinstance(node, Container)
        return self._list(node, value, path) if node.key else self._container(node, value, path)

    def _leaf(self, node: Leaf, value: Any, path: str) -> Any:
        try:
            return node.type(value)
        except MistypedError as wrong:
            self.fault(path, f"is {_shown(value)}", str(wrong))
            return None

    def _leaf_list(self, node: Leaf, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            self.fault(path, f"is {_shown(value)}", "a JSON array")
            return []
        found: list[Any] = []
        seen: set[Any] = set()
        for nth, each in enumerate(value, 1):
            one = self._leaf(node, each, f"{path}[{nth}]")
            if one is None:
                continue
            if one in seen:  # RFC 7950 section 7.7: values of configuration are unique
                self.fault(f"{path}[{nth}]", f"{_shown(each)} is there twice", "each value once")
            seen.add(one)
            found.append(one)
        return found

    def _list(self, node: Container, value: Any, path: str) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            self.fault(path, f"is {_shown(value)}", "a JSON array of objects")
            return []
        if len(value) < node.least:
            self.fault(path, f"has {len(value)} entries", f"at least {node.least}")
        found: list[dict[str, Any]] = []
        seen: set[Any] = set()
        key_leaf = node.members[node.key]
        assert isinstance(key_leaf, Leaf)
        for nth, each in enumerate(value, 1):
            place = f"{path}[{nth}]"
            if not isinstance(each, dict):
                self.fault(place, f"is {_shown(each)}", "a JSON object")
                continue
            if node.key not in each:
                self.fault(f"{place}/{node.key}", "is missing", "the key of the list entry")
                continue
            try:
                key = key_leaf.type(each[node.key])
            except MistypedError as wrong:
                self.fault(f"{place}/{node.key}", f"is {_shown(each[node.key])}", str(wrong))
                continue
            place = f"{path}[{node.key}={quoted(each[node.key])}]"
            if key in seen:
                self.fault(place, "is there twice", f"each {node.key} once")
                continue
            seen.add(key)
            found.append(self._container(node, each, place))
        return found

    def _container(self, node: Container, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(path, f"is {_shown(value)}", "a JSON object")
            return {}
        found: dict[str, Any] = {}
        for name, each in value.items():
            member = node.members.get(name)
            if member is None:
                self.fault(f"{path}/{printable(name)}", "is unknown" + near(name, node.members))
                continue
            found[name] = self.value(member, each, f"{path}/{name}")
        for name, member in node.members.items():
            if name not in value:
                self._absent(member, name, f"{path}/{name}")
        for cases in node.choices:
            there = [sorted(case & value.keys()) for case in cases if case & value.keys()]
            if len(there) > 1:
                names = " and ".join(case[0] for case in there)
                self.fault(path, f"has {names}", "one of them")
        return found

    def _absent(self, member: Node, name: str, path: str) -> None:
        if isinstance(member, Leaf) and member.mandatory:
            self.fault(path, "is missing", "a mandatory leaf")
        elif isinstance(member, Container):
            if member.key and member.least:
                self.fault(path, "is missing", f"at least {member.least} entries")
            elif not member.key and any(
                isinstance(m, Container) and m.least for m in member.members.values()
            ):
                self.fault(path, "is missing", "a container that holds mandatory entries")


def _shown(value: Any) -> str:
    """A JSON value for people: short, however long it is."""
    if isinstance(value, list | dict):
        return f"{'an array' if isinstance(value, list) else 'an object'} of {len(value)}"
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
