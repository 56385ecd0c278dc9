"""The controller and its channel to the switches.

    switches --- ctl0 --- one-way delay of the plan, each way --- ctl1 --- controller

With a delay the controller has a network namespace of its own behind a veth pair, so
that every message of OpenFlow, and of TCP below it, takes as long as it would. Without
one, switches find it on the loopback interface.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from testbed.emulation import links, netns, qdisc
from testbed.emulation.netlink import Netlink
from testbed.emulation.watch import Watch, ended
from testbed.errors import EmulationError
from testbed.plan.model import Plan
from testbed.port.channel import Channel
from testbed.port.pipeline import Port
from testbed.port.queues import Queues
from testbed.process import child_environment

PORT = 6653
STATUS = Path("/run/controller.json")
CHANGES = Path("/run/controller.sock")
"""Where it takes changes of rules."""
ORDERS = Path("/run/northbound.json")
"""What is installed beside the plan, if anything is."""
_LOOPBACK = "127.0.0.1"
_SWITCHES, _CONTROLLER = "169.254.77.1", "169.254.77.2"
_PREFIX = 30
_IFINDEXES = (900, 901)
"""Below those of the plan."""
_QUEUE_PACKETS = 100_000
_TIMEOUT_S = 120.0


class Controller:
    """The controller process, asked through its status file. Use `controller`.

    `watch` is told of it: without a controller switches forward as before.
    """

    def __init__(
        self, job: Path, address: str, namespace: int | None, watch: Watch | None = None
    ) -> None:
        self.address = (address, PORT)
        self._job, self._namespace = job, namespace
        self._watch = watch or Watch()
        self._log = job / "controller.log"
        self.timeline = job / "controller.jsonl"
        """Every path that was put on another way, by CLOCK_MONOTONIC."""
        self._process = self.start()

    def start(self, *, keep: bool = False, repair: bool = True) -> subprocess.Popen[bytes]:
        """Start it. It ends with the thread that called this.

        With `keep` it deletes nothing, and replaces rules one by one. Without `repair` it
        leaves paths where they are.
        """
        STATUS.unlink(missing_ok=True)
        command = [sys.executable, "-m", "controllers.launch"]
        command += ["--plan", str(self._job / "plan.json"), "--status", str(STATUS)]
        command += ["--listen", self.address[0], "--port", str(PORT), "--timeout", "100"]
        command += ["--control", str(CHANGES), "--orders", str(ORDERS)]
        command += ["--timeline", str(self.timeline)]
        command += ["--keep"] * keep + ["--no-repair"] * (not repair)
        with ExitStack() as stack:
            out = stack.enter_context(self._log.open("ab"))
            if self._namespace is not None:
                stack.enter_context(netns.entered(self._namespace))
            self._process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=child_environment()
            )
        self._watch.add(
            "the controller", self._process, "paths were not repaired and rules not changed"
        )
        return self._process

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._watch.forget(self._process)
        self._process.kill()
        self._process.wait()

    def wait_listening(self) -> None:
        """Until switches can connect: one that is refused tries again a second later."""
        self._wait(self._listening, "the controller does not listen")

    def wait_installed(self) -> None:
        """Until every barrier came back. Raises EmulationError with the reason if not."""
        self._wait(STATUS.exists, "rules were not installed")
        status = json.loads(STATUS.read_text())
        if not status["installed"]:
            raise EmulationError(f"rules were not installed: {status['error']}", where="controller")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _TIMEOUT_S
        while not done():
            code = self._process.poll()
            if code is not None and not done():
                raise EmulationError(f"the controller {ended(code)}", where=self._tail())
            if time.monotonic() > end:
                raise EmulationError(f"{what} within {_TIMEOUT_S:.0f} s", where=self._tail())
            time.sleep(0.02)

    def counters(self, seconds: float = 30.0) -> dict[str, Any]:
        """Its status with every rule's counters as they are now; it runs on.

        One that has ended is started again to ask for them. Raises EmulationError, with its
        last words if it ends again.
        """
        if self._process.poll() is not None:
            self.start(keep=True, repair=False)
            try:
                self.wait_installed()
            except EmulationError as error:
                what = f"{error.what} again, when it was started anew for its counters"
                raise EmulationError(what, where=error.where) from error
        before = self._snapshots()
        self._process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + seconds
        while self._snapshots() == before:
            code = self._process.poll()
            if code is not None:
                what = f"the controller {ended(code)} when it was asked for its counters"
                raise EmulationError(what, where=self._tail())
            if time.monotonic() > end:
                raise EmulationError("the controller did not report its counters")
            time.sleep(0.02)
        status: dict[str, Any] = json.loads(STATUS.read_text())
        return status

    def _snapshots(self) -> int:
        status = json.loads(STATUS.read_text()) if STATUS.exists() else {}
        return int(status.get("snapshots", 0))

    def end(self) -> None:
        """End it if it runs."""
        self.kill()

    def _listening(self) -> bool:
        """Whether somebody listens on its port (state 0A in /proc/net/tcp)."""
        table = Path(f"/proc/{self._process.pid}/net/tcp")
        for row in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = row.split()
            if fields[1].endswith(f":{PORT:04X}") and fields[3] == "0A":
                return True
        return False

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"controller.log: {' | '.join(lines[-3:])}" if lines else "controller"


@contextmanager
def controller(job: Path, plan: Plan, watch: Watch | None = None) -> Iterator[Controller]:
    """The controller of a plan, as a child process behind its channel, until the end."""
    with ExitStack() as stack:
        address, namespace = _LOOPBACK, None
        if plan.recovery.control_delay_ns:
            address, namespace = (
                _CONTROLLER,
                stack.enter_context(_channel(plan.recovery.control_delay_ns)),
            )
        control = Controller(job, address, namespace, watch)
        stack.callback(control.end)
        yield control


@contextmanager
def _channel(delay_ns: int) -> Iterator[int]:
    """A namespace that is `delay_ns` away, one-way."""
    ports = (_end("switches", "ctl0", 0, delay_ns), _end("controller", "ctl1", 1, delay_ns))
    (namespace,) = netns.make(1)
    try:
        links.ipv6_off()
        with Netlink() as link:
            arrangement = qdisc.offered(link)
            links.make(link, [ports], {"controller": namespace})
            links.bring_up(link, ports[:1], arrangement)
            link.do([links.address_of(ports[0].ifindex, _SWITCHES, _PREFIX, "the channel")])
        with netns.entered(namespace), Netlink() as link:
            links.ipv6_off()
            links.bring_up(link, ports[1:], arrangement)
            link.do([links.address_of(ports[1].ifindex, _CONTROLLER, _PREFIX, "the channel")])
        yield namespace
    finally:
        os.close(namespace)


def _end(node: str, name: str, side: int, delay_ns: int) -> Port:
    ifindex = _IFINDEXES[side]
    peer = ("controller", "ctl1") if side == 0 else ("switches", "ctl0")
    return Port(
        node=node,
        name=name,
        number=0,
        ifindex=ifindex,
        mac="02:00:" + ifindex.to_bytes(4, "big").hex(":"),
        peer_node=peer[0],
        peer_name=peer[1],
        stages=(Queues(buffer_packets=_QUEUE_PACKETS), Channel(propagation_ns=delay_ns)),
    )
