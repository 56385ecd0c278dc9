"""LabNet: a plan carried out, with Mininet's face.

    build   namespaces, links with their queues and addresses   (netlink, batched)
    start   Open vSwitch, all bridges in one transaction, queues read back
    stop    everything made here is removed; so it is after any failure

    net = LabNet(plan)
    net.start()
    print(net.get("h1").cmd("ping -c1 10.0.0.2"))
    net.stop()

Names, `net.hosts`, `net.get`, `pingAll`, `mininet.cli.CLI(net)` and the rest are
Mininet's. Rules come from a controller, or from `ovs-ofctl`.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

from testbed.emulation import iperf, lab_qdisc, links, netns, qdisc, requeue
from testbed.emulation.become import become
from testbed.emulation.capture import Capture
from testbed.emulation.netlink import Netlink
from testbed.emulation.nodes import LabHost, LabLink, LabSwitch
from testbed.emulation.ovs import Bridge, Ovs, running_ovs, start_ovs
from testbed.emulation.readback import PortCounters, PortReadback, Readback
from testbed.emulation.watch import Watch
from testbed.errors import EmulationError, unknown
from testbed.net.state import State
from testbed.plan.model import Plan
from testbed.port.pipeline import Port
from testbed.scenario.delta import Delta
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.model import Capture as Wanted

from mininet.log import output  # isort: skip
from mininet.net import Mininet  # isort: skip - after nodes, which spares it distutils

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many are."""


class LabNet(Mininet):
    """The network of a plan.

    Args:
        plan: what to build.
        controller: where the switches' controller listens, or None.
        ovs: Open vSwitch to use; None is the one that runs in this lab, or else a private
            one, which ends with the network.
        progress: told of each step.
    """

    hosts: list[LabHost]
    switches: list[LabSwitch]
    links: list[LabLink]
    nameToNode: dict[str, LabHost | LabSwitch]

    def __init__(
        self,
        plan: Plan,
        controller: tuple[str, int] | None = None,
        *,
        ovs: Ovs | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.plan = plan
        self.ovs = ovs
        self._own_ovs = ovs is None
        self._address = controller
        self._progress = progress or (lambda *_: None)
        self._ports: dict[str, list[Port]] = defaultdict(list)
        for port in plan.ports:
            self._ports[port.node].append(port.silent())
        self._namespaces: dict[str, int] = {}
        self._home: int | None = None
        self._root: Netlink | None = None
        self.arrangement: qdisc.Arrangement | None = None
        self._neighbours = links.Neighbours(plan.hosts)
        self.state: State = plan
        self._changing = threading.Lock()
        """As the deltas that were applied have made it."""
        self._readback: Readback | None = None
        self._captures: list[Capture] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        # Mininet sets limits with one process each; ours are set where they matter
        before, Mininet.inited = Mininet.inited, True
        try:
            super().__init__(controller=None, build=False)
        finally:
            Mininet.inited = before

    # Making and removing

    def build(self) -> None:
        """Make namespaces, links, queues and addresses. Raises EmulationError."""
        try:
            self._build()
        except BaseException:
            self.stop()
            raise

    def _build(self) -> None:
        hosts = self.plan.hosts
        self._root = Netlink()
        self.arrangement = qdisc.offered(self._root)
        qdisc.check_background(self.plan.ports, self.arrangement)
        self._progress("namespaces", 0, len(hosts))
        self._home = netns.current()
        made = netns.make(len(hosts))
        self._namespaces = {host.name: fd for host, fd in zip(hosts, made, strict=True)}
        ends = links.pairs(self.plan.ports)
        self._progress("links", 0, len(ends))
        links.ipv6_off()
        links.make(self._root, ends, self._namespaces)
        for done, host in enumerate(hosts):
            self._progress("hosts", done, len(hosts))
            links.configure_host(
                host,
                self._ports[host.name],
                self.plan,
                self._namespaces[host.name],
                self._neighbours,
                self.arrangement,
            )
        links.bring_up(self._root, self._switch_ports(), self.arrangement)
        self._make_nodes(ends)
        self.built = True

    def _make_nodes(self, ends: Iterable[tuple[Port, Port]]) -> None:
        bfd_ms = (self.plan.recovery.bfd_ns or 0) // 1_000_000
        guarded = self.plan.guarded() if bfd_ms else set()
        for host in self.plan.hosts:
            node = LabHost(host.name, self._namespaces[host.name], host)
            self.hosts.append(node)
            self.nameToNode[host.name] = node
        for switch in self.plan.switches:
            ports = self._ports[switch.name]
            numbered = tuple((port.name, port.number) for port in ports)
            watched = tuple(p.name for p in ports if {p.node, p.peer_node} in guarded)
            bridge = Bridge(switch.name, switch.dpid, numbered, watched, bfd_ms)
            node = LabSwitch(switch.name, bridge)
            self.switches.append(node)
            self.nameToNode[switch.name] = node
        for one, other in ends:
            a, b = self.nameToNode[one.node], self.nameToNode[other.node]
            self.links.append(LabLink((a, one), (b, other)))

    def start(self, *, wait: bool = True) -> None:
        """Build if need be, make the bridges, prove the queues.

        Without `wait`, packets that match no flow in the kernel yet may be lost until
        `net.ovs.wait_ready()` has returned. Raises EmulationError.
        """
        if not self.built:
            self.build()
        try:
            self._start(wait=wait)
        except BaseException:
            self.stop()
            raise

    def _start(self, *, wait: bool) -> None:
        if self.ovs is None:
            self._progress("Open vSwitch", 0, 1)
            self.ovs = running_ovs()
        if self.ovs is None:
            self._folder = tempfile.TemporaryDirectory(prefix="ovs-")
            self.ovs = start_ovs(Path(self._folder.name), wait=False)
        self._progress("bridges", 0, len(self.switches))
        self.ovs.add_bridges([node.bridge for node in self.switches], self._address)
        rules = Counter(rule.switch for rule in self.plan.rules)
        for node in self.switches:
            node.ovs, node.address = self.ovs, self._address
            node.rules, node.running = rules[node.name], True
        self._progress("read-back", 0, len(self.plan.ports))
        self.verify()
        if wait and self.switches:
            self.ovs.wait_ready()
        self._progress("started", 1, 1)

    def connect(self, controller: tuple[str, int]) -> None:
        """Have all switches connect to a controller that listens already."""
        assert self.ovs is not None
        self.ovs.wait_ready()
        self._address = controller
        for node in self.switches:
            node.address = controller
        self.ovs.connect(controller)

    def stop(self) -> None:
        """Remove everything made here; harmless when repeated."""
        for capture in self._captures:
            with suppress(EmulationError):
                capture.stop()
        self._captures.clear()
        for node in self.nameToNode.values():
            node.terminate()
        if self.ovs is not None:
            if self._folder is None:
                self.ovs.remove_bridges(switch.name for switch in self.plan.switches)
            if self._own_ovs:
                self.ovs.stop()
                self.ovs = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        if self._root is not None:
            links.remove_all(self._root)
            self._root.close()
            self._root = None
        netns.close(list(self._namespaces.values()))
        self._namespaces.clear()
        if self._home is not None:
            os.close(self._home)
            self._home = None
        self.hosts, self.switches, self.links, self.nameToNode = [], [], [], {}
        self.built = False

    # Looking and acting

    def netns(self, node: str) -> int:
        """An open file descriptor of a node's namespace. Raises InputError."""
        if node in self._namespaces:
            return self._namespaces[node]
        if node not in self.nameToNode or self._home is None:
            raise unknown("node", node, self.nameToNode, where="network")
        return self._home

    def readback(self) -> Readback:
        """What the kernel had when the network started, beside what was asked."""
        if self._readback is None:
            raise EmulationError("the network has not started", remedy="call start() first")
        return self._readback

    def verify(self) -> Readback:
        """Read all queues back, and keep that. Raises EmulationError on a difference."""
        assert self.arrangement is not None
        found: dict[str, PortReadback] = {}
        for ports, link in self._places():
            found |= qdisc.proved(link, ports, self.arrangement)
        self._readback = Readback(
            kernel=os.uname().release, ports=tuple(found[port.name] for port in self.plan.ports)
        )
        return self._readback

    def start_traffic(self, start_ns: int) -> None:
        """Have background and gates begin with traffic, at `start_ns` (CLOCK_MONOTONIC).

        Queues and what is in them stay as they are. Raises EmulationError.
        """
        assert self.arrangement is not None
        for port in self.plan.ports:
            if port.timed:
                here = self._ports[port.node]
                place = [one.name for one in here].index(port.name)
                here[place] = port.begun(start_ns)
        for ports, link in self._places():
            timed = [port for port in ports if port.timed]
            link.do([one for p in timed for one in qdisc.requests(p, self.arrangement)])
        self.verify()

    def statistics(self) -> tuple[PortCounters, ...]:
        """What all shaped ports and their queues have counted, in the plan's order."""
        found: dict[str, PortCounters] = {}
        for ports, link in self._places():
            found |= qdisc.counters(link, ports)
        return tuple(found[port.name] for port in self.plan.ports if port.name in found)

    @contextmanager
    def counting(self) -> Iterator[Callable[[], list[PortCounters]]]:
        """Counts of all shaped ports, in any order, by sockets of its own: for a thread of its
        own, beside whatever else is asked of the ports. Raises EmulationError."""
        with ExitStack() as stack:
            places = [(self._switch_ports(), stack.enter_context(Netlink()))]
            for host in self.plan.hosts:
                with netns.entered(self._namespaces[host.name]):
                    places.append((self._ports[host.name], stack.enter_context(Netlink())))
            yield lambda: [
                found for ports, link in places for found in qdisc.counters(link, ports).values()
            ]

    def apply(self, delta: Delta) -> None:
        """Have links and ports be as a delta makes them, at once.

        Packets on a link that is cut are lost; queues stay as they are. Raises
        EmulationError, and InputError for what cannot happen.
        """
        with self._changing:
            before, self.state = self.state, self.state + delta
            become(self, before, self.state)

    def port(self, planned: Port) -> Port:
        """A port of the plan as it was made, with its background once that has begun."""
        return next(one for one in self._ports[planned.node] if one.name == planned.name)

    def carry(self, ports: Iterable[Port], *, up: bool) -> None:
        """Set ports up or down. Raises EmulationError."""
        for port in ports:
            request = links.state(port.ifindex, up, f"setting {port.name} {'up' if up else 'down'}")
            with self._place(port.node) as link:
                link.do([request])
                first = port.name == self._ports[port.node][0].name
                if up and first and port.node in self._namespaces:
                    host = self.nameToNode[port.node].plan
                    links.reach(link, host, port, self.plan, self._neighbours)

    def reshape(self, before: Mapping[str, Port], after: Mapping[str, Port]) -> None:
        """Have ports delay and lose otherwise; packets in them stay. Raises EmulationError."""
        assert self.arrangement is not None
        for name, port in after.items():
            if port != before[name]:
                with self._place(port.node) as link:
                    if self.arrangement is lab_qdisc and port.shaped and before[name].shaped:
                        requeue.rechannel(link, port)
                    else:
                        link.do(list(qdisc.changes(before[name], port, self.arrangement)))

    def restart(self, switch: str) -> None:
        """Remove a bridge and make it anew: no rules, a new connection to the controller."""
        assert self.ovs is not None
        self.ovs.remove_bridges([switch])
        self.ovs.add_bridges([self.nameToNode[switch].bridge], self._address)

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        """Set the links between two nodes `up` or `down`, as at the `mininet>` prompt."""
        if status not in ("up", "down"):
            raise unknown("link status", status, ["up", "down"])
        action: Literal["mend", "cut"] = "mend" if status == "up" else "cut"
        ends = links.between(self.plan.ports, str(src), str(dst))
        self.apply(LinkEvent(action=action, a=str(src), b=str(dst), by="prompt"))
        self.carry(ends, up=self.state.up(str(src), str(dst)))  # whatever was done to them by hand

    def iperf(
        self,
        hosts: Sequence[LabHost] | None = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: str | None = None,
        seconds: float = 5,
        port: int = 5001,
    ) -> list[str]:
        """Rates of a test between two hosts, the first and the last if none are given: those
        at server and client, after udpBw for UDP. Raises EmulationError."""
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        udp = l4Type == "UDP"
        output(f"*** Iperf: testing {l4Type} bandwidth between {client} and {server}\n")
        found = iperf.rates(
            client, server, udp_rate=udpBw if udp else None, seconds=seconds, port=port
        )
        result = [udpBw, *found] if udp else list(found)
        output(f"*** Results: {result}\n")
        return result

    def start_captures(
        self, wanted: Iterable[Wanted], folder: Path, watch: Watch | None = None
    ) -> list[Path]:
        """Capture at ports into `folder`, each by its name, until `stop_captures` or `stop`;
        all listen when this returns. Raises EmulationError, InputError."""
        files = []
        for one in wanted:
            port = next((p for p in self._ports[one.node] if p.peer_node == one.peer), None)
            if port is None:
                peers = [p.peer_node for p in self._ports[one.node]]
                raise unknown("neighbour", one.peer, peers, where=f"capture at {one.node}")
            file = folder / one.file
            ports = {s.reflector_port for s in self.plan.sessions} if one.probes else ()
            self._captures.append(Capture(port.name, self.netns(one.node), file, sorted(ports)))
            if watch is not None:
                means = f"{file.name} has only the packets until then"
                name = f"the capture (tcpdump) at {port.name}"
                watch.add(name, self._captures[-1].process, means)
            files.append(file)
        return files

    def stop_captures(self, watch: Watch | None = None) -> None:
        """Complete all capture files. Raises EmulationError."""
        time.sleep(max((capture.lag_s for capture in self._captures), default=0.0))
        while self._captures:
            capture = self._captures.pop()
            if watch is not None:
                watch.forget(capture.process)
            capture.stop()

    def waitConnected(self, timeout: float | None = None, delay: float = 0.05) -> bool:
        """Wait until every switch is connected to its controller; False if not in time."""
        return bool(super().waitConnected(timeout, delay))

    def _switch_ports(self) -> list[Port]:
        return [
            port
            for node, ports in self._ports.items()
            if node not in self._namespaces
            for port in ports
        ]

    @contextmanager
    def _place(self, node: str) -> Iterator[Netlink]:
        """A socket where the ports of a node are."""
        assert self._root is not None
        if node not in self._namespaces:
            yield self._root
            return
        with netns.entered(self._namespaces[node]), Netlink() as link:
            yield link

    def _places(self) -> Iterable[tuple[list[Port], Netlink]]:
        """The ports of each namespace, with a socket there."""
        assert self._root is not None
        yield self._switch_ports(), self._root
        for host in self.plan.hosts:
            with netns.entered(self._namespaces[host.name]), Netlink() as link:
                yield self._ports[host.name], link
