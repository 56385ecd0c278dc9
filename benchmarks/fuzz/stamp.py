"""Packets to the STAMP parser, and to a reflector on the loopback interface."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.fuzz import inputs
from benchmarks.fuzz.found import HANG_S, Found, rss
from testbed.probes.stamp import BASE_BYTES, ReflectorPacket, SenderPacket, reply, request_of_size


def stamp(rng: random.Random, count: int) -> bool:
    found = Found("stamp, the parser")
    for _ in range(2 * count // 3):
        packet = _packet(rng)
        found.judge(packet, partial(_parsed, packet, rng))
    good = found.report(2 * count // 3)
    return _reflected(rng, count // 3) and good


def _packet(rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return rng.randbytes(rng.choice((0, 1, 13, 14, 41, 43, 44, 45, 200, 1_472, 9_000)))
    packet = bytes(request_of_size(rng.choice((44, 45, 48, 100, 1_400)), rng.randrange(65_536)))
    tlvs = b"".join(
        struct.pack("!BBH", rng.randrange(256), rng.randrange(256), rng.choice((0, 1, 4, 65_535)))
        for _ in range(rng.randrange(300) if rng.random() < 0.1 else rng.randrange(4))
    )
    packet += tlvs
    return inputs.bent(packet, rng)[:60_000] if rng.random() < 0.6 else packet


def _parsed(packet: bytes, rng: random.Random) -> str:
    ends = []
    now_ns = rng.choice((0, time.time_ns(), 2**62))
    for read in (
        SenderPacket.unpack,
        ReflectorPacket.unpack,
        lambda data: reply(data, seq=None, received_ns=now_ns, sent_ns=now_ns, ttl=255),
    ):
        try:
            read(packet)
            ends.append("read")
        except ValueError:
            ends.append("refused")
    return "/".join(ends)


def _reflected(rng: random.Random, count: int) -> bool:
    """A reflector on the loopback interface, and a sender that goes on through all of it."""
    found = Found("stamp, a reflector")
    with reflector() as (process, port), socket.socket(type=socket.SOCK_DGRAM) as honest:
        first = None
        honest.connect(("127.0.0.1", port))
        honest.settimeout(HANG_S)
        noise = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(50)]
        for n in range(count):
            packet = _packet(rng)
            with contextlib.suppress(OSError):
                rng.choice(noise).sendto(packet, ("127.0.0.1", port))
            if not n % 10:
                found.judge(packet, partial(_answered, honest, n))
            if n == count // 2:
                first = rss(process.pid)
        last = rss(process.pid)
        if process.poll() is not None:
            found.bad.append(f"the reflector ended with {process.returncode}")
        for one in noise:
            one.close()
    print(
        f"  the reflector's memory: {(first or 0) >> 10} KiB half-way, {last >> 10} KiB at the end"
    )
    return found.report(count // 10)


def _answered(honest: socket.socket, number: int) -> str:
    request = request_of_size(BASE_BYTES)
    request[:4] = number.to_bytes(4, "big")
    honest.send(request)
    answer = ReflectorPacket.unpack(honest.recv(9_000))
    return "answered" if answer.sender_seq == number else f"CRASH answered {answer}"


@contextlib.contextmanager
def reflector() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with socket.socket(type=socket.SOCK_DGRAM) as probe_:
        probe_.bind(("127.0.0.1", 0))
        port = probe_.getsockname()[1]
    command = [sys.executable, "-m", "testbed.probes.reflector", "--stateful"]
    command += ["--bind", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process, port
        finally:
            process.terminate()
