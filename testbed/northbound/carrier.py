"""Steps of a change, carried out: queues by netlink, rules by the controller.

The controller listens on a Unix socket. It is sent one line of JSON

    {"add": [rule, ...], "delete": [rule, ...]}

and answers with one when all switches have confirmed: {"error": null}, or why not. One
that is away is waited for, since a controller that starts again takes a few seconds.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec

from testbed.emulation.netlink import Netlink
from testbed.emulation.requeue import requeue
from testbed.errors import EmulationError
from testbed.net.deltas.install import Step

_AWAY_S = 10.0
"""A controller that does not listen for so long is not waited for."""
_ANSWER_S = 30.0
_RETRY_S = 0.05


class Carrier:
    """Carries steps out, in the namespace of the switches.

    Args:
        control: where the controller listens.
    """

    def __init__(self, control: Path) -> None:
        self._control = control

    def __call__(self, step: Step) -> None:
        """Raises EmulationError."""
        time.sleep(step.wait_ns / 1e9)
        if step.ports:
            with Netlink() as link:
                requeue(link, step.ports)
        if step.add or step.delete:
            self._tell(step)

    def _tell(self, step: Step) -> None:
        body = msgspec.json.encode({"add": step.add, "delete": step.delete})
        try:
            with self._connected() as to, to.makefile("rb") as lines:
                to.sendall(body + b"\n")
                line = lines.readline()
        except OSError as error:
            raise EmulationError(
                f"the controller did not answer: {error.strerror or error}", where="northbound"
            ) from error
        if not line:
            raise EmulationError("the controller ended before it confirmed", where="northbound")
        if why := msgspec.json.decode(line)["error"]:
            raise EmulationError(why, where="OpenFlow")

    def _connected(self) -> socket.socket:
        end = time.monotonic() + _AWAY_S
        while True:
            to = socket.socket(socket.AF_UNIX)
            to.settimeout(_ANSWER_S)
            try:
                to.connect(str(self._control))
            except (FileNotFoundError, ConnectionRefusedError):
                to.close()
                if time.monotonic() > end:
                    raise
                time.sleep(_RETRY_S)
            else:
                return to
