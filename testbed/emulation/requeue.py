"""Other queues and policers, or another channel, at ports that carry traffic.

The lab's port takes a change at one moment and keeps what waits (kernel/port). What is to be
changed is read from the kernel, so all its other stages stay as they are at that moment,
whoever set them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from testbed.emulation import lab_qdisc, tc
from testbed.emulation.netlink import Netlink
from testbed.errors import EmulationError
from testbed.port.pipeline import Pipeline, Port
from testbed.port.policers import Policers


def requeue(link: Netlink, ports: Sequence[Port]) -> None:
    """Give ports of the socket's namespace the queues and policers that these have.

    Packets in queues that stay are kept, in the order they came. Raises EmulationError
    where the kernel cannot, or has something else afterwards.
    """
    if not ports:
        return
    before = _now(link, ports)
    wanted = {port.name: _having(before[port.name], port) for port in ports}
    link.do(
        lab_qdisc.setting(port.ifindex, wanted[port.name], f"the queues of {port.name}")
        for port in ports
    )
    for name, now in _now(link, ports).items():
        asked = wanted[name]
        if (now.queueing, now.policers) != (asked.queueing, asked.policers):
            raise EmulationError(
                f"port {name} has other queues or policers than asked",
                expected=f"{asked.queueing}, {asked.policers}, not {now.queueing}, {now.policers}",
            )


def changeable(link: Netlink, ports: Iterable[Port]) -> bool:
    """Whether the kernel can change the queues of these ports of the socket's namespace."""
    seen = tc.dump(link, [port.ifindex for port in ports])
    return all(here.kinds.get(tc.ROOT) == lab_qdisc.KIND for here in seen.values())


def _having(before: Pipeline, port: Port) -> Pipeline:
    """What a port has, with the queues and policers of another."""
    rest = tuple(stage for stage in before.stages if not isinstance(stage, Policers))
    made = Pipeline(stages=rest).having(port.queueing.stored())
    if not port.policers:
        return made
    return made.having(Policers(policers=port.policers).stored())


def rechannel(link: Netlink, port: Port) -> None:
    """Have a port delay and lose as this one does; its queues may be others by now, and stay.

    Raises EmulationError.
    """
    before = _now(link, [port])[port.name]
    here = before.having(port.channel.stored())
    link.do([lab_qdisc.setting(port.ifindex, here, f"the channel of {port.name}")])


def _now(link: Netlink, ports: Sequence[Port]) -> dict[str, Pipeline]:
    seen = tc.dump(link, [port.ifindex for port in ports])
    found = {}
    for port in ports:
        here = seen[port.ifindex]
        if here.kinds.get(tc.ROOT) != lab_qdisc.KIND:
            raise EmulationError(
                "this lab's kernel cannot change queues that packets wait in",
                where=f"port {port.name}",
                expected="the lab kernel's queueing discipline `port`",
                remedy="--lab virtual, whose kernel `testbed kernel build` makes",
            )
        found[port.name] = lab_qdisc.decode(here.options[tc.ROOT])
    return found
