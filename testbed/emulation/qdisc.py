"""How packets leave a port: queueing disciplines, set and read back.

    no rate, no delay   nothing: the port forwards at once
    lab kernel          `port`, which is the plan's port exactly (lab_qdisc.py)
    other kernels       netem, or HTB with netem leaves (stock_qdisc.py)

`offered` asks the kernel which of the two arrangements it can do. OpenFlow
`set_queue: N` gives a packet the priority 1:(N+1), which all of them obey.

Sizes are those of Ethernet frames without preamble and check sequence, as Linux counts
them. Rates count what frames take on the wire, the link's overhead with them.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Protocol

from testbed.emulation import lab_qdisc, stock_qdisc, tc
from testbed.emulation import netlink as nl
from testbed.emulation.netlink import Request
from testbed.emulation.readback import PortCounters, PortReadback, PortShape, differences
from testbed.errors import EmulationError
from testbed.port.pipeline import Port

_LOOPBACK_INDEX = 1


class Arrangement(Protocol):
    """A way to make a port: `lab_qdisc` or `stock_qdisc`."""

    def shape(self, port: Port) -> PortShape: ...
    def requests(self, port: Port) -> Iterator[Request]: ...
    def changes(self, port: Port) -> Iterator[Request]: ...


def offered(link: nl.Netlink) -> Arrangement:
    """The arrangement of the kernel behind `link`.

    A `port` without options is asked for, which changes nothing: a kernel that has it
    finds the options missing, another finds no such discipline. Raises EmulationError.
    """
    asked = tc.qdisc(_LOOPBACK_INDEX, tc.ROOT, tc.HANDLE, lab_qdisc.KIND, b"", "a trial")
    (refused,) = link.refusals([asked])
    if refused.code == errno.EINVAL:
        return lab_qdisc
    if refused.code in (errno.ENOENT, errno.EOPNOTSUPP):
        return stock_qdisc
    raise EmulationError(
        f"the kernel does not say which queueing disciplines it has: {refused}",
        remedy="`testbed doctor` tells whether the lab can start here",
    )


def shape(port: Port, arrangement: Arrangement) -> PortShape:
    """What the plan asks of a port. Raises EmulationError where no qdisc can do it."""
    _check(port)
    return arrangement.shape(port) if port.shaped else PortShape()


def requests(port: Port, arrangement: Arrangement) -> Iterator[Request]:
    """What to ask of the kernel so that packets leave `port` as planned.

    Cheapest while the port is down: the kernel need not wait for packets in flight.
    """
    if shape(port, arrangement).discipline != "none":
        yield from arrangement.requests(port)


def changes(old: Port, new: Port, arrangement: Arrangement) -> Iterator[Request]:
    """What to ask so that packets leave a port as `new` from now on, having left as `old`.

    It is the same port, with the same queues; packets in them stay.
    """
    before, after = (shape(port, arrangement).discipline for port in (old, new))
    if before == "none":
        yield from requests(new, arrangement)
    elif after == "none":
        yield tc.no_qdisc(new.ifindex, f"the queue of {new.name}")
    else:
        yield from arrangement.changes(new)


def check_background(ports: Iterable[Port], arrangement: Arrangement) -> None:
    """Raises EmulationError if ports have modelled background and the kernel has not."""
    loaded = [port for port in ports if port.sources]
    if loaded and arrangement is not lab_qdisc:
        named = sorted({source.id for port in loaded for source in port.sources})
        raise EmulationError(
            "this lab's kernel has no modelled background",
            where=f"background {', '.join(named)}, on {len(loaded)} ports",
            expected="the lab kernel's queueing discipline `port`",
            remedy="--lab virtual, whose kernel `testbed kernel build` makes; or flow() "
            "instead of background(), at rates that can be sent",
        )


def _check(port: Port) -> None:
    for what, expected in port.wrong():
        raise EmulationError(
            what, where=f"port {port.name} towards {port.peer_node}", expected=expected
        )


def read(link: nl.Netlink, ports: Iterable[Port]) -> dict[str, PortShape]:
    """What the kernel has on the ports of the socket's namespace, by interface name.

    Raises EmulationError for a discipline that is none of ours.
    """
    by_index = {port.ifindex: port.name for port in ports}
    return {
        by_index[index]: decode(by_index[index], seen)
        for index, seen in tc.dump(link, by_index).items()
    }


def decode(name: str, seen: tc.Seen) -> PortShape:
    """The shape of one port, as its dump says. Raises EmulationError."""
    kind = seen.kinds.get(tc.ROOT, "noqueue")
    if kind == "noqueue":
        return PortShape()
    if kind == lab_qdisc.KIND:
        return lab_qdisc.read(seen)
    if kind in ("netem", "htb"):
        return stock_qdisc.read(seen)
    raise EmulationError(
        f"port {name} has the queueing discipline {kind!r}",
        expected="port, netem or htb, or none",
        remedy="leave the lab's qdiscs to the testbed",
    )


def proved(
    link: nl.Netlink, ports: Iterable[Port], arrangement: Arrangement
) -> dict[str, PortReadback]:
    """What was asked of each port and what the kernel has, by interface name.

    Raises EmulationError if it has anything else than asked.
    """
    ports = list(ports)
    shapes = read(link, ports)
    rows = {}
    for port in ports:
        asked, got = shape(port, arrangement), shapes[port.name]
        verify(port, asked, got)
        rows[port.name] = PortReadback(node=port.node, name=port.name, asked=asked, got=got)
    return rows


def verify(port: Port, asked: PortShape, got: PortShape) -> None:
    """Raises EmulationError if the kernel does not shape `port` as asked."""
    wrong = differences(asked, got)
    if wrong:
        raise EmulationError(
            f"port {port.name} is not shaped as asked",
            where=f"{port.node} towards {port.peer_node}",
            expected="; ".join(wrong),
            remedy="see that nothing else sets qdiscs in the lab, and that rate, delay and "
            "buffer are within what the kernel can do",
        )


def counters(link: nl.Netlink, ports: Iterable[Port]) -> dict[str, PortCounters]:
    """What each shaped port of the socket's namespace has counted, by interface name."""
    by_index = {port.ifindex: port for port in ports}
    found = {}
    for index, seen in tc.dump(link, by_index).items():
        if not seen.stats.get(tc.ROOT):
            continue
        port = by_index[index]
        discipline = decode(port.name, seen).discipline
        arrangement = lab_qdisc if discipline == "port" else stock_qdisc
        found[port.name] = PortCounters(
            node=port.node,
            name=port.name,
            discipline=discipline,
            **tc.counted(seen.stats[tc.ROOT]),
            queues=arrangement.queue_counters(seen),
        )
    return found
