"""Which lab a run gets: the one asked for, or the first of the preferred that can start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.errors import LabError, unknown
from testbed.lab.base import Lab
from testbed.lab.native import NativeLab
from testbed.lab.wall import WallLab

LABS: Mapping[str, Callable[[], Lab]] = {"wall": WallLab, "native": NativeLab}
"""Every lab, the preferred first."""


@dataclass(frozen=True)
class Choice:
    """A lab, and why each preferred one could not be had: to be announced and stored."""

    lab: Lab
    fallbacks: tuple[str, ...] = ()


def choose(name: str | None = None, labs: Mapping[str, Callable[[], Lab]] = LABS) -> Choice:
    """The lab called `name`; without a name, the first that lacks nothing.

    A lab asked for by name is never replaced by another. Raises LabError with
    what is missing and the remedy, InputError for an unknown name.
    """
    if name is not None and name not in labs:
        raise unknown("lab", name, labs)
    refused: list[str] = []
    remedies: list[str] = []
    for candidate in [name] if name else labs:
        lab = labs[candidate]()
        lacks = lab.missing()
        if not lacks:
            return Choice(lab, tuple(refused))
        refused += [f"lab {candidate} lacks {missing.what}: {missing.why}" for missing in lacks]
        remedies += [missing.remedy for missing in lacks]
    raise LabError(
        "; ".join(refused),
        where=f"lab {name}" if name else "labs " + ", ".join(labs),
        expected="a lab that lacks nothing",
        remedy="; ".join(dict.fromkeys(remedies)) + " (`testbed doctor` tells all)",
    )
