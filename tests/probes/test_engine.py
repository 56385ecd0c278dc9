"""The whole engine on loopback: real sockets, kernel stamps and processes, no lab."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from scapy.contrib.stamp import (
    STAMPSessionReflectorTestUnauthenticated as ScapyReply,
)
from scapy.contrib.stamp import (
    STAMPSessionSenderTestUnauthenticated as ScapyRequest,
)
from scapy.contrib.stamp import (
    STAMPTestTLV,
)

from testbed.errors import EmulationError
from testbed.plan.model import Plan
from testbed.probes import engine as engine_module
from testbed.probes.arrivals import MISSING
from testbed.probes.engine import SAMPLES, ProbeEngine, ahead_ns
from testbed.probes.samples import read_samples
from testbed.probes.schedule import grace_ns
from tests.probes.plans import A_IP, B_IP, MS, plan, session


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts' namespaces are the test's own."""
    monkeypatch.setattr(engine_module, "entered", lambda _fd: nullcontext())
    monkeypatch.setattr(engine_module, "DISCARD_PORT", 20_009)


def measure(run: ProbeEngine, start_ns: int) -> None:
    run.start(start_ns)
    run.finish()


def engine(what: Plan, folder: Path) -> ProbeEngine:
    return ProbeEngine(what, lambda _host: -1, folder)


@pytest.mark.usefixtures("here")
def test_three_sessions_are_measured(tmp_path: Path) -> None:
    sessions = (
        session("small", size_bytes=44, sender_port=20_001),
        session("poisson", sender_port=20_002, dscp=10, arrivals="poisson", seed=3),
        session("message", sender_port=20_003, fragments=3, fragment_bytes=1400),
    )
    run = engine(plan(*sessions), tmp_path)
    run.prepare()
    measure(run, time.monotonic_ns() + 50 * MS)
    for wanted in sessions:
        table = read_samples(tmp_path / SAMPLES, wanted.id)
        assert len(table) == wanted.count
        assert table["received"].all()
        assert set(table["tos_forward"]) == set(table["tos_reverse"]) == {wanted.dscp << 2}
        assert set(table["copies_forward"]) == set(table["copies_reverse"]) == {1}
        for column in ("forward_ns", "reverse_ns", "schedule_error_ns"):
            assert MISSING not in table[column]
            assert (table[column] >= 0).all()
        assert np.median(table["rtt_ns"]) < 5 * MS
        assert (table["forward_intended_ns"] >= table["forward_ns"]).all()
    assert set(np.diff(read_samples(tmp_path / SAMPLES, "small")["intended_ns"])) == {2 * MS}


@pytest.mark.usefixtures("here")
def test_nobody_answers(tmp_path: Path) -> None:
    """Packets to another port of the reflector's host are lost forward."""
    lost = session("lost")
    run = engine(plan(lost), tmp_path)
    run._open_reflectors = lambda: []  # type: ignore[method-assign]
    run.prepare()
    measure(run, time.monotonic_ns())
    table = read_samples(tmp_path / SAMPLES, "lost")
    assert table["lost_forward"].all()
    assert not table["not_sent"].any()


@pytest.mark.usefixtures("here")
def test_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((A_IP, 20_001))
        with pytest.raises(EmulationError, match=f"{A_IP}:20001"):
            engine(plan(session("s")), tmp_path).prepare()


@pytest.mark.usefixtures("here")
def test_closing_early_keeps_what_was_measured(tmp_path: Path) -> None:
    run = engine(plan(session("long", count=100_000)), tmp_path)
    run.prepare()
    sender = run._children["sender"]
    assert sender.stdin is not None
    sender.stdin.write(f"start {time.monotonic_ns()}\n")
    sender.stdin.flush()
    time.sleep(0.5)
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < 2
    table = read_samples(tmp_path / SAMPLES, "long")
    assert 50 < len(table) < 100_000
    assert table["received"][:20].all()
    assert not (table["lost_forward"] | table["lost_reverse"]).any()  # none had its time


@pytest.mark.usefixtures("here")
def test_dead_reflector_ends_the_run(tmp_path: Path) -> None:
    run = engine(plan(session("s", count=100_000)), tmp_path)
    run.prepare()
    run._children["reflector"].kill()
    run._children["reflector"].wait()
    with pytest.raises(EmulationError, match="probe reflector was ended by SIGKILL"):
        measure(run, time.monotonic_ns())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["sender", "receiver"])
def test_a_dead_process_is_named(tmp_path: Path, name: str) -> None:
    """The sender is told the start through a pipe that nobody reads any more."""
    run = engine(plan(session("s", count=100_000)), tmp_path)
    run.prepare()
    run._children[name].kill()
    run._children[name].wait()
    with pytest.raises(EmulationError, match=f"probe {name} "):
        measure(run, time.monotonic_ns())


@pytest.mark.usefixtures("here")
def test_a_full_socket_is_not_the_networks_loss(tmp_path: Path) -> None:
    run = engine(plan(session("s", count=400, interval_ns=MS)), tmp_path)
    run.prepare()
    reflector = run._children["reflector"]
    for what, sock in run._read:
        if what == "requests to b":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    reflector.send_signal(signal.SIGSTOP)
    threading.Timer(1, reflector.send_signal, [signal.SIGCONT]).start()
    with pytest.raises(EmulationError, match="found them full") as caught:
        measure(run, time.monotonic_ns())
    assert "requests to b" in caught.value.where
    assert read_samples(tmp_path / SAMPLES, "s")["lost_forward"].any()  # kept, and doubted


PARENT = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
from testbed.probes import engine
from tests.probes.plans import plan, session
engine.entered = lambda fd: nullcontext()
run = engine.ProbeEngine(plan(session("s", count=100000)), lambda host: -1, Path(sys.argv[1]))
run.prepare()
print(*(child.pid for child in run._children.values()), flush=True)
run.start(time.monotonic_ns())
run.finish()
"""


def test_processes_die_with_their_parent(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in pids if alive(pid)] == []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_grace() -> None:
    assert grace_ns([session("s", deadline_ns=None)]) == 1000 * MS
    assert grace_ns([session("s"), session("t", deadline_ns=900 * MS)]) == 1800 * MS
    assert grace_ns([session("s", deadline_ns=60_000 * MS)]) == 5000 * MS


def test_what_waits_in_a_socket_has_room() -> None:
    small = session("s", interval_ns=MS)
    frames = session("f", interval_ns=16 * MS, size_bytes=1448, fragments=350, fragment_bytes=1448)
    assert ahead_ns([small]) == 100 * MS
    assert 0 < ahead_ns([small, frames]) < 100 * MS
    waiting = 2 * ahead_ns([frames]) / frames.interval_ns * 350
    assert waiting * 2304 < 32 << 20  # buffers of packets that size; the kernel doubles the option


@contextmanager
def alone(module: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", module, *argv], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "answering" in process.stdout.readline()
            yield process
        finally:
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(10) == 0


def test_standalone_reflector_answers_other_peoples_packets() -> None:
    request = bytes(
        ScapyRequest(
            seq=7,
            ssid=9,
            tlv_objects=[
                STAMPTestTLV(flags=0x80, type=1, len=4, value=b"pads"),
                STAMPTestTLV(flags=0x80, type=200, len=1, value=b"?"),
            ],
        )
    )
    with (
        alone("testbed.probes.reflector", "--bind", B_IP, "--port", "20863"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x28)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        client.connect((B_IP, 20_863))
        client.send(request)
        data, control, _, _ = client.recvmsg(2000, 100)
        assert len(data) == len(request)
        assert control[0][2][:1] == b"\x28"
        reply = ScapyReply(data)
        assert (reply.seq, reply.seq_sender, reply.ssid) == (7, 7, 9)
        assert [tlv.flags.value for tlv in reply.tlv_objects] == [0, 0x80]
        assert abs(reply.ts_rx - 2_208_988_800 - time.time()) < 5
        for size in (14, 41, 43, 100):  # TWAMP-Light, with any padding
            client.send(b"\0\0\0\5" + bytes(8) + b"\0\1" + os.urandom(size - 14))
            assert len(client.recv(2000)) == max(size, 41)


def test_standalone_sender_prints_a_summary() -> None:
    argv = ["--to", B_IP, "--port", "20864", "--count", "20", "--interval", "2 ms"]
    with alone("testbed.probes.reflector", "--bind", B_IP, "--port", "20864"):
        done = subprocess.run(
            [sys.executable, "-m", "testbed.probes.sender", *argv, "--size", "60 B"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "20 sent, 20 replied, 0 lost" in done.stdout
    assert "rtt" in done.stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--to", B_IP, "--interval", "5"], "no unit"),
        (["--to", B_IP, "--size", "10 B"], "44 to 9216 B"),
        (["--to", B_IP, "--interval", "0 s"], "more than nothing"),
        (["--to", B_IP, "--port", "99999"], "1 to 65535"),
        (["--to", "nosuchhost"], "no IPv4 address"),
        (["--to", B_IP, "--source", "192.0.2.1"], "cannot listen on UDP 192.0.2.1"),
    ],
)
def test_standalone_sender_refuses_politely(argv: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.probes.sender", *argv],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
