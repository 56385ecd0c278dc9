"""Kinds of load, one file each: a file here with a KIND is one, by the file's name.

kind.py    what every kind says of itself
udp.py     packets each at its moment
flood.py   packets of a millisecond at once
tcp.py     iperf3's TCP
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Literal

from testbed.traffic.kinds.kind import Kind

KINDS: dict[str, Kind] = {
    module.name: kind
    for module in pkgutil.iter_modules(__path__)
    if (kind := getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None))
}

if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]
