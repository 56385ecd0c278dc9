"""Proof that the switches send every session and load along its planned path.

Before traffic, `trace_paths` asks Open vSwitch what it would do with each packet, hop
by hop: the port, label and queue it names at one switch make the packet at the next.
After traffic, `check_counters` holds the rules' counters against the paths.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from testbed.errors import EmulationError
from testbed.net.matches import MPLS, example
from testbed.net.paths import Path
from testbed.net.state import State
from testbed.net.tables import Match
from testbed.net.ways import Way, copy, own
from testbed.plan.model import Plan
from testbed.scenario.model import Frozen

Ask = Callable[..., str]
"""ask(method, *parameters) -> answer, as of ovs-vswitchd; asked thousands of times, so an
`appctl.Appctl` rather than the program ovs-appctl."""

FLOW_NAMES = {
    "eth_type": "dl_type",
    "ipv4_src": "nw_src",
    "ipv4_dst": "nw_dst",
    "ip_proto": "nw_proto",
}
"""OXM name -> what `ofproto/trace` calls it, where that differs."""

Fields = dict[str, int | str]


class TraceHop(Frozen, frozen=True, kw_only=True):
    """What one switch does with a packet."""

    switch: str
    in_port: int
    out_port: str
    """Interface the packet leaves by; a reason if it does not leave by exactly one."""
    label: int | None
    """MPLS label the packet leaves with."""
    queue: int | None
    """None: no queue was selected."""


class TraceResult(Frozen, frozen=True, kw_only=True):
    """A packet of a path, as Open vSwitch would forward it."""

    path: str
    packet: str
    """As the first switch gets it."""
    hops: tuple[TraceHop, ...]


def trace_paths(plan: Plan, appctl: Ask) -> list[TraceResult]:
    """Trace every kind of packet of every session and load, both ways, each copy of it.

    Raises EmulationError naming switch, expected and found at the first packet that
    would not go its planned way.
    """
    tracer = Tracer(plan, appctl)
    return [
        result
        for one in plan.paths
        for match in one.matches
        for result in tracer.follow(one.path, match)
    ]


class Tracer:
    """Asks the switches as they are now; what it has asked once it does not ask again."""

    def __init__(self, plan: State, appctl: Ask) -> None:
        self._appctl = appctl
        self._mac = {host.name: host.mac for host in plan.hosts}
        self._port = {(port.node, port.peer_node): port for port in plan.ports}
        self._interfaces = datapath_ports(appctl("dpif/show"))
        self._asked: dict[tuple[str, str], str] = {}

    def follow(self, path: Path, match: Match, ways: Sequence[Way] = ()) -> Iterator[TraceResult]:
        """Copies part at the first switch, and each keeps to its way from there.

        `ways` are those that packets should go by; none: the planned ones.
        """
        ethernet: Fields = {"dl_src": self._mac[path.src], "dl_dst": self._mac[path.dst]}
        inner: Fields = {FLOW_NAMES.get(k, k): v for k, v in example(match).items()}
        inner["nw_ttl"] = 64
        ways = ways or [own(path), *(copy(path, b) for b in path.backups if b.failed is None)]
        for way in ways:
            hops: list[TraceHop] = []
            label: int | None = None
            for at in range(1, len(way) - 1):
                planned = [self._planned(one, at, path) for one in (ways if at == 1 else [way])]
                seen = inner if label is None else labelled(label)
                in_port = planned[0].in_port
                switch = way[at][0]
                actions = self._trace(switch, {"in_port": in_port, **ethernet, **seen})
                found = self._hops(switch, in_port, actions, label)
                if sorted(found, key=_show) != sorted(planned, key=_show):
                    raise EmulationError(
                        f"{switch} would not send {path.id} as planned: {_show(*found)}",
                        where=f"{switch}, datapath actions {','.join(actions)}",
                        expected=_show(*planned),
                    )
                hops.append(self._planned(way, at, path))
                label = hops[-1].label
            yield TraceResult(path=path.id, packet=_flow(inner), hops=tuple(hops))

    def _planned(self, way: Way, at: int, path: Path) -> TraceHop:
        (before, _), (switch, label), (after, _) = way[at - 1 : at + 2]
        out = self._port[switch, after]
        return TraceHop(
            switch=switch,
            in_port=self._port[switch, before].number,
            out_port=out.name,
            label=label,
            queue=path.queue if out.selects else None,
        )

    def _trace(self, switch: str, packet: Fields) -> list[str]:
        """Datapath actions for a packet; a question already asked is not asked again."""
        key = (switch, _flow(packet))
        if key not in self._asked:
            self._asked[key] = self._appctl("ofproto/trace", *key)
        return datapath_actions(self._asked[key])

    def _hops(
        self, switch: str, in_port: int, actions: Sequence[str], label: int | None
    ) -> list[TraceHop]:
        """What leaves the switch; a hop without a port of its own if nothing does."""
        hops: list[TraceHop] = []
        queue = None

        def leaves(by: str) -> None:
            hops.append(
                TraceHop(switch=switch, in_port=in_port, out_port=by, label=label, queue=queue)
            )

        for action in actions:
            if action.isdecimal():
                leaves(self._interfaces.get(int(action), f"datapath port {action}"))
            elif given := re.fullmatch(r"(?:push_mpls|set\(mpls)\(label=(\d+),.*\)", action):
                label = int(given[1])
            elif action.startswith("pop_mpls("):
                label = None
            elif priority := re.fullmatch(r"set\(skb_priority\((0x[0-9a-f]+)\)\)", action):
                queue = (int(priority[1], 16) & 0xFFFF) - 1  # queue N is class 1:N+1
            else:
                leaves(action)
        if not hops:
            leaves("drop")
        return hops


def labelled(label: int) -> Fields:
    """The packet between two switches: behind a label the rest is hidden."""
    return {"dl_type": MPLS, "mpls_label": label, "mpls_bos": 1, "mpls_ttl": 64}


def datapath_ports(text: str) -> dict[int, str]:
    """Port number in the kernel -> interface, from `dpif/show`.

    >>> datapath_ports("  s1:\\n    s1-eth1 1/2: (system)")
    {2: 's1-eth1'}
    """
    rows = re.findall(r"^\s+(\S+) \d+/(\d+): ", text, flags=re.MULTILINE)
    return {int(number): name for name, number in rows}


def datapath_actions(text: str) -> list[str]:
    """The last line of `ofproto/trace`, split; commas in brackets stay.

    >>> datapath_actions("Datapath actions: push_mpls(label=17,tc=5),set(skb_priority(0x3)),1")
    ['push_mpls(label=17,tc=5)', 'set(skb_priority(0x3))', '1']
    """
    found = re.search(r"^Datapath actions: (.*)$", text, flags=re.MULTILINE)
    if found is None:
        raise EmulationError(
            "Open vSwitch did not say what it does with a packet",
            where=text.strip().splitlines()[-1] if text.strip() else "ofproto/trace",
            expected="a line `Datapath actions: ...`",
        )
    return re.findall(r"[^,()]+(?:\((?:[^()]|\([^()]*\))*\))?", found[1])


def check_counters(
    plan: Plan,
    counters: Iterable[Mapping[str, Any]],
    carried: Mapping[str, int],
) -> None:
    """Hold the rules' counters against the plan. Raises EmulationError.

    Every rule is still there, and no other. Every switch of a path counted at least the
    packets that arrived at the path's end: `carried`, by path id; a path not in it
    counted none. Where copies go two ways (FRER), the first and the last switch did.

    Open vSwitch brings its counters up to date twice a second; "revalidator/purge"
    through appctl does so at once.
    """
    installed: Counter[tuple[str, int]] = Counter()
    packets: Counter[tuple[str, int]] = Counter()
    for row in counters:
        installed[row["switch"], row["cookie"]] += 1
        packets[row["switch"], row["cookie"]] += row["packets"]
    planned = Counter((rule.switch, rule.cookie) for rule in plan.rules)
    for switch, cookie in planned.keys() | installed.keys():
        found, expected = installed[switch, cookie], planned[switch, cookie]
        if found != expected:
            raise EmulationError(
                f"{switch} has {found} rules with cookie {cookie}",
                where="flow counters after traffic",
                expected=str(expected),
            )
    for path in (one.path for one in plan.paths):
        least = carried.get(path.id)
        switches = path.nodes[1:-1]
        if any(backup.failed is None for backup in path.backups):
            switches = (switches[0], switches[-1])  # between, copies go two ways
        for switch in switches:
            found = packets[switch, path.cookie]
            if found if least is None else found < least:
                raise EmulationError(
                    f"{switch} counted {found} packets of {path.id}",
                    where="flow counters after traffic",
                    expected="none" if least is None else f"at least {least}",
                )


def _flow(packet: Fields) -> str:
    return ",".join(f"{name}={value}" for name, value in packet.items())


def _show(*hops: TraceHop) -> str:
    told = []
    for hop in hops:
        label = "no label" if hop.label is None else f"label {hop.label}"
        queue = "no queue" if hop.queue is None else f"queue {hop.queue}"
        told.append(f"out by {hop.out_port}, {label}, {queue}")
    return "; ".join(told)
