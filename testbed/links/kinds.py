"""Every kind of link, by its name."""

from __future__ import annotations

from testbed.links.fibre import Fibre
from testbed.links.lan import Lan
from testbed.links.link import Link
from testbed.links.radio import Radio
from testbed.links.stated import Stated

AnyLink = Fibre | Lan | Radio | Stated
KINDS: dict[str, type[Link]] = {kind.__name__.lower(): kind for kind in AnyLink.__args__}
