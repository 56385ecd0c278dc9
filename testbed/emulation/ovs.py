"""A private Open vSwitch: its own database, sockets and logs in one folder.

`start_ovs` starts ovsdb-server and ovs-vswitchd as children that die with this
process, and points OVS_RUNDIR at them, so that ovs-vsctl, ovs-ofctl and ovs-appctl
started from here talk to them and to no other. Bridges of a whole network are one
database transaction.

Open vSwitch 3.1 counts no CPU in the first ten seconds after boot. If it takes up
packets then, it does so with no thread, for good. So it is told to leave packets and
controllers alone (`flow-restore-wait`) until `wait_ready`: in a lab that has just
booted, everything else is done in the meantime.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from testbed.emulation.ovsdb import Database, JsonRpc, insert, mapping, mutate, named, select
from testbed.errors import EmulationError

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_COUNTS_CPUS_AFTER_S = 10.05
_NEVER_MS = "3600000"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Bridge(NamedTuple):
    """A switch as Open vSwitch sees it."""

    name: str
    dpid: int
    ports: tuple[tuple[str, int], ...]
    """Interface name and OpenFlow port number."""


def start_ovs(workdir: Path) -> Ovs:
    """Start a private Open vSwitch in `workdir` (a short path: sockets live there).

    Bridges can be made when this returns. Packets are forwarded and controllers heard
    after `Ovs.wait_ready`.
    Raises EmulationError. Call it from the main thread: the daemons end with the
    thread that started them.
    """
    return Ovs(workdir)


class Ovs:
    """Running daemons. Use `start_ovs`."""

    def __init__(self, workdir: Path) -> None:
        self.rundir = workdir.resolve()
        self.rundir.mkdir(parents=True, exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._before = os.environ.get("OVS_RUNDIR")
        os.environ["OVS_RUNDIR"] = str(self.rundir)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        if not _SCHEMA.exists():
            raise EmulationError(
                "Open vSwitch is not installed",
                expected=str(_SCHEMA),
                remedy="run it in a lab; `testbed doctor` says which there are",
            )
        stored, socket = self.rundir / "conf.db", self.rundir / "db.sock"
        for old in self.rundir.glob("*"):
            if old.suffix in {".db", ".sock", ".ctl", ".pid", ".log"} or old.name.startswith("."):
                old.unlink()
        _tool("ovsdb-tool", "create", str(stored), str(_SCHEMA))
        self._spawn("ovsdb-server", str(stored), f"--remote=punix:{socket}")
        self._db: Database = self._connect(socket)
        # no eviction of idle flows, no polling of port statistics: both would cost
        # packets their time
        config = {"max_idle": _NEVER_MS, "stats_update_interval": _NEVER_MS}
        self._held = _uptime_s() < _COUNTS_CPUS_AFTER_S
        if self._held:
            config["flow_restore_wait"] = "true"
        self._db.transact(
            insert("Open_vSwitch", "root", {"other_config": mapping(**config)}),
            # OVS removes qdiscs that are not its own, except under this type
            insert("QoS", "qos", {"type": "linux-noop"}),
        )
        self._noop = self._db.transact(select("QoS", "_uuid"))[0]["rows"][0]["_uuid"]
        self._vswitchd = self._spawn("ovs-vswitchd", f"unix:{socket}")

    def _spawn(self, program: str, *args: str) -> subprocess.Popen[bytes]:
        logging = ("-vconsole:off", "-vsyslog:off", f"--log-file={self.rundir / program}.log")
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        child = subprocess.Popen(
            [program, *args, *logging, f"--pidfile={self.rundir / program}.pid", "--no-chdir"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, who then stop it in order
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no other thread runs yet
        )
        self._children[program] = child
        return child

    def _connect(self, socket: Path) -> Database:
        deadline = time.monotonic() + 30
        while True:
            try:
                return Database(socket)
            except OSError as error:
                self._check_alive()
                if time.monotonic() > deadline:
                    raise EmulationError(
                        f"ovsdb-server did not start: {error}", where=str(self.rundir)
                    ) from None
                time.sleep(0.005)

    def _check_alive(self) -> None:
        for program, child in self._children.items():
            if child.poll() is not None:
                log = self.rundir / f"{program}.log"
                words = log.read_text().splitlines()[-3:] if log.exists() else []
                raise EmulationError(
                    f"{program} ended with status {child.returncode}",
                    where=str(log),
                    expected="; ".join(words),
                    remedy="`testbed doctor` says what the lab lacks",
                )

    def add_bridges(
        self,
        bridges: Sequence[Bridge],
        controller: tuple[str, int] | None = None,
        timeout_s: float = 120,
    ) -> None:
        """Make bridges with their ports, in one transaction, and wait until all exist.

        Bridges forward nothing by themselves (fail mode secure) and speak OpenFlow 1.3.
        Raises EmulationError if a port is missing or has another number than asked.
        """
        operations: list[dict[str, Any]] = []
        for number, bridge in enumerate(bridges):
            operations += self._bridge(f"b{number}", bridge, controller)
        operations.append(
            mutate("Open_vSwitch", ["bridges", "insert", named(*self._names(bridges))])
        )
        self._apply(operations, timeout_s)
        self._verify(bridges)

    @staticmethod
    def _names(bridges: Sequence[Bridge]) -> list[str]:
        return [f"b{number}" for number in range(len(bridges))]

    def _bridge(
        self, key: str, bridge: Bridge, controller: tuple[str, int] | None
    ) -> Iterable[dict[str, Any]]:
        row: dict[str, Any] = {
            "name": bridge.name,
            "fail_mode": "secure",
            "protocols": ["set", ["OpenFlow13"]],
            "other_config": mapping(
                datapath_id=f"{bridge.dpid:016x}",
                disable_in_band="true",
                hwaddr="02:01:" + (bridge.dpid & 0xFFFFFFFF).to_bytes(4, "big").hex(":"),
                dp_desc=bridge.name,
            ),
        }
        ports = [f"{key}p{place}" for place in range(len(bridge.ports) + 1)]
        for port, (name, number) in zip(ports, ((bridge.name, 0), *bridge.ports), strict=True):
            interface: dict[str, Any] = {"name": name}
            interface |= {"ofport_request": number} if number else {"type": "internal"}
            yield insert("Interface", f"{port}i", interface)
            yield insert(
                "Port",
                port,
                {"name": name, "interfaces": named(f"{port}i"), "qos": self._noop},
            )
        if controller:
            yield insert("Controller", f"{key}c", _controller(controller))
            row["controller"] = named(f"{key}c")
        yield insert("Bridge", key, row | {"ports": named(*ports)})

    def remove_bridges(self, names: Iterable[str], timeout_s: float = 120) -> None:
        """Remove bridges and their ports; the interfaces of the ports stay."""
        rows = self._db.transact(select("Bridge", "_uuid", "name"))[0]["rows"]
        wanted = set(names)
        gone = [row["_uuid"] for row in rows if row["name"] in wanted]
        if gone:
            self._apply([mutate("Open_vSwitch", ["bridges", "delete", ["set", gone]])], timeout_s)

    def connect(self, controller: tuple[str, int]) -> None:
        """Have all bridges connect to a controller at once, instead of any they had."""
        bridges = self._db.transact(select("Bridge", "_uuid", "name"))[0]["rows"]
        operations = []
        for number, bridge in enumerate(bridges):
            operations += [
                insert("Controller", f"c{number}", _controller(controller)),
                {
                    "op": "update",
                    "table": "Bridge",
                    "where": [["_uuid", "==", bridge["_uuid"]]],
                    "row": {"controller": named(f"c{number}")},
                },
            ]
        self._apply(operations, timeout_s=60)

    def connected(self) -> dict[str, bool]:
        """For each bridge, whether it is connected to a controller."""
        bridges, controllers = self._db.transact(
            select("Bridge", "name", "controller"), select("Controller", "_uuid", "is_connected")
        )
        up = {row["_uuid"][1] for row in controllers["rows"] if row["is_connected"]}
        # a set of one reference is written as the reference itself
        return {
            row["name"]: row["controller"][0] == "uuid" and row["controller"][1] in up
            for row in bridges["rows"]
        }

    def _apply(self, operations: list[dict[str, Any]], timeout_s: float) -> None:
        """Carry out a transaction, and wait until ovs-vswitchd has acted on it."""
        count = mutate("Open_vSwitch", ["next_cfg", "+=", 1])
        asked = self._db.transact(*operations, count, select("Open_vSwitch", "next_cfg"))
        goal = asked[-1]["rows"][0]["next_cfg"]
        deadline = time.monotonic() + timeout_s
        while True:
            left_ms = max(1, min(500, round((deadline - time.monotonic()) * 1000)))
            wait = {
                "op": "wait",
                "table": "Open_vSwitch",
                "where": [["cur_cfg", "<", goal]],
                "columns": ["_uuid"],
                "until": "==",
                "rows": [],
                "timeout": left_ms,
            }
            try:
                self._db.transact(wait)
            except EmulationError as error:
                if "timed out" not in str(error):
                    raise
            else:
                return
            self._check_alive()
            if time.monotonic() > deadline:
                raise EmulationError(
                    f"ovs-vswitchd did not act within {timeout_s:.0f} s",
                    where=str(self.rundir / "ovs-vswitchd.log"),
                )

    def _verify(self, bridges: Sequence[Bridge]) -> None:
        rows = self._db.transact(select("Interface", "name", "ofport", "error"))[0]["rows"]
        got = {row["name"]: row for row in rows}
        for bridge in bridges:
            for name, number in bridge.ports:
                row = got[name]
                if row["ofport"] != number:
                    words = row["error"] if isinstance(row["error"], str) else ""
                    raise EmulationError(
                        f"port {name} of {bridge.name} has OpenFlow number "
                        f"{row['ofport'] if isinstance(row['ofport'], int) else 'none'}",
                        where=words or str(self.rundir / "ovs-vswitchd.log"),
                        expected=str(number),
                        remedy="`testbed doctor` says if the kernel has openvswitch",
                    )

    def handlers(self) -> int:
        """How many threads decide about packets that match no flow in the kernel yet."""
        tasks = Path(f"/proc/{self._vswitchd.pid}/task").glob("*/comm")
        return sum(task.read_text().startswith("handler") for task in tasks)

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait until packets are taken up and controllers heard; there must be a bridge.

        Raises EmulationError.
        """
        deadline = time.monotonic() + timeout_s
        if self._held:
            time.sleep(max(0, _COUNTS_CPUS_AFTER_S - _uptime_s()))
            release = mutate(
                "Open_vSwitch", ["other_config", "delete", ["set", ["flow-restore-wait"]]]
            )
            self._apply([release], timeout_s)
            self._held = False
        while not self.handlers():
            self._check_alive()
            if time.monotonic() > deadline:
                raise EmulationError(
                    "ovs-vswitchd has no handler threads",
                    where=str(self.rundir / "ovs-vswitchd.log"),
                    expected="at least one: it would drop every packet without a flow",
                )
            time.sleep(0.01)

    def _control(self, method: str, *params: str) -> None:
        rpc = JsonRpc(self.rundir / f"ovs-vswitchd.{self._vswitchd.pid}.ctl", timeout_s=30)
        try:
            rpc.call(method, *params)
        finally:
            rpc.close()

    def stop(self) -> None:
        """Remove all bridges, end the daemons, and point OVS_RUNDIR where it was."""
        if hasattr(self, "_vswitchd") and self._vswitchd.poll() is None:
            try:
                self._control("exit", "--cleanup")
                self._vswitchd.wait(10)
            except (EmulationError, OSError, subprocess.TimeoutExpired):
                pass  # killed below
        if hasattr(self, "_db"):
            self._db.close()
        for child in self._children.values():
            if child.poll() is None:
                child.kill()
            child.wait()
        self._children.clear()
        if self._before is None:
            os.environ.pop("OVS_RUNDIR", None)
        else:
            os.environ["OVS_RUNDIR"] = self._before


def _uptime_s() -> float:
    """Since boot, by the clock that Open vSwitch counts with."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _controller(address: tuple[str, int]) -> dict[str, Any]:
    host, port = address
    return {
        "target": f"tcp:{host}:{port}",
        "connection_mode": "out-of-band",
        "max_backoff": 1000,
        "inactivity_probe": 0,  # a controller that ends closes its connection
    }


def _tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmulationError(f"{command[0]} failed: {done.stderr.strip()}")
