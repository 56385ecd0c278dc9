"""Bridges of a running Open vSwitch, by transactions with its database.

The bridges of a whole network are one transaction (RFC 7047), acted on at once.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from testbed.emulation import modules
from testbed.emulation.ovsdb import (
    Database,
    JsonRpc,
    insert,
    lab_memory_remedy,
    mapping,
    mutate,
    named,
    select,
)
from testbed.errors import EmulationError

COUNTS_CPUS_AFTER_S = 10.05
"""Uptime from which Open vSwitch 3.1 counts CPUs: see ovs.py."""


class Bridge(NamedTuple):
    """A switch as Open vSwitch sees it."""

    name: str
    dpid: int
    ports: tuple[tuple[str, int], ...]
    """Interface name and OpenFlow port number."""
    watched: tuple[str, ...] = ()
    """Interfaces that run BFD with the other end."""
    bfd_ms: int = 0
    """Its interval."""


class Ovs:
    """A running Open vSwitch, by its folder of sockets. Raises OSError if there is none."""

    def __init__(self, rundir: Path) -> None:
        self.rundir = rundir
        self._db = Database(rundir / "db.sock")
        # OVS removes qdiscs that are not its own, except under this type
        qos = self._db.transact(select("QoS", "_uuid", "type"))[0]["rows"]
        mine = [row["_uuid"] for row in qos if row["type"] == "linux-noop"]
        self._noop = (
            mine[0]
            if mine
            else self._db.transact(insert("QoS", "qos", {"type": "linux-noop"}))[0]["uuid"]
        )

    @property
    def children(self) -> Mapping[str, subprocess.Popen[bytes]]:
        """Its daemons, where they are our own."""
        return {}

    def words(self, program: str) -> str:
        """The last lines of a daemon's log."""
        log = self.rundir / f"{program}.log"
        lines = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
        return f"{log.name}: {' | '.join(lines)}"

    def stop(self) -> None:
        """Let go of it; it runs on."""
        self._db.close()

    def check_alive(self) -> None:
        """Raises EmulationError if a daemon has ended."""
        try:
            Path(f"/proc/{self._pid}/comm").read_text()
        except (OSError, ValueError):
            raise EmulationError("ovs-vswitchd has ended", where=str(self.rundir)) from None

    @property
    def _pid(self) -> int:
        return int((self.rundir / "ovs-vswitchd.pid").read_text())

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
            if name in bridge.watched:
                interface["bfd"] = _bfd(bridge.bfd_ms)
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
        with modules.no_requests():
            self._transact_and_wait(operations, timeout_s)

    def _transact_and_wait(self, operations: list[dict[str, Any]], timeout_s: float) -> None:
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
            self.check_alive()
            if time.monotonic() > deadline:
                raise EmulationError(
                    f"ovs-vswitchd did not act within {timeout_s:.0f} s",
                    where=str(self.rundir / "ovs-vswitchd.log"),
                    remedy=lab_memory_remedy(),
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

    def wait_live(self, timeout_s: float = 60) -> None:
        """Wait until BFD is up on every interface that runs it. Raises EmulationError."""
        deadline = time.monotonic() + timeout_s
        while True:
            rows = self._db.transact(select("Interface", "name", "bfd", "bfd_status"))[0]["rows"]
            down = [
                r["name"] for r in rows if r["bfd"][1] and ["state", "up"] not in r["bfd_status"][1]
            ]
            if not down:
                return
            if time.monotonic() > deadline:
                raise EmulationError(
                    f"BFD did not come up within {timeout_s:.0f} s",
                    where=", ".join(sorted(down)[:10]),
                    expected="the other end to answer",
                )
            time.sleep(0.1)

    def wait_rules(self, bridge: str, count: int, timeout_s: float = 30) -> None:
        """Wait until a bridge has that many flow entries. Raises EmulationError."""
        command = ["ovs-ofctl", "-O", "OpenFlow13", "dump-aggregate", bridge]
        deadline = time.monotonic() + timeout_s
        while True:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found = re.search(r"flow_count=(\d+)", done.stdout)
            if found and int(found[1]) >= count:
                return
            if time.monotonic() > deadline:
                raise EmulationError(
                    f"{bridge} has {found[1] if found else 'none'} of its {count} rules "
                    f"after {timeout_s:.0f} s",
                    where=done.stderr.strip(),
                    expected="a controller that installs them",
                )
            time.sleep(0.05)

    def handlers(self) -> int:
        """How many threads decide about packets that match no flow in the kernel yet."""
        tasks = Path(f"/proc/{self._pid}/task").glob("*/comm")
        return sum(task.read_text().startswith("handler") for task in tasks)

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait until packets are taken up and controllers heard.

        Raises EmulationError.
        """
        deadline = time.monotonic() + timeout_s
        config = self._db.transact(select("Open_vSwitch", "other_config"))[0]["rows"][0]
        if ["flow-restore-wait", "true"] in config["other_config"][1]:
            time.sleep(max(0, COUNTS_CPUS_AFTER_S - uptime_s()))
            release = mutate(
                "Open_vSwitch", ["other_config", "delete", ["set", ["flow-restore-wait"]]]
            )
            self._apply([release], timeout_s)
        while self._db.transact(select("Bridge", "name"))[0]["rows"] and not self.handlers():
            self.check_alive()
            if time.monotonic() > deadline:
                raise EmulationError(
                    "ovs-vswitchd has no handler threads",
                    where=str(self.rundir / "ovs-vswitchd.log"),
                    expected="at least one: it would drop every packet without a flow",
                )
            time.sleep(0.01)

    def control(self, method: str, *params: str) -> None:
        """Have ovs-vswitchd do something, as ovs-appctl would. Raises EmulationError, OSError."""
        rpc = JsonRpc(self.rundir / f"ovs-vswitchd.{self._pid}.ctl")
        try:
            rpc.call(method, *params)
        finally:
            rpc.close()


def uptime_s() -> float:
    """Since boot, by the clock that Open vSwitch counts with."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _bfd(interval_ms: int) -> list[Any]:
    """Column bfd of an interface: BFD (RFC 5880) with a detection multiplier of 3."""
    interval = str(interval_ms)
    return ["map", [["enable", "true"], ["min_tx", interval], ["min_rx", interval]]]


def _controller(address: tuple[str, int]) -> dict[str, Any]:
    host, port = address
    return {
        "target": f"tcp:{host}:{port}",
        "connection_mode": "out-of-band",
        "max_backoff": 1000,
        "inactivity_probe": 0,  # a controller that ends closes its connection
    }
