"""All STAMP sessions of a plan, in three processes however many sessions there are.

    engine = ProbeEngine(plan, netns, folder)
    engine.prepare()        sockets open in the hosts' namespaces, processes ready
    engine.start(start_ns)  all is sent from then on
    engine.finish()         returns when the last packet had its time to come back

The engine opens the sockets, since a socket stays in the namespace it was made in;
sender, receiver and reflector inherit them and write `folder`/samples/*.bin as they
go (events.py says what; samples.py reads it).
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.emulation.netns import entered
from testbed.emulation.watch import ended
from testbed.errors import EmulationError
from testbed.net.legs import HOLD_NS
from testbed.plan.matches import DISCARD_PORT
from testbed.plan.model import Plan, Session
from testbed.plan.pacing import stretched
from testbed.probes.messages import PRIMING, leading_packet
from testbed.probes.schedule import grace_ns
from testbed.probes.sockets import dropped, keeps_moments, open_answering_pair, open_udp
from testbed.probes.stamp import request_of_size, stamp_request
from testbed.process import child_environment

SAMPLES = "samples"
_PRIME_PACE_S = 0.01
_MEANS = {
    "sender": "no probe is sent without it",
    "receiver": "no reply is counted without it",
    "reflector": "no probe is answered without it",
}
_READY_S = 60.0
_END_S = 30.0
_LAST_REPLIES_S = 0.2
_AHEAD_NS = 100_000_000
"""How long before its moment a packet is handed to such a kernel, at most."""
_WAITING_BYTES = 16 << 20
"""Of a socket's packets that wait for their moments."""
_PACKET_BYTES = 1024
"""What a packet takes there beside twice its size."""


def ahead_ns(sessions: Sequence[Session]) -> int:
    """How long before its moment a packet may be handed over, so that all have room."""
    most_ns = _AHEAD_NS
    for session in sessions:
        message_bytes = 2 * session.size_bytes + _PACKET_BYTES
        message_bytes += (session.fragments - 1) * (2 * session.fragment_bytes + _PACKET_BYTES)
        # those of twice this time may wait: handed over now, and at the last waking
        interval_ns = stretched(session.interval_ns, session.drift_ppb)
        most_ns = min(most_ns, _WAITING_BYTES * interval_ns // message_bytes // 2)
    return max(most_ns, 1)


class ProbeEngine:
    """Carries out a plan's sessions. Raises EmulationError.

    Args:
        netns: an open file descriptor of a host's network namespace.
        folder: the job folder; the event files go into its `samples`.
    """

    def __init__(self, plan: Plan, netns: Callable[[str], int], folder: Path) -> None:
        self._plan, self._netns, self._folder = plan, netns, folder / SAMPLES
        self._sockets: list[socket.socket] = []
        self._read: list[tuple[str, socket.socket]] = []
        """Of the sockets those whose packets are all read, and what they hold."""
        self._timed = False
        self._start_ns = 0
        self._children: dict[str, subprocess.Popen[str]] = {}

    def prepare(self) -> None:
        """Open all sockets and start the processes; returns when they are ready."""
        if not self._plan.sessions:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._timed = keeps_moments()
        hold_ns = HOLD_NS if self._timed else 0
        ahead = {"ahead_ns": ahead_ns(self._plan.sessions) if self._timed else 0}
        try:
            senders = [self._open_sender(i, s) for i, s in enumerate(self._plan.sessions)]
            endpoints = self._open_reflectors()
            arriving = self._open_arriving()
            held = {"hold_ns": hold_ns, "endpoints": endpoints}
            self._start("reflector", held, _fds(endpoints))
            read = {"sessions": senders, "arriving": arriving, **ahead}
            self._start("receiver", read, _fds([*senders, *arriving]))
            self._start("sender", {"sessions": senders, **ahead}, _fds(senders))
            for name in self._children:
                self._wait_ready(name)
        except BaseException:
            self.close()
            raise

    def start(self, start_ns: int) -> None:
        """Send everything from `start_ns` (CLOCK_MONOTONIC) on; returns before."""
        if not self._plan.sessions:
            return
        self._start_ns = start_ns
        try:
            self._tell("sender", f"start {start_ns}")
            self._prime(start_ns)
        except BaseException:
            self.close()
            raise

    def finish(self, check: Callable[[], None] = lambda: None) -> None:
        """Return when the last packet had its time to come back; the processes are gone then.

        `check` is called ten times a second meanwhile, and may raise what ends it.
        """
        if not self._plan.sessions:
            return
        try:
            sender = self._children["sender"]
            while sender.poll() is None:
                self._check("receiver", "reflector")
                check()
                time.sleep(0.1)
            if sender.returncode:
                raise self._failure("sender")
            time.sleep((grace_ns(self._plan.sessions) + HOLD_NS) / 1e9)
            self._check("receiver", "reflector")
            self._end("reflector")
            time.sleep(_LAST_REPLIES_S)
            self._check("receiver")
            self._check_dropped()
        finally:
            self.close()

    def _prime(self, start_ns: int) -> None:
        """Send each session's packets once before the start, so that no measured one is a first.

        A switch in software looks a flow's first packet up slowly, and under many first
        packets at once it drops them. Priming packets have a sequence number of no message.
        """
        pace_s = (start_ns - time.monotonic_ns()) / 2e9 / len(self._plan.sessions)
        for sock, session in zip(self._sockets, self._plan.sessions, strict=False):
            packet = request_of_size(session.size_bytes)
            stamp_request(packet, PRIMING, time.time_ns())
            with contextlib.suppress(OSError):  # no way there: the run will tell
                sock.sendto(packet, (session.reflector_ip, session.reflector_port))
                if session.fragments > 1:
                    leading = leading_packet(PRIMING, 0, session.fragment_bytes)
                    sock.sendto(leading, (session.reflector_ip, DISCARD_PORT))
            time.sleep(min(max(pace_s, 0.0), _PRIME_PACE_S))

    def close(self) -> None:
        """End the processes, which write what they have, and close the sockets."""
        for child in self._children.values():
            _ask_to_end(child)
        for name in self._children:
            self._end(name)
        self._children.clear()
        self._read.clear()
        while self._sockets:
            self._sockets.pop().close()

    def _end(self, name: str) -> None:
        child = self._children[name]
        _ask_to_end(child)
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it was told and never read
                    pipe.close()

    def _open_sender(self, index: int, session: Session) -> dict[str, Any]:
        with entered(self._netns(session.sender)):
            sock = open_udp(
                session.sender_ip,
                session.sender_port,
                tos=session.dscp << 2,
                timed=self._timed,
            )
        self._sockets.append(sock)
        self._read.append((f"replies of {session.id}", sock))
        return {
            "index": index,
            "fd": sock.fileno(),
            "to": session.reflector_ip,
            "port": session.reflector_port,
            "discard_port": DISCARD_PORT,
            "ssid": index + 1 & 0xFFFF,
            "size_bytes": session.size_bytes,
            "fragments": session.fragments,
            "fragment_bytes": session.fragment_bytes,
            "start_ns": session.start_ns,
            "interval_ns": session.interval_ns,
            "count": session.count,
            "arrivals": session.arrivals,
            "seed": session.seed,
            "drift_ppb": session.drift_ppb,
        }

    def _open_reflectors(self) -> list[dict[str, Any]]:
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        for index, session in enumerate(self._plan.sessions):
            address = (session.reflector_ip, session.reflector_port)
            with entered(self._netns(session.reflector)):
                if address not in rows:
                    inbound, outbound = open_answering_pair(*address, timed=self._timed)
                    self._sockets += [inbound, outbound]
                    self._read.append((f"requests to {session.reflector}", inbound))
                    rows[address] = {
                        "inbound": inbound.fileno(),
                        "outbound": outbound.fileno(),
                        "senders": [],
                    }
            rows[address]["senders"].append(_sender(index, session))
        return list(rows.values())

    def _open_arriving(self) -> list[dict[str, Any]]:
        """Sockets for the leading packets of messages, one a host."""
        rows: dict[str, dict[str, Any]] = {}
        for index, session in enumerate(self._plan.sessions):
            if session.fragments == 1:
                continue
            if session.reflector_ip not in rows:
                with entered(self._netns(session.reflector)):
                    sock = open_udp(session.reflector_ip, DISCARD_PORT)
                self._sockets.append(sock)
                self._read.append((f"messages to {session.reflector}", sock))
                rows[session.reflector_ip] = {"fd": sock.fileno(), "senders": []}
            rows[session.reflector_ip]["senders"].append(_sender(index, session))
        return list(rows.values())

    def _start(self, name: str, job: Mapping[str, Any], fds: Sequence[int]) -> None:
        child = subprocess.Popen(
            [sys.executable, "-m", f"testbed.probes.{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
            env=child_environment(),
        )
        self._children[name] = child
        ids = [session.id for session in self._plan.sessions]
        packets = [session.fragments for session in self._plan.sessions]
        order = {"folder": str(self._folder), "ids": ids, "packets": packets, **job}
        self._tell(name, json.dumps(order))

    def _tell(self, name: str, line: str) -> None:
        stdin = self._children[name].stdin
        assert stdin is not None
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except OSError as error:
            raise self._failure(name) from error

    def _wait_ready(self, name: str) -> None:
        out = self._children[name].stdout
        assert out is not None
        if not select.select([out], [], [], _READY_S)[0] or out.readline() != "ready\n":
            raise self._failure(name)

    def _check(self, *names: str) -> None:
        for name in names:
            if self._children[name].poll() is not None:
                raise self._failure(name)

    def _check_dropped(self) -> None:
        """A packet lost at a probe's own socket is not the network's loss."""
        drops = [f"{n} {what}" for what, sock in self._read if (n := dropped(sock))]
        if drops:
            raise EmulationError(
                "packets reached the probes' sockets and found them full",
                where=", ".join(drops),
                expected="every packet that arrives to be read",
                remedy="send fewer probes a second, or run in the virtual lab",
            )

    def _failure(self, name: str) -> EmulationError:
        child = self._children[name]
        if child.poll() is None:
            child.kill()
        said = child.communicate()[1].strip().splitlines()
        after_s = (time.monotonic_ns() - self._start_ns) / 1e9 if self._start_ns else -1.0
        when = f"after {after_s:.1f} s of traffic" if after_s >= 0 else "before traffic began"
        return EmulationError(
            f"the probe {name} {ended(child.returncode)} {when}",
            where=said[-1] if said else "it left no word",
            expected=f"a process that runs as long as the measurement: {_MEANS[name]}",
        )


def _sender(index: int, session: Session) -> dict[str, Any]:
    """What its receiving end has to know of a session."""
    return {
        "index": index,
        "ip": session.sender_ip,
        "port": session.sender_port,
        "packets": session.fragments,
        "doubled": session.paths[0].protection == "frer",
    }


def _ask_to_end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()  # for one that waits for the start


def _fds(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return [row[key] for row in rows for key in ("fd", "inbound", "outbound") if key in row]
