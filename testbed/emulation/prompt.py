"""The `mininet>` prompt on a network: Mininet's own, which no mistyped command ends.

What is wrong is said as everywhere in the testbed, with the nearest name, and the prompt
comes back. A source file is read as commands typed at the prompt are.
"""

from __future__ import annotations

import inspect
import select
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.emulation.nodes import LabSwitch, LazyNode
from testbed.errors import InputError, TestbedError, unknown
from testbed.scenario import events
from testbed.scenario.delta import Delta
from testbed.scenario.events import cut_fibre, mend_fibre

from mininet.cli import CLI  # isort: skip - after nodes, which spares it distutils
from mininet.log import output  # isort: skip
from mininet.util import quietRun  # isort: skip

if TYPE_CHECKING:
    from testbed.emulation.network import LabNet
    from testbed.emulation.recovery import Recoveries

_DEEPEST = 20
"""Source files that a source file may name, one in the other."""
_EVENTS: dict[str, Callable[..., Delta]] = {
    name: getattr(events, name)
    for name in events.__all__
    if name not in ("Event", "order", "modify", "withdraw")
}
"""What can happen at the prompt; slices are ordered over HTTP."""
_LOOK_S = 1.0
"""How often a node's shell is looked after while it is waited for."""


class Prompt(CLI):
    """Reads commands until its end: from the terminal, or from `script`."""

    def __init__(self, net: LabNet, here: Recoveries, script: Path | None = None) -> None:
        self.net, self._here = net, here
        self._depth = 0
        self._over = False
        if sys.stdin.isatty():  # Ctrl-\ is a key like others at a prompt
            signal.signal(signal.SIGQUIT, lambda *_: None)
        super().__init__(net, script=None if script is None else str(script))

    def onecmd(self, line: str) -> bool:
        """Carry a command out; whether it was the last one. Says what is wrong with it."""
        try:
            self._over = bool(super().onecmd(line)) or self._over
        except TestbedError as error:
            _say(error)
        except SystemExit:  # of the `py` command
            self._over = True
        except Exception as error:
            _say(TestbedError(f"{type(error).__name__}: {error}", where=line.strip()))
        return self._over

    def default(self, line: str) -> None:
        """A command for a node."""
        first, rest, line = self.parseline(line)
        if not first:
            first = line.split()[0] if line.split() else ""
        if first not in self.mn:
            commands = (name.removeprefix("do_") for name in self.get_names() if "do_" in name)
            raise unknown("command or node", first, [*commands, *self.net.nameToNode])
        if not rest:
            raise InputError(f"no command for {first}", expected=f"{first} COMMAND")
        super().default(line)

    def do_source(self, line: str) -> None:
        """Read commands from a file.
        Usage: source FILE"""
        (name,) = self._arguments("source", line, "FILE")
        if self._depth == _DEEPEST:
            raise InputError(
                f"{name} is read by a file that it reads",
                expected=f"no more than {_DEEPEST} source files one in the other",
            )
        try:
            commands = Path(name).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(
                f"{name} cannot be read: {words}",
                where="source",
                expected="a file of the lab; the project is at /project",
            ) from None
        self._depth += 1
        try:
            for command in commands:
                if self._over:
                    break
                self.onecmd(self.precmd(command))
        finally:
            self._depth -= 1

    def do_link(self, line: str) -> None:
        """Bring the links between two nodes up or down, and tell how that is answered.
        Usage: link NODE NODE up|down"""
        a, b, status = self._arguments("link", line, "NODE NODE up|down")
        self._node(a, "link")
        self._node(b, "link")
        delta = mend_fibre(a, b) if status == "up" else cut_fibre(a, b)
        self._happen(delta, lambda: self.net.configLinkStatus(a, b, status))

    def do_event(self, line: str) -> None:
        """Have something happen to the network, as in an experiment, and tell how it is answered.
        Usage: event NAME [ARGUMENT ...], as in event silence_fibre s1 s2"""
        try:
            name, *given = shlex.split(line)
        except ValueError:  # nothing, or a quotation without an end
            raise InputError(
                f"{line!r} names no event", where="event", expected="event NAME [ARGUMENT ...]"
            ) from None
        if name not in _EVENTS:
            raise unknown("event", name, _EVENTS, where="event")
        wanted = inspect.signature(_EVENTS[name]).parameters
        if len(given) != len(wanted):
            raise InputError(
                f"{name} does not take {len(given)} argument{'s' * (len(given) != 1)}",
                where=f"event {line}".strip(),
                expected=" ".join(["event", name, *(word.upper() for word in wanted)]),
            )
        self._happen(_EVENTS[name](*given))

    def do_timeline(self, line: str) -> None:
        """Tell what has happened since the prompt came, and on whose word.
        Usage: timeline"""
        self._arguments("timeline", line, "")
        for one in self._here.timeline():
            when = f"{one.actual_ns / 1e9:.6f} s"
            told = f"  {one.delta.why}" if one.delta.why else ""
            output(f"{when:>14}  {one.delta.by}: {one.delta.text}{told}\n")

    def _happen(self, delta: Delta, do: Callable[[], object] | None = None) -> None:
        for told in self._here.happen(delta, do):
            output(f"*** {told}\n")

    def do_switch(self, line: str) -> None:
        """Stop a switch, or start it again with its rules.
        Usage: switch SWITCH start|stop"""
        name, action = self._arguments("switch", line, "SWITCH start|stop")
        switches = {switch.name: switch for switch in self.net.switches}
        if name not in switches:
            raise unknown("switch", name, switches, where="switch")
        if action not in ("start", "stop"):
            raise unknown("action", action, ["start", "stop"], where="switch")
        switch: LabSwitch = switches[name]
        if switch.running == (action == "start"):
            state = "runs" if switch.running else "is stopped"
            raise InputError(f"{name} {state} already", where="switch")
        if action == "start":
            switch.start(())
        else:
            switch.stop()

    def do_iperf(self, line: str) -> None:
        """Measure TCP between two hosts; without names, between the first and the last.
        Usage: iperf [HOST HOST]"""
        names = self._arguments("iperf", line, "", "HOST HOST")
        self.net.iperf([self._host(name, "iperf") for name in names] or None)

    def do_iperfudp(self, line: str) -> None:
        """Measure UDP at a rate between two hosts.
        Usage: iperfudp [RATE HOST HOST], as in iperfudp 10M h1 h2"""
        found = self._arguments("iperfudp", line, "", "RATE HOST HOST")
        if not found:
            self.net.iperf(l4Type="UDP")
            return
        rate, *names = found
        self.net.iperf([self._host(name, "iperfudp") for name in names], l4Type="UDP", udpBw=rate)

    def do_dpctl(self, line: str) -> None:
        """Run ovs-ofctl on all switches.
        Usage: dpctl COMMAND [ARGUMENT ...], as in dpctl dump-flows"""
        if not line.split():
            raise InputError("dpctl takes a command", expected="dpctl COMMAND, as in dump-flows")
        super().do_dpctl(line)

    def do_x(self, line: str) -> None:
        """Not in a lab, which has no screen."""
        raise InputError(
            "a lab has no screen to open windows on",
            remedy="give the command to the node at the prompt: NODE COMMAND",
        )

    do_gterm = do_x

    def do_xterm(self, line: str, term: str = "xterm") -> None:
        """Not in a lab, which has no screen."""
        self.do_x(f"{term} {line}")

    def waitForNode(self, node: LazyNode) -> None:
        """Show what a node's command says, and give it what is typed, until it is done.

        A command may end the node's shell: then the next one starts another.
        """
        typed, said = select.poll(), select.poll()
        typed.register(self.stdin, select.POLLIN)
        said.register(node.stdout, select.POLLIN)
        both = select.poll()
        both.register(self.stdin, select.POLLIN)
        both.register(node.stdout, select.POLLIN)
        if self.isatty():
            # by character, so that programs at the prompt get what is typed
            quietRun("stty -icanon min 1")
        while node.waiting:
            try:
                both.poll(_LOOK_S * 1000)
                if _readable(typed):
                    if key := self.stdin.read(1):
                        node.write(key)
                    else:  # no more will come: asked on, it would never wait
                        typed.unregister(self.stdin)
                        both.unregister(self.stdin)
                if _readable(said):
                    output(node.monitor())
                elif node.shell.poll() is not None:
                    node.waiting = False
                    node.terminate()
            except KeyboardInterrupt:
                node.sendInt()

    def _arguments(self, command: str, line: str, *forms: str) -> list[str]:
        """The words of a line, if they are as many as one of the forms has."""
        words = line.split()
        if len(words) not in {len(form.split()) for form in forms}:
            raise InputError(
                f"{command} does not take {len(words)} word{'s' * (len(words) != 1)}",
                where=f"{command} {line}".strip(),
                expected=" or ".join(f"{command} {form}".strip() for form in forms),
            )
        return words

    def _node(self, name: str, where: str) -> Any:
        if name not in self.net.nameToNode:
            raise unknown("node", name, self.net.nameToNode, where=where)
        return self.net.nameToNode[name]

    def _host(self, name: str, where: str) -> Any:
        hosts = {host.name: host for host in self.net.hosts}
        if name not in hosts:
            raise unknown("host", name, hosts, where=where)
        return hosts[name]


def _say(error: TestbedError) -> None:
    output(f"error {error}\n")


def _readable(poller: select.poll) -> bool:
    return any(events & select.POLLIN for _, events in poller.poll(0))
