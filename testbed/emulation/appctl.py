"""Commands to a running ovs-vswitchd, as `ovs-appctl` gives them, without starting a process."""

from __future__ import annotations

from pathlib import Path

from testbed.emulation.ovsdb import JsonRpc
from testbed.errors import EmulationError


class Appctl:
    """One connection: `Appctl(path)("ofproto/trace", "s1", "in_port=1")` answers the text."""

    def __init__(self, control: Path) -> None:
        """`control` is the daemon's ovs-vswitchd.PID.ctl. Raises EmulationError."""
        try:
            self._rpc = JsonRpc(control)
        except OSError as error:
            raise EmulationError(
                f"Open vSwitch does not answer: {error.strerror}",
                where=str(control),
                expected="the control socket of a running ovs-vswitchd",
            ) from error

    def __call__(self, method: str, *params: str) -> str:
        """Raises EmulationError with the daemon's own words if it refuses."""
        return str(self._rpc.call(method, *params))

    def close(self) -> None:
        self._rpc.close()
