"""The wall lab: Debian's own User-Mode Linux kernel in real time. Needs no build and no root."""

from __future__ import annotations

from testbed.lab.image import Image
from testbed.lab.uml import Kernel, UmlLab


class WallLab(UmlLab):
    """Wall-clock time, as an ordinary user."""

    def __init__(self, *, memory_bytes: int | None = None) -> None:
        super().__init__("wall", memory_bytes=memory_bytes)

    def kernel(self, built: Image) -> Kernel:
        return Kernel(release=built.uml_release)
