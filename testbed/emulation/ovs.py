"""A private Open vSwitch: its own database, sockets and logs in one folder.

`start_ovs` starts ovsdb-server and ovs-vswitchd as children that die with this
process, and points OVS_RUNDIR at them, so that ovs-vsctl, ovs-ofctl and ovs-appctl
started from here talk to them and to no other.

Open vSwitch 3.1 counts no CPU in the first ten seconds after boot. If it takes up
packets then, it does so with no thread, for good. So it is told to leave packets and
controllers alone (`flow-restore-wait`) until `wait_ready`: in a lab that has just
booted, bridges and ports are made in the meantime.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from testbed.emulation.bridges import COUNTS_CPUS_AFTER_S, Bridge, Ovs, uptime_s
from testbed.emulation.ovsdb import Database, insert, mapping
from testbed.emulation.watch import ended
from testbed.errors import EmulationError
from testbed.process import dying_with_caller

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_NEVER_MS = "3600000"


def start_ovs(workdir: Path, *, wait: bool = True) -> Ovs:
    """Start a private Open vSwitch in `workdir` (a short path: sockets live there).

    Without `wait`, bridges can be made when this returns, but packets are forwarded
    and controllers heard only after `Ovs.wait_ready`. Raises EmulationError. Call it
    from the main thread: the daemons end with the thread that started them.
    """
    ovs = PrivateOvs(workdir)
    if wait:
        ovs.wait_ready()
    return ovs


def running_ovs() -> Ovs | None:
    """The Open vSwitch that OVS_RUNDIR points at, if it runs: `start_ovs` sets it."""
    rundir = os.environ.get("OVS_RUNDIR")
    with suppress(OSError):
        return Ovs(Path(rundir)) if rundir else None
    return None


class PrivateOvs(Ovs):
    """Daemons of our own. Use `start_ovs`."""

    def __init__(self, workdir: Path) -> None:
        self.rundir = workdir.resolve()
        self.rundir.mkdir(parents=True, exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._before = os.environ.get("OVS_RUNDIR")
        os.environ["OVS_RUNDIR"] = str(self.rundir)
        try:
            self._start_database()
            super().__init__(self.rundir)
            self._spawn("ovs-vswitchd", f"unix:{self.rundir / 'db.sock'}")
        except BaseException:
            self.stop()
            raise

    def _start_database(self) -> None:
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
        # no eviction of idle flows, no polling of port statistics: both would cost
        # packets their time
        config = {"max_idle": _NEVER_MS, "stats_update_interval": _NEVER_MS}
        if uptime_s() < COUNTS_CPUS_AFTER_S:
            config["flow_restore_wait"] = "true"
        database = self._connect(socket)
        database.transact(insert("Open_vSwitch", "root", {"other_config": mapping(**config)}))
        database.close()

    def _spawn(self, program: str, *args: str) -> None:
        logging = ("-vconsole:off", "-vsyslog:off", f"--log-file={self.rundir / program}.log")
        self._children[program] = subprocess.Popen(
            [program, *args, *logging, f"--pidfile={self.rundir / program}.pid", "--no-chdir"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, who then stop it in order
            preexec_fn=dying_with_caller(),  # noqa: PLW1509 - no other thread runs yet
        )

    def _connect(self, socket: Path) -> Database:
        deadline = time.monotonic() + 30
        while True:
            try:
                return Database(socket)
            except OSError as error:
                self.check_alive()
                if time.monotonic() > deadline:
                    raise EmulationError(
                        f"ovsdb-server did not start: {error}", where=str(self.rundir)
                    ) from None
                time.sleep(0.005)

    @property
    def children(self) -> Mapping[str, subprocess.Popen[bytes]]:
        return self._children

    def check_alive(self) -> None:
        for program, child in self._children.items():
            if child.poll() is not None:
                raise EmulationError(
                    f"{program} {ended(child.returncode)}",
                    where=self.words(program),
                    expected="a daemon that runs as long as the lab",
                    remedy="`testbed doctor` says what the lab lacks",
                )

    @property
    def _pid(self) -> int:
        return self._children["ovs-vswitchd"].pid

    def stop(self) -> None:
        """Remove all bridges, end the daemons, and point OVS_RUNDIR where it was."""
        switch = self._children.get("ovs-vswitchd")
        if switch is not None and switch.poll() is None:
            with suppress(EmulationError, OSError, subprocess.TimeoutExpired):
                self.control("exit", "--cleanup")
                switch.wait(60)
        for child in self._children.values():
            if child.poll() is None:
                child.kill()
            child.wait()
        self._children.clear()
        if hasattr(self, "_db"):
            self._db.close()
        if self._before is None:
            os.environ.pop("OVS_RUNDIR", None)
        else:
            os.environ["OVS_RUNDIR"] = self._before


def _tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmulationError(f"{command[0]} failed: {done.stderr.strip()}")


__all__ = ["Bridge", "Ovs", "PrivateOvs", "running_ovs", "start_ovs"]
