"""Every error a user can meet.

    TestbedError
    +-- InputError      what the user wrote is wrong (unknown name, type, unit, value)
    |   +-- OrderError  a slice order breaks its format (testbed.scenario.orders.yang)
    +-- PlanError       the scenario is well formed but cannot be planned
    +-- LabError        a lab is missing something, or ended before it was done
    +-- EmulationError  the kernel or Open vSwitch did not do what the plan asked
    +-- ResultError     a run folder is missing, damaged or of another schema

Each carries what is wrong, where, what was expected and the remedy, so that the
command line can print all four without a traceback. What they quote is shown as text:
control characters as escapes.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.text import visible

_PARTS = ("what", "where", "expected", "remedy")


class TestbedError(Exception):
    """Base of all errors shown to users.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: file, parameter or object it was found in.
        expected: what would have been right (a type, a range, a list of names).
        remedy: what to do about it, as a command where there is one.
    """

    __test__ = False  # not a pytest class
    exit_code = 1

    def __init__(self, what: str, *, where: str = "", expected: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.where = visible(what), visible(where)
        self.expected, self.remedy = visible(expected), visible(remedy)
        self.kept: Path | None = None
        """The run folder of what was measured until then."""

    def kept_in(self, folder: Path) -> None:
        """Add to the remedy where to find what was measured."""
        self.kept = folder
        kept = visible(f"what was measured is in {folder}")
        self.remedy = "; ".join(filter(None, (self.remedy, kept)))

    def told(self) -> dict[str, str]:
        """All of it for another process, which has `retold`: the parts, and the kind by its
        nearest name here."""
        kind = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        return {"kind": kind.__name__, **{part: getattr(self, part) for part in _PARTS}}

    def __str__(self) -> str:
        rows = [self.what]
        for label, text in (
            ("where", self.where),
            ("expected", self.expected),
            ("remedy", self.remedy),
        ):
            if text:
                rows.append(f"  {label}: {text}")
        return visible("\n".join(rows))  # parts may have been set later


class InputError(TestbedError):
    """What the user wrote is wrong."""

    exit_code = 2


class PlanError(TestbedError):
    """The scenario cannot be planned on this topology."""

    exit_code = 3


class LabError(TestbedError):
    """A lab cannot boot, or ended early."""

    exit_code = 4


class EmulationError(TestbedError):
    """The kernel or the switch does not have what the plan asked for."""

    exit_code = 5


class ResultError(TestbedError):
    """A run folder cannot be read or written."""

    exit_code = 6


class Stopped(BaseException):
    """A signal asked this process to end; everything it started is taken down on the way.

    Attributes:
        kept: the run folder of what was measured until then.
        left: where it is, if it could not be made a run folder yet.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
        self.kept: Path | None = None
        self.left: Path | None = None


def retold(told: Mapping[str, str]) -> TestbedError:
    """The error that another process `told`.

    >>> retold(InputError("no such link", where="line 3").told())
    InputError('no such link')
    """
    kind = globals().get(told.get("kind", ""))
    if not (isinstance(kind, type) and issubclass(kind, TestbedError)):
        kind = TestbedError
    what, *rest = (told.get(part, "") for part in _PARTS)
    return kind(what, **dict(zip(_PARTS[1:], rest, strict=True)))


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "") -> InputError:
    """An InputError for a name that is not among `known`, with the nearest ones.

    >>> print(unknown("topology", "metro_rnig", ["metro_ring", "city"]))
    unknown topology 'metro_rnig'
      expected: one of city, metro_ring
      remedy: did you mean 'metro_ring'?
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    return InputError(
        f"unknown {kind} {name!r}",
        where=where,
        expected=("one of " + ", ".join(names)) if names else f"a {kind}, but there is none",
        remedy=("did you mean " + " or ".join(repr(n) for n in near) + "?") if near else "",
    )
