"""Plans built by hand, so that emulation is tested without a planner."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from testbed.net.nodes import Host, Switch
from testbed.plan.model import Plan
from testbed.port.channel import Channel
from testbed.port.pipeline import Port
from testbed.port.queues import Queue, Queues
from testbed.port.transmitter import Transmitter

MS = 1_000_000


def plan(
    hosts: Sequence[str],
    switches: Sequence[str],
    links: Iterable[tuple[str, str]],
    *,
    delay_ns: int = MS,
    rate_bps: int | None = 100_000_000,
    buffer_packets: int = 1000,
    queues: tuple[Queue, ...] = (),
    loss: float = 0.0,
    overhead_bytes: int = 0,
) -> Plan:
    """All links alike. Queues, if any, are on the ports between switches."""
    numbers = dict.fromkeys(switches, 0)
    ports: list[Port] = []
    for a, b in links:
        names = []
        for node in (a, b):
            if node in numbers:
                numbers[node] += 1
            names.append(f"{node}-eth{numbers.get(node, 0)}")
        for node, peer, name, peer_name in ((a, b, *names), (b, a, *reversed(names))):
            index = 1000 + len(ports)
            inner = node in numbers and peer in numbers
            ports.append(
                Port(
                    node=node,
                    name=name,
                    number=numbers.get(node, 0),
                    ifindex=index,
                    mac="02:00:" + index.to_bytes(4, "big").hex(":"),
                    peer_node=peer,
                    peer_name=peer_name,
                    stages=(
                        Queues(queues=queues if inner else (), buffer_packets=buffer_packets),
                        Transmitter(rate_bps=rate_bps, overhead_bytes=overhead_bytes),
                        Channel(propagation_ns=delay_ns, loss=loss),
                    ),
                )
            )
    mac = {port.node: port.mac for port in ports}
    return Plan(
        experiment="test",
        seed=1,
        policy="none",
        hosts=tuple(
            Host(
                name=name,
                kind="host",
                site="",
                ip=f"10.0.{number >> 8}.{number & 255}",
                prefix=16,
                mac=mac[name],
            )
            for number, name in enumerate(hosts, 1)
        ),
        switches=tuple(
            Switch(name=name, kind="switch", site="", dpid=number)
            for number, name in enumerate(switches, 1)
        ),
        ports=tuple(ports),
        rules=(),
    )


def linear(
    count: int,
    *,
    delay_ns: int = MS,
    rate_bps: int | None = 100_000_000,
    queues: tuple[Queue, ...] = (),
    loss: float = 0.0,
    overhead_bytes: int = 0,
) -> Plan:
    """h1 - s1 - s2 - ... - sN, one host at each switch, as Mininet's linear,N."""
    hosts = [f"h{n}" for n in range(1, count + 1)]
    switches = [f"s{n}" for n in range(1, count + 1)]
    links = [*zip(hosts, switches, strict=True), *itertools.pairwise(switches)]
    return plan(
        hosts,
        switches,
        links,
        delay_ns=delay_ns,
        rate_bps=rate_bps,
        queues=queues,
        loss=loss,
        overhead_bytes=overhead_bytes,
    )


def two_queues(rate_bps: int, kept_bps: int, buffer_packets: int = 500) -> tuple[Queue, ...]:
    """Best effort, and one protected queue that keeps `kept_bps`."""
    return (
        Queue(
            id=0,
            name="best-effort",
            promised_bps=rate_bps - kept_bps,
            level=7,
            limit_packets=buffer_packets,
        ),
        Queue(
            id=1,
            name="protected",
            promised_bps=kept_bps,
            limit_packets=buffer_packets,
        ),
    )
