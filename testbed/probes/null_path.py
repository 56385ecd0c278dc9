"""The null path: one bare wire beside the network, measured while the network is.

Two namespaces of their own, joined by a link with no rate, no delay and no switch. A
STAMP session over it goes through the same sender, receiver and reflector as all others
(RFC 8762 packets, kernel stamps), so what it reads is what the lab itself adds. Its
events are in the same logs, under the id SESSION, and are no part of the plan's results.

It sends as seldom as what rests on it allows:

    ENOUGH packets in the run, for a p99.9 of the lab's lateness
    where the clock is that of the wall, as often as the fastest session, if that is more:
        how many late packets the lab's stalls explain is told from how many packets of
        the null path they hit, which must be no rarer among few than among many
    no more than one each LEAST_NS
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from testbed.emulation import lab_qdisc, links, netns
from testbed.emulation.netlink import Netlink
from testbed.emulation.qdisc import Arrangement
from testbed.net.legs import Budget, Home, Leg, Reflector
from testbed.net.nodes import Host
from testbed.net.paths import Path
from testbed.plan.model import Plan, Session
from testbed.port.pipeline import Port

SESSION = "null-path"
LEAST_NS = 10_000_000
ENOUGH = 4_000
"""Of which a p99.9 needs 3,688 (testbed.analysis.percentiles)."""
PHASE_NS = 1_234_567
"""Of the first packet: at no moment at which a session with a round interval sends."""
_SIZE_BYTES = 64
_NAMES = ("null-a", "null-b")
_NOTHING = Budget(propagation_ns=0, device_ns=0, serialisation_ns=0)


def interval_ns(plan: Plan, *, virtual: bool) -> int:
    """From one packet of the null path to the next."""
    warmup_ns = min((s.warmup_ns for s in plan.sessions), default=0)
    enough_ns = (plan.duration_ns - warmup_ns) // ENOUGH
    if not virtual:
        enough_ns = min(enough_ns, *(s.interval_ns for s in plan.sessions))
    return max(LEAST_NS, enough_ns)


def null_plan(plan: Plan, *, virtual: bool) -> Plan:
    """Two hosts, one link and one session that lasts as long as the traffic of `plan`.

    `virtual`: in a lab whose clock stands still while anything runs.
    """
    each_ns = interval_ns(plan, virtual=virtual)
    hosts = tuple(
        Host(
            name=name,
            kind="host",
            site="",
            ip=f"192.0.2.{n}",  # RFC 5737: an address that no plan has
            prefix=24,
            mac=f"02:00:5e:00:00:{n:02x}",
        )
        for n, name in enumerate(_NAMES, start=1)
    )
    free = 1 + max((port.ifindex for port in plan.ports), default=1000)
    ports = tuple(
        Port(
            node=one.name,
            name=one.name,
            number=0,
            ifindex=free + n,
            mac=one.mac,
            peer_node=other.name,
            peer_name=other.name,
        )
        for n, (one, other) in enumerate((hosts, hosts[::-1]))
    )
    there, back = (
        Path(
            id=SESSION,
            cookie=0,
            slice="",
            src=nodes[0],
            dst=nodes[1],
            nodes=nodes,
            label=None,
            queue=0,
            policy="",
        )
        for nodes in (_NAMES, _NAMES[::-1])
    )
    session = Session(
        id=SESSION,
        app=SESSION,
        slice="",
        sender=_NAMES[0],
        reflector=_NAMES[1],
        sender_ip=hosts[0].ip,
        reflector_ip=hosts[1].ip,
        sender_port=20_000,
        dscp=0,
        size_bytes=_SIZE_BYTES,
        start_ns=PHASE_NS,
        interval_ns=each_ns,
        count=max(1, plan.duration_ns // each_ns),
        warmup_ns=min((s.warmup_ns for s in plan.sessions), default=0),
        deadline_ns=None,
        judged=(),
        reliability=None,
        legs=(
            Leg(name="forward", called="", path=there, budget=_NOTHING, end=Reflector()),
            Leg(name="reverse", called="", path=back, budget=_NOTHING, end=Home()),
        ),
    )
    return msgspec.structs.replace(
        plan, hosts=hosts, switches=(), ports=ports, rules=(), sessions=(session,), loads=()
    )


class NullPath:
    """The wire, until `close`. Raises EmulationError.

    Attributes:
        plan: the plan given, with the null path's session after its own. A plan without
            sessions measures nothing, and stays as it is.
    """

    def __init__(
        self, plan: Plan, nodes: Callable[[str], int], arrangement: Arrangement | None
    ) -> None:
        self.plan = plan
        self._nodes = nodes
        self._spaces: dict[str, int] = {}
        if not plan.sessions or arrangement is None:
            return
        own = null_plan(plan, virtual=arrangement is lab_qdisc)
        self.plan = msgspec.structs.replace(plan, sessions=(*plan.sessions, *own.sessions))
        self._spaces = dict(zip(_NAMES, netns.make(len(_NAMES)), strict=True))
        with Netlink() as link:
            links.make(link, links.pairs(own.ports), self._spaces)
        neighbours = links.Neighbours(own.hosts)
        for host, port in zip(own.hosts, own.ports, strict=True):
            links.configure_host(
                host, [port], own, self._spaces[host.name], neighbours, arrangement
            )

    def netns(self, node: str) -> int:
        """The namespace of a node of the plan, or of an end of the wire."""
        return self._spaces[node] if node in self._spaces else self._nodes(node)

    def close(self) -> None:
        """Remove the wire and its namespaces; harmless when repeated."""
        while self._spaces:
            os.close(self._spaces.popitem()[1])
