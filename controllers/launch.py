"""The controller as a child process: installs a plan, then waits to be asked for counters.

    python3 -m controllers.launch --plan plan.json --port 6653 --status FILE

FILE appears, whole, when every planned switch answered its barrier:

    {"installed": true, "switches": 3, "rules": 12, "seconds": 0.12, "error": null,
     "reinstalled": {}, "framework": "os-ken 4.2.2"}

`seconds` counts from the first switch's features to the last barrier. When it
could not be done, `installed` is false, `error` says why, and the process ends.
SIGTERM (or SIGINT) asks all switches for their counters, writes FILE again with
`counters` (one object a rule: switch, priority, match, cookie, packets, bytes),
`ports` and `silent` (switches that did not answer), and ends; SIGUSR1 does the
same without ending, and `snapshots` counts up.

With --control SOCKET rules come and go while it runs (see northbound.py); with --orders
FILE a controller that starts again knows those that had come. With --timeline FILE each path
that is put on another way is a line there (testbed/net/timeline.py, by CLOCK_MONOTONIC) from
before the switch is told so; a controller that starts again goes on from there.

The process dies with the thread that started it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import EmulationError, InputError, TestbedError
from testbed.files import write_json
from testbed.net.deltas.reroute import Reroute
from testbed.net.tables import Rule
from testbed.net.timeline import Timeline
from testbed.plan.model import Plan
from testbed.process import die_with_parent

if TYPE_CHECKING:
    from controllers.slice_app import SliceApp

COUNTERS_TIMEOUT_S = 10.0
IDLE_S = 86_400.0
BACKLOG = 1024
"""All switches connect at once; the framework's 50 would make the others retry after 1 s."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, install, wait for signals; the exit code is 0 if the plan was installed."""
    options = argparse.ArgumentParser(prog="controllers.launch", description="OpenFlow controller")
    options.add_argument("--plan", type=Path, required=True)
    options.add_argument("--port", type=int, default=6653)
    options.add_argument("--listen", default="127.0.0.1")
    options.add_argument("--status", type=Path, required=True)
    options.add_argument("--keep", action="store_true", help="delete no rules at first")
    options.add_argument("--control", type=Path, help="socket for changes of rules")
    options.add_argument("--orders", type=Path, help="file with rules of orders, if it is there")
    options.add_argument("--timeline", type=Path, help="file for what it does, a line each")
    options.add_argument("--no-repair", action="store_true", help="leave paths where they are")
    options.add_argument("--timeout", type=float, default=30.0, help="seconds to install in")
    given = options.parse_args(argv)
    die_with_parent()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        plan = with_orders(read_plan(given.plan), given.orders)
        launch = Launch(
            given.status,
            plan,
            given.listen,
            given.port,
            timeline=Timeline(given.timeline or Path(os.devnull)),
            keep=given.keep,
            repair=not given.no_repair,
        )
        if given.control:
            launch.take_changes(given.control)
        launch.install(given.timeout)
        launch.serve()
    except TestbedError as error:
        print(error, file=sys.stderr)
        write_json(given.status, {"installed": False, "error": str(error)})
        return error.exit_code
    except Exception as error:  # said here: the framework's threads would keep it unseen
        logging.exception("controller failed")
        what = f"the controller failed: {type(error).__name__}: {error}"
        write_json(given.status, {"installed": False, "error": what})
        return EmulationError.exit_code
    return 0


def read_plan(path: Path) -> Plan:
    """Raises InputError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"the plan cannot be read: {error}", where=str(path)) from error


def with_orders(plan: Plan, path: Path | None) -> Plan:
    """The plan with the rules of orders that are installed beside it. Raises InputError."""
    if path is None or not path.exists():
        return plan
    try:
        orders = msgspec.json.decode(path.read_bytes(), type=Orders)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"the orders cannot be read: {error}", where=str(path)) from error
    return msgspec.structs.replace(plan, rules=(*plan.rules, *orders.rules))


class Orders(msgspec.Struct, frozen=True):
    """What a controller reads of testbed/northbound/journal.py."""

    rules: tuple[Rule, ...] = ()


class Launch:
    """The framework, running in this process."""

    def __init__(
        self,
        status: Path,
        plan: Plan,
        address: str,
        port: int,
        *,
        timeline: Timeline,
        keep: bool = False,
        repair: bool = True,
    ) -> None:
        """Listen and start the application. Raises TestbedError."""
        from controllers.compat import (  # noqa: PLC0415  (a second in a lab: die_with_parent first)
            FRAMEWORK,
            AppManager,
            cfg,
            hub,
        )

        hub.patch()
        self._status, self._plan, self._framework = status, plan, FRAMEWORK
        self._snapshots = 0
        self._wake = Wake()
        cfg.CONF(args=[], project="testbed", default_config_files=[])
        cfg.CONF.set_override("ofp_listen_host", address)
        cfg.CONF.set_override("ofp_tcp_listen_port", port)
        # one thread a switch would wake up every 5 s, all at once, and disturb the packets
        cfg.CONF.set_override("socket_timeout", IDLE_S)
        try:  # the framework would bind in a thread, where nobody sees it fail
            server = hub.listen((address, port), backlog=BACKLOG)
        except OSError as error:
            raise EmulationError(
                f"the controller cannot listen: {error.strerror}",
                where=f"{address}:{port}",
                expected="a free TCP port",
                remedy=f"`ss -ltnp sport = {port}` shows who has it",
            ) from error
        hub.listen = lambda *_args, **_kwargs: server
        manager = AppManager.get_instance()
        manager.load_apps(["controllers.slice_app"])
        manager.create_contexts()
        manager.instantiate_apps(
            plan=plan,
            notify=self._wake.notify,
            note=timeline.add,
            taken=[one.delta for one in timeline.entries if isinstance(one.delta, Reroute)],
            keep=keep,
            repair=repair,
        )
        self._app: SliceApp = manager.applications["SliceApp"]

    def take_changes(self, path: Path) -> None:
        """Change rules on request, over a Unix socket at `path`."""
        from controllers.northbound import listen  # noqa: PLC0415  (after hub.patch)

        listen(path, self._app.change)

    def install(self, timeout: float) -> None:
        """Wait until all barriers came back and say so. Raises EmulationError."""
        app, end = self._app, time.monotonic() + timeout
        while app.waiting and not app.refused and self._wake.wait(end - time.monotonic()):
            if self._wake.signals:
                break
        if app.refused:
            more = len(app.refused) - 1
            raise EmulationError(
                app.refused[0] + (f" (and {more} more)" if more else ""),
                where="OpenFlow",
                expected="every rule of the plan to be taken by its switch",
                remedy="controller.log lists all that were not",
            )
        if app.waiting and not self._wake.signals:
            names = sorted(app.names[dpid] for dpid in app.waiting)
            raise EmulationError(
                f"{len(names)} of {len(app.names)} switches did not confirm their rules "
                f"within {timeout:g} s: {', '.join(names[:10])}",
                where="OpenFlow",
                expected="every switch connected and its barrier answered",
                remedy="`ovs-vsctl show` tells whether they are connected",
            )
        write_json(self._status, self.status())

    def serve(self) -> None:
        """Report counters on each signal, until one asks to end."""
        while True:
            if not self._wake.signals:
                self._wake.wait(None)
                continue
            signum = self._wake.signals.pop(0)
            self._snapshots += 1
            self._app.ask_counters()
            end = time.monotonic() + COUNTERS_TIMEOUT_S
            while self._app.awaited and self._wake.wait(end - time.monotonic()):
                pass
            write_json(self._status, self.status() | self.counters())
            if signum != signal.SIGUSR1:
                return

    def status(self) -> dict[str, Any]:
        app = self._app
        return {
            "installed": not app.waiting and not app.refused,
            "switches": len(self._plan.switches),
            "rules": len(self._plan.rules),
            "seconds": (app.last_ns - app.first_ns) / 1e9,
            "framework": self._framework,
            "reinstalled": {name: n - 1 for name, n in app.installs.items() if n > 1},
            "error": "; ".join(app.refused) or None,
        }

    def counters(self) -> dict[str, Any]:
        app = self._app
        return {
            "snapshots": self._snapshots,
            "counters": sorted(app.flows, key=lambda row: (row["switch"], -row["priority"])),
            "ports": sorted(app.ports, key=lambda row: (row["switch"], row["port"])),
            "silent": app.silent(),
        }


class Wake:
    """Lets the main thread sleep until a signal comes or the application calls `notify`."""

    def __init__(self) -> None:
        import socket  # noqa: PLC0415  (after hub.patch, which Ryu needs to wait in it)

        self.signals: list[int] = []
        """Signals that came and were not dealt with."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(signum, lambda number, _frame: self.signals.append(number))

    def notify(self) -> None:
        self._writer.send(b"\0")

    def wait(self, seconds: float | None) -> bool:
        """False if nothing came in time."""
        if seconds is not None and seconds <= 0:
            return False
        self._reader.settimeout(seconds)
        try:
            return bool(self._reader.recv(4096))
        except TimeoutError:
            return False


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the framework's threads do not end
