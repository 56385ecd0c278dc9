"""No module requests while bridges are made, in a kernel that is the lab's own.

Open vSwitch looks each port up by name before the port exists, and for a name that is
no interface the kernel starts modprobe: in a User-Mode Linux lab that is nine tenths of
the time a large network takes. What is needed is loaded by then. Other kernels are not
the lab's to change, and start programs faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SWITCH = Path("/proc/sys/kernel/modprobe")


@contextmanager
def no_requests() -> Iterator[None]:
    """Inside the block the lab's kernel starts no modprobe."""
    loaded = Path("/sys/module/openvswitch").exists()
    if not (loaded and _SWITCH.exists() and _own_kernel()):
        yield
        return
    program = _SWITCH.read_text()
    _SWITCH.write_text("\n")
    try:
        yield
    finally:
        _SWITCH.write_text(program)


def _own_kernel() -> bool:
    return "User Mode Linux" in Path("/proc/cpuinfo").read_text()
