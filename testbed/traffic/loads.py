"""Background load of a plan: our own sender for `udp` and `flood`, iperf3 for `tcp`.

    loads = Loads(plan, netns, folder)
    loads.prepare()         servers listen, the sender is ready
    loads.start(start_ns)   returns at once; each load starts at its moment
    loads.stop()            ends all and writes `folder`/loads.json

loads.json is a list, one object a load, rates in bit/s of UDP or TCP payload:

    {"id", "kind", "asked_bps", "sent_bps", "sent_bytes", "received_bytes", "lost_packets",
     "retransmits", "seconds", "first_ns", "last_ns", "ahead_packets", "error", "cut_off_ns"}

What is not known is null: TCP loses no packets for good and says of no packet when it
left, UDP retransmits none, and a load that never ran has an error and no rate. The
times of packets are those of constant.py. `cut_off_ns` is when one of its processes was
killed, from the start of traffic.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testbed.emulation.netns import entered
from testbed.emulation.watch import Watch
from testbed.errors import EmulationError
from testbed.files import write_json
from testbed.plan.model import Load, Plan
from testbed.plan.pacing import rate_by_clock
from testbed.probes.clock import sleep_until
from testbed.probes.sockets import keeps_moments, open_sink, open_udp, sink_packets
from testbed.process import dying_with_caller
from testbed.traffic.kinds import KINDS

_TIMES = ("first_ns", "last_ns", "ahead_packets")
_READY_S = 60.0
_END_S = 5.0


class Loads:
    """Carries out a plan's loads. Raises EmulationError.

    Args:
        netns: an open file descriptor of a host's network namespace.
        folder: where loads.json goes.
        watch: is told of the processes.
    """

    def __init__(
        self,
        plan: Plan,
        netns: Callable[[str], int],
        folder: Path,
        watch: Watch | None = None,
    ) -> None:
        self._netns, self._folder = netns, folder
        self._watch = watch or Watch()
        self._constant = [load for load in plan.loads if not KINDS[load.kind].elastic]
        self._iperfs = [load for load in plan.loads if KINDS[load.kind].elastic]
        self._servers: dict[str, subprocess.Popen[str]] = {}
        self._clients: dict[str, subprocess.Popen[str]] = {}
        self._sender: subprocess.Popen[str] | None = None
        self._sockets: list[socket.socket] = []
        self._sinks: dict[str, socket.socket] = {}
        self._launcher: threading.Thread | None = None
        self._over = threading.Event()
        self._began = False
        self._stopped = False

    def prepare(self) -> None:
        """Open what receives, and start what needs time to start."""
        try:
            for load in self._iperfs:
                self._servers[load.id] = self._spawn(load.dst, _server(load))
                self._watch_iperf(load, "server", self._servers[load.id])
            if self._constant:
                self._prepare_constant()
            for load in self._iperfs:
                self._wait_listening(load)
        except BaseException:
            self._end()
            raise

    def start(self, start_ns: int) -> None:
        """Loads start at their moments after `start_ns` (CLOCK_MONOTONIC)."""
        self._began = True
        if self._sender is not None:
            for load, sock in zip(self._constant, self._sockets, strict=True):
                # a first packet, so that the switches know the flow when it comes in force
                with contextlib.suppress(OSError):  # no way there: the load's row will tell
                    sock.sendto(bytes(load.packet_bytes), (load.dst_ip, load.port))
            assert self._sender.stdin is not None
            try:
                self._sender.stdin.write(f"start {start_ns}\n")
                self._sender.stdin.flush()
            except OSError as error:
                raise EmulationError(
                    "the sender of loads ended before traffic began",
                    where=_last_line(self._sender.communicate(timeout=_END_S)[1]),
                    expected="a process that runs as long as the measurement",
                ) from error
        if self._iperfs:
            self._launcher = threading.Thread(target=self._launch, args=(start_ns,), daemon=True)
            self._launcher.start()

    def stop(self) -> None:
        """End all loads and write what they did. The second time does nothing."""
        if self._stopped:
            return
        self._stopped = True
        rows = self._end()
        write_json(self._folder / "loads.json", rows)

    def _launch(self, start_ns: int) -> None:
        """Start each client at its moment; stay, since they end with the thread they began in."""
        for load in sorted(self._iperfs, key=lambda load: load.start_ns):
            sleep_until(start_ns + load.start_ns)
            if self._over.is_set():
                return
            self._clients[load.id] = self._spawn(load.src, _client(load))
            self._watch_iperf(load, "client", self._clients[load.id])
        self._over.wait()

    def _watch_iperf(self, load: Load, side: str, child: subprocess.Popen[str]) -> None:
        means = f"it sent less than load {load.id} asks"
        self._watch.add(f"its iperf3 {side}", child, means, ends=True, about=[load.id])

    def _prepare_constant(self) -> None:
        rows: list[dict[str, Any]] = []
        timed = any(KINDS[load.kind].timed for load in self._constant) and keeps_moments()
        for load in self._constant:
            with entered(self._netns(load.dst)):
                self._sinks[load.id] = open_sink(load.dst_ip, load.port)
            with entered(self._netns(load.src)):
                own = timed and KINDS[load.kind].timed
                sock = open_udp(load.src_ip, 0, tos=load.dscp << 2, timed=own)
            self._sockets.append(sock)
            rows.append(
                {
                    "id": load.id,
                    "fd": sock.fileno(),
                    "to": load.dst_ip,
                    "port": load.port,
                    "packet_bytes": load.packet_bytes,
                    "rate_bps": load.rate_bps,
                    "start_ns": load.start_ns,
                    "duration_ns": load.duration_ns,
                    "timed": own,
                    "drift_ppb": load.drift_ppb,
                }
            )
        self._sender = _popen(
            [sys.executable, "-m", "testbed.traffic.constant"],
            pass_fds=[row["fd"] for row in rows],
        )
        ids = [load.id for load in self._constant]
        means = f"it sent less than asked: {', '.join(ids)}"
        self._watch.add("the sender of loads", self._sender, means, ends=True, about=ids)
        assert self._sender.stdin is not None
        assert self._sender.stdout is not None
        self._sender.stdin.write(json.dumps({"loads": rows}) + "\n")
        self._sender.stdin.flush()
        out = self._sender.stdout
        if not select.select([out], [], [], _READY_S)[0] or out.readline() != "ready\n":
            raise EmulationError(
                "the sender of loads did not start",
                where=_last_line(self._sender.communicate(timeout=_END_S)[1]),
                expected="a process that says it is ready",
            )

    def _spawn(self, host: str, argv: Sequence[str]) -> subprocess.Popen[str]:
        with entered(self._netns(host)):
            try:
                return _popen(argv)
            except FileNotFoundError as error:
                raise EmulationError(
                    f"{argv[0]} is not installed in the lab",
                    where=f"load on host {host}",
                    expected=f"the program {argv[0]}",
                    remedy="build the lab image again (scripts/setup)",
                ) from error

    def _wait_listening(self, load: Load) -> None:
        """Until the server's port is open; a connection would be taken for the test itself."""
        wanted = f":{load.port:04X} "
        until = time.monotonic() + _READY_S
        with entered(self._netns(load.dst)):
            while time.monotonic() < until and self._servers[load.id].poll() is None:
                for table in ("tcp", "tcp6"):
                    rows = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()
                    if any(wanted in row[:30] and " 0A " in row for row in rows):  # LISTEN
                        return
                time.sleep(0.02)
        raise EmulationError(
            f"iperf3 does not listen for load {load.id!r}",
            where=f"host {load.dst}, port {load.port}",
            expected="a free port",
        )

    def _end(self) -> list[dict[str, Any]]:
        self._over.set()
        for child in (*self._clients.values(), *self._servers.values(), self._sender):
            if child is not None:
                self._watch.forget(child)
        clients = {key: _finish(child) for key, child in self._clients.items()}
        for child in self._servers.values():
            _finish(child)
        said, complained = _finish(self._sender) if self._sender is not None else ("", "")
        if self._launcher is not None:
            self._launcher.join(_END_S)
        rows = [
            iperf_row(load, *clients.get(load.id, ("", "it was not started")))
            for load in self._iperfs
        ]
        sent = json.loads(said) if said.startswith("{") else {}
        why = "it was not started"
        if self._began:
            why = f"its sender ended without a report ({_last_line(complained) or 'no word'})"
        for load in self._constant:
            sink = self._sinks.get(load.id)
            received = max(0, sink_packets(sink) - 1) if sink is not None else 0  # less the first
            rows.append(constant_row(load, sent.get(load.id) or why, received))
        for row in rows:  # a process that was killed is the cause of what the others say
            if (death := self._watch.cause(row["id"])) is not None:
                row |= {"error": str(death), "cut_off_ns": death.at_ns}
        for sock in [*self._sockets, *self._sinks.values()]:
            sock.close()
        self._clients, self._servers, self._sender = {}, {}, None
        self._sockets, self._sinks = [], {}
        return rows


def _server(load: Load) -> list[str]:
    return ["iperf3", "-s", "-1", "-B", load.dst_ip, "-p", str(load.port)]


def _client(load: Load) -> list[str]:
    seconds = max(1, round(load.duration_ns / 1e9))
    argv = ["iperf3", "-c", load.dst_ip, "-B", load.src_ip, "-p", str(load.port), "-J"]
    paced_bps = rate_by_clock(load.rate_bps, load.drift_ppb)
    argv += ["-t", str(seconds), "-b", str(paced_bps), "-l", str(load.packet_bytes)]
    return [*argv, "-S", str(load.dscp << 2), *KINDS[load.kind].options]


def iperf_row(load: Load, said: str, complained: str) -> dict[str, Any]:
    """What iperf3's JSON says of a load, an aborted one included."""
    row = _row(load)
    try:
        report = json.loads(said)
    except ValueError:
        return row | {"error": _last_line(complained) or "iperf3 gave no report"}
    end = report.get("end", {})
    sent = end.get("sum_sent") or {}
    received = end.get("sum_received") or {}
    return row | {
        "sent_bps": sent.get("bits_per_second"),
        "sent_bytes": sent.get("bytes"),
        "received_bytes": received.get("bytes"),
        "retransmits": sent.get("retransmits"),
        "seconds": sent.get("seconds"),
        "error": report.get("error"),
    }


def constant_row(load: Load, sent: dict[str, Any] | str, received: int) -> dict[str, Any]:
    """What a constant-rate load sent (or why that is not known), and how many of its packets
    reached the sink."""
    row = _row(load)
    if isinstance(sent, str):
        return row | {"error": sent}
    seconds = sent["seconds"]
    sent_bytes = sent["packets"] * load.packet_bytes
    return row | {
        "sent_bps": sent_bytes * 8 / seconds if seconds else None,
        "sent_bytes": sent_bytes,
        "received_bytes": received * load.packet_bytes,
        "lost_packets": sent["packets"] - received,
        "seconds": seconds,
        **{name: sent[name] for name in _TIMES},
    }


def _row(load: Load) -> dict[str, Any]:
    unknown = ("sent_bps", "sent_bytes", "received_bytes", "lost_packets", "retransmits")
    return {
        "id": load.id,
        "kind": load.kind,
        "asked_bps": load.rate_bps,
        **dict.fromkeys((*unknown, "seconds", *_TIMES, "error", "cut_off_ns")),
    }


def _popen(argv: Sequence[str], pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        preexec_fn=dying_with_caller(signal.SIGTERM),  # noqa: PLW1509  (iperf3 cannot ask for it itself)
    )


def _finish(child: subprocess.Popen[str]) -> tuple[str, str]:
    """End a process; what it said and complained."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        return child.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:
        child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.communicate(timeout=_END_S)
    return "", "it did not end"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
