"""Starts the service beside a controller; says `ready` when it listens.

    python3 -m testbed.northbound --plan plan.json --control /run/controller.sock
        --journal /run/northbound.json --samples samples

It listens on 127.0.0.1:8080 unless told otherwise, and elsewhere only with a token.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from testbed.emulation.links import without_carrier
from testbed.emulation.netlink import Netlink
from testbed.emulation.requeue import changeable
from testbed.errors import InputError, TestbedError
from testbed.net.deltas.install import Install
from testbed.net.state import Pair
from testbed.net.timeline import Entry, Timeline
from testbed.northbound.address import PORT
from testbed.northbound.carrier import Carrier
from testbed.northbound.conformance import Probed
from testbed.northbound.journal import Journal
from testbed.northbound.server import Server
from testbed.northbound.service import MOST_SLICES, Service, Told
from testbed.plan.admission import Admission
from testbed.plan.model import Plan
from testbed.port.pipeline import Port
from testbed.process import die_with_parent
from testbed.scenario import discovery
from testbed.scenario.model import UNREADABLE
from testbed.slices.policy import Policy


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and serve, until the parent ends."""
    options = argparse.ArgumentParser(prog="testbed.northbound", description="slices over HTTP")
    options.add_argument("--plan", type=Path, required=True)
    options.add_argument("--control", type=Path, required=True, help="the controller's socket")
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--samples", type=Path, required=True, help="the probes' event logs")
    options.add_argument("--timeline", type=Path, help="file for what is done, a line each")
    options.add_argument("--listen", default="127.0.0.1")
    options.add_argument("--port", type=int, default=PORT)
    options.add_argument("--token-file", type=Path)
    options.add_argument(
        "--host-name", action="append", default=[], help="a further name clients may call it by"
    )
    options.add_argument("--most-slices", type=int, default=MOST_SLICES)
    given = options.parse_args(argv)
    die_with_parent()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        plan = _read(given.plan)
        kind: type[Policy] = discovery.load("policy", plan.policy, Policy)
        service = Service(
            Admission(plan, kind(), requeues=_requeues(plan)),
            Journal(given.journal),
            Carrier(given.control),
            Probed(plan, given.samples),
            given.most_slices,
            _teller(given.timeline),
            partial(_down, _of_switches(plan)),
        )
        token = given.token_file.read_text().strip() if given.token_file else None
        names = tuple(given.host_name)
        server = Server(service, given.listen, given.port, token=token, names=names)
    except (TestbedError, OSError) as error:
        print(error, file=sys.stderr)
        return error.exit_code if isinstance(error, TestbedError) else 1
    print("ready", server.address[1], flush=True)
    server.serve()
    return 0


def _of_switches(plan: Plan) -> list[Port]:
    switches = {switch.name for switch in plan.switches}
    return [port for port in plan.ports if port.node in switches]


def _requeues(plan: Plan) -> bool:
    """Whether this lab can change the queues of switches."""
    with Netlink() as link:
        return changeable(link, [p for p in _of_switches(plan) if p.rate_bps is not None])


def _down(ports: Sequence[Port]) -> frozenset[Pair]:
    with Netlink() as link:
        return without_carrier(link, ports)


def _teller(path: Path | None) -> Told:
    """Writes what was done into a file, if there is to be one."""
    timeline = None if path is None else Timeline(path)

    def told(delta: Install, began_ns: int, actual_ns: int) -> None:
        if timeline is not None:
            timeline.add(Entry(delta=delta, began_ns=began_ns, actual_ns=actual_ns))

    return told


def _read(path: Path) -> Plan:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except UNREADABLE as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error


if __name__ == "__main__":
    sys.exit(main())
