"""A change of the network, as data: the base of every kind.

A kind that an experiment may ask for is a file of `testbed.scenario.events`; those that
the network makes of itself are in `testbed.net.deltas`, which also says what each kind
makes of a state.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from testbed.scenario.model import Frozen


class Delta(Frozen, frozen=True, kw_only=True, tag_field="of"):
    """What changes (the fields of the kind), planned when, why, and on whose word."""

    at_ns: int = 0
    """From the start of traffic."""
    why: str = ""
    """What it follows from; empty: it was asked for."""
    by: str = "experiment"
    """Who says so: experiment, northbound, controller, prompt."""

    @property
    def text(self) -> str:
        """For people: `cut x1-x2`."""
        raise NotImplementedError


def kinds(package: str, path: Iterable[str]) -> tuple[type[Delta], ...]:
    """The kinds of all files of a package, by file and name."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
    found = [kind for kind in Delta.__subclasses__() if kind.__module__.startswith(f"{package}.")]
    return tuple(sorted(found, key=lambda kind: (kind.__module__, kind.__name__)))
