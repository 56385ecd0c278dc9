"""Packet captures: tcpdump at ports, one file each, with nanosecond time stamps.

A packet that leaves is captured behind the port, when it is at the other end of the fibre.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.emulation.netns import entered
from testbed.errors import EmulationError

_START_S, _STOP_S = 20, 10


_HEADS_BYTES = 96
"""Of a packet: Ethernet, a label, IPv4, UDP, and both numbers of a STAMP packet."""
_BLOCK_S = 1.2
"""tcpdump is shown packets in blocks, each at most a second after its first one."""


class Capture:
    """A running capture of one interface; `stop` completes the file.

    One that ended by itself is left as it is: whoever watches `process` tells of it.
    """

    def __init__(
        self, interface: str, namespace: int, file: Path, probes: Sequence[int] = ()
    ) -> None:
        """`probes`: of what leaves, only the heads of STAMP packets of reflectors at these UDP
        ports; without, everything whole, both ways."""
        self.file = file
        self.lag_s = _BLOCK_S if probes else 0.0
        """How long after a packet it may be written."""
        file.parent.mkdir(parents=True, exist_ok=True)
        command = ["tcpdump", "-i", interface, "-w", str(file), "-n", "-Z", "root"]
        command += ["--time-stamp-precision=nano"]
        if probes:
            told = " or ".join(f"udp port {port}" for port in probes)
            command += ["-s", str(_HEADS_BYTES), "-Q", "out", f"{told} or (mpls and ({told}))"]
        else:
            command += ["-s", "0", "--immediate-mode", "--packet-buffered"]
        try:
            with entered(namespace):
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise EmulationError(
                "tcpdump is not installed in the lab", remedy="`testbed doctor` names the remedy"
            ) from None
        try:
            self._wait_listening(interface)
        except BaseException:
            self.stop()
            raise

    def _wait_listening(self, interface: str) -> None:
        assert self.process.stderr is not None
        said = b""
        deadline = time.monotonic() + _START_S
        while b"listening on" not in said:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stderr], [], [], left)[0]
            heard = os.read(self.process.stderr.fileno(), 4096) if ready else b""
            if not heard:
                raise EmulationError(
                    f"tcpdump does not capture {interface}: {said.decode().strip()}",
                    where=str(self.file),
                )
            said += heard

    def stop(self) -> None:
        """End the capture; the file is whole after this. Raises EmulationError."""
        if self.process.poll() is not None:
            self.process.communicate()
            return
        self.process.send_signal(signal.SIGINT)
        try:
            _, said = self.process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise EmulationError("tcpdump did not end", where=str(self.file)) from None
        if self.process.returncode:
            raise EmulationError(
                f"tcpdump ended with status {self.process.returncode}: {said.decode().strip()}",
                where=str(self.file),
            )
