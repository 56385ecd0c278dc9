"""Which lab a run gets: the one asked for, or the first of the preferred that can start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from testbed.errors import LabError, unknown
from testbed.lab.base import Lab
from testbed.lab.native import NativeLab
from testbed.lab.virtual import VirtualLab
from testbed.lab.wall import WallLab

LABS: Mapping[str, Lab] = {lab.name: lab for lab in (VirtualLab(), WallLab(), NativeLab())}
"""Every lab, the preferred first."""


class Choice(NamedTuple):
    """A lab, and why each preferred one could not be had: to be announced and stored."""

    lab: Lab
    fallbacks: tuple[str, ...] = ()


def choose(name: str | None = None, labs: Mapping[str, Lab] = LABS) -> Choice:
    """The lab called `name`; without a name, the first that lacks nothing.

    A lab asked for by name is never replaced by another. Raises LabError with
    what is missing and the remedy, InputError for an unknown name.
    """
    if name is not None and name not in labs:
        raise unknown("lab", name, labs)
    refused: list[str] = []
    remedies: list[str] = []
    for candidate in [name] if name else labs:
        lacks = labs[candidate].missing()
        if not lacks:
            return Choice(labs[candidate], tuple(refused))
        refused += [f"lab {candidate} lacks {missing.what}: {missing.why}" for missing in lacks]
        remedies += [missing.remedy for missing in lacks]
    raise LabError(
        "no lab can start" if name is None else f"the {name} lab cannot start",
        where="; ".join(refused),
        expected="a lab that lacks nothing (`testbed doctor` tells all)",
        remedy="; ".join(dict.fromkeys(remedies)),
    )
