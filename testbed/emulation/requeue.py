"""Other queues at ports that carry traffic.

The lab's port takes a change at one moment and keeps what waits (kernel/sch_port.c). What
is changed is read from the kernel, so rate, delay, losses, background, gates and policers
stay as they are at that moment, whoever set them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from testbed.emulation import lab_qdisc, port_qdisc, tc
from testbed.emulation.netlink import Netlink, Request
from testbed.emulation.port_qdisc import PortOptions
from testbed.errors import EmulationError
from testbed.plan.model import Port


def requeue(link: Netlink, ports: Sequence[Port]) -> None:
    """Give ports of the socket's namespace the queues that these have.

    Packets in queues that stay are kept, in the order they came. Raises EmulationError
    where the kernel cannot, or has something else afterwards.
    """
    if not ports:
        return
    before = _now(link, ports)
    wanted = {port.name: _with_queues(port, before[port.name]) for port in ports}
    link.do([_set(port, wanted[port.name]) for port in ports])
    for name, now in _now(link, ports).items():
        if now.queues != wanted[name].queues:
            raise EmulationError(
                f"port {name} has other queues than asked",
                expected=f"{wanted[name].queues}, not {now.queues}",
            )


def _now(link: Netlink, ports: Sequence[Port]) -> dict[str, PortOptions]:
    seen = tc.dump(link, [port.ifindex for port in ports])
    found = {}
    for port in ports:
        here = seen[port.ifindex]
        if here.kinds.get(tc.ROOT) != port_qdisc.KIND:
            raise EmulationError(
                "this lab's kernel cannot change queues that packets wait in",
                where=f"port {port.name}",
                expected="the lab kernel's queueing discipline `port`",
                remedy="--lab virtual, whose kernel `testbed kernel build` makes",
            )
        found[port.name] = port_qdisc.decode(here.options[tc.ROOT])
    return found


def _with_queues(port: Port, now: PortOptions) -> PortOptions:
    return msgspec.structs.replace(now, queues=lab_qdisc.options(port).queues)


def _set(port: Port, wanted: PortOptions) -> Request:
    about = f"the queues of {port.name}"
    options = port_qdisc.encode(wanted)
    return tc.qdisc(port.ifindex, tc.ROOT, tc.HANDLE, port_qdisc.KIND, options, about)
