"""Mininet's nodes and links over a network that netlink made.

A host is a namespace, a switch a bridge; neither is a process. A node's shell starts
when a command is first given to it, and `popen` starts a process in the node's
namespace directly.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from subprocess import PIPE, Popen
from typing import Any

from testbed.emulation.bridges import Bridge, Ovs
from testbed.emulation.netns import entered
from testbed.net.nodes import Host as PlanHost
from testbed.port.pipeline import Port


def _spare_distutils() -> None:
    """Mininet compares versions with distutils, which Python 3.12 has no longer, and
    which setuptools' copy takes two seconds to load in a lab kernel."""
    if "distutils.version" in sys.modules:
        return

    class StrictVersion:
        def __init__(self, text: str) -> None:
            self.parts = tuple(int(part) for part in text.split("."))

        def __lt__(self, other: StrictVersion) -> bool:
            return self.parts < other.parts

        def __ge__(self, other: StrictVersion) -> bool:
            return self.parts >= other.parts

    package, module = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    module.StrictVersion = StrictVersion  # type: ignore[attr-defined]  # made here
    sys.modules.update({"distutils": package, "distutils.version": module})
    try:
        import mininet.node  # noqa: F401, PLC0415 - while distutils is there
    finally:
        del sys.modules["distutils"], sys.modules["distutils.version"]


_spare_distutils()

from mininet.link import Intf, Link  # noqa: E402 - after the above
from mininet.node import Host, Node, OVSSwitch  # noqa: E402 - after the above


class LazyNode(Node):
    """A Mininet node whose shell starts on first use."""

    isSetup = True
    netns: int | None = None
    """Open file descriptor of the namespace; None is the testbed's own."""
    inNamespace: bool
    _pid: int | None = None
    _wanted = False
    _made = False

    def __init__(self, name: str, **params: Any) -> None:
        self._started: list[Popen[Any]] = []
        super().__init__(name, **params)
        self._made = True

    @property
    def pid(self) -> int | None:
        """Process id of the node's shell, which is started if need be."""
        self._need_shell()
        return self._pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    def startShell(self, mnopts: str | None = None) -> None:
        if not self._wanted:
            return
        isolated, self.inNamespace = self.inNamespace, False  # else mnexec makes another
        try:
            super().startShell(mnopts)
        finally:
            self.inNamespace = isolated

    def _need_shell(self) -> None:
        if not self.shell and not self._wanted:
            self._wanted = True
            self.startShell()

    def cmd(self, *args: Any, **kwargs: Any) -> Any:
        if not self._made:
            return ""  # Mininet configures what is configured already
        self._need_shell()
        return super().cmd(*args, **kwargs)

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        self._need_shell()
        super().sendCmd(*args, **kwargs)

    def popen(self, *args: Any, **kwargs: Any) -> Popen[Any]:
        """A process in the node's namespace: `popen("iperf3 -s")`, `popen(["a", "b"])`
        or `popen("a", "b")`; keywords as subprocess.Popen. Pipes unless said otherwise.
        """
        command = list(args[0]) if len(args) == 1 and not isinstance(args[0], str) else list(args)
        if kwargs.pop("shell", False):
            command = ["/bin/sh", "-c", " ".join(command)]
        elif len(command) == 1 and isinstance(args[0], str):
            command = command[0].split()
        kwargs.pop("mncmd", None)
        return self._popen(command, **{"stdout": PIPE, "stderr": PIPE, **kwargs})

    def _popen(self, cmd: Sequence[str], **params: Any) -> Popen[Any]:
        if self.netns is None:
            child = Popen(cmd, **params)
        else:
            with entered(self.netns):
                child = Popen(cmd, **params)
        self._started = [one for one in self._started if one.poll() is None] + [child]
        return child

    def terminate(self) -> None:
        """End the shell and what `popen` started."""
        for child in self._started:
            if child is not self.shell and child.poll() is None:
                child.kill()
                child.wait()
        self._started.clear()
        super().terminate()
        self._wanted, self._pid = False, None

    def __repr__(self) -> str:
        ports = ",".join(f"{port.name}:{port.IP()}" for port in self.intfList())
        return f"<{type(self).__name__} {self.name}: {ports} pid={self._pid}>"


class LabHost(LazyNode, Host):
    """A host: a network namespace."""

    def __init__(self, name: str, netns: int, plan: PlanHost, **params: Any) -> None:
        self.netns = netns
        self.plan = plan
        super().__init__(name, ip=f"{plan.ip}/{plan.prefix}", **params)


class LabSwitch(LazyNode, OVSSwitch):
    """A switch: a bridge of the private Open vSwitch."""

    def __init__(self, name: str, bridge: Bridge, **params: Any) -> None:
        self.bridge = bridge
        self.ovs: Ovs | None = None
        self.address: tuple[str, int] | None = None
        """Where its controller listens."""
        self.rules = 0
        """How many the controller installs."""
        self.running = False
        super().__init__(
            name,
            dpid=f"{bridge.dpid:016x}",
            protocols="OpenFlow13",
            inNamespace=False,
            **params,
        )

    @classmethod
    def isOldOVS(cls) -> bool:
        return False

    def dpctl(self, *args: str) -> Any:
        """Run ovs-ofctl on this switch."""
        return self.cmd("ovs-ofctl", "-O", "OpenFlow13", args[0], self, *args[1:])

    def connected(self) -> bool:
        return self.ovs is not None and self.ovs.connected().get(self.name, False)

    def start(self, controllers: Sequence[Any]) -> None:
        """Make the bridge again after `stop`; its links kept their queues.

        Returns when its controller has installed the rules. Raises EmulationError.
        """
        assert self.ovs is not None
        first = next(((c.IP(), c.port) for c in controllers), self.address)
        self.ovs.add_bridges([self.bridge], first)
        self.running = True
        if first is not None:
            self.ovs.wait_rules(self.name, self.rules)

    def stop(self, deleteIntfs: bool = False) -> None:
        """Remove the bridge; its links stay."""
        assert self.ovs is not None
        self.ovs.remove_bridges([self.name])
        self.running = False


class LabIntf(Intf):
    """One end of a link."""

    def __init__(self, node: LazyNode, number: int | None, port: Port, link: Link) -> None:
        self.plan = port
        super().__init__(
            port.name,
            node=node,
            port=number,
            link=link,
            mac=port.mac,
            moveIntfFn=lambda *_: None,  # it is there already
        )

    def config(self, **_params: Any) -> dict[str, Any]:
        """Nothing: the port is configured already."""
        return {}


class LabLink(Link):
    """A veth pair that exists."""

    def __init__(self, one: tuple[LazyNode, Port], other: tuple[LazyNode, Port]) -> None:
        self.fast = True
        self.intf1, self.intf2 = (
            LabIntf(node, port.number or None, port, self) for node, port in (one, other)
        )
        for intf in (self.intf1, self.intf2):
            if isinstance(intf.node, LabHost) and len(intf.node.intfs) == 1:
                intf.ip, intf.prefixLen = intf.node.plan.ip, intf.node.plan.prefix
