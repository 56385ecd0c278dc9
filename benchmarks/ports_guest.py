"""Sends the cases' packets through a chain of switches, in a lab; leaves what it saw in /results.

    in --- s1 ==port==> s2 ==port==> ... s10 --- out

    python3 -m benchmarks.ports_guest /results

Reads cases.json. Leaves <n>-in.pcap, <n>-out.pcap and <n>.json (each port's options and
counters) for every case. Between the two taps are only Open vSwitch and the ports.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.ports_cases import Case
from testbed.emulation import netlink as nl
from testbed.emulation.lab_qdisc import KIND, decode, encode, statistics
from testbed.emulation.ovs import Bridge, start_ovs
from testbed.port.background import Background
from testbed.port.pipeline import Pipeline

SWITCHES = 10
LEAD_NS = 20_000_000
WARMING = 0xFFFFFFFF
HANDLE = 0x10000
ROOT = 0xFFFFFFFF
TCMSG = struct.Struct("=BxHiIII")
RTM_DELQDISC = 37
PR_SET_TIMERSLACK = 29
SO_SNDBUFFORCE = 32

_libc = ctypes.CDLL(None, use_errno=True)


def main(job: Path) -> None:
    todo = msgspec.json.decode((job / "cases.json").read_bytes(), type=list[Case])
    _libc.prctl(PR_SET_TIMERSLACK, 1)
    make_links()
    ovs = start_ovs(Path("/run/ports"))
    ovs.add_bridges(
        [Bridge(f"s{n}", n, ((f"w{n}", 1), (f"e{n}", 2))) for n in range(1, SWITCHES + 1)]
    )
    for n in range(1, SWITCHES + 1):
        make_flows(n)
    ovs.wait_ready()
    with nl.Netlink() as link:
        for number, case in enumerate(todo):
            run(job, number, case, link)
            print(case.name, flush=True)
    (job / "done.json").write_text('{"status": "ok"}')


def make_links() -> None:
    pairs = [("in", "w1"), *((f"e{n}", f"w{n + 1}") for n in range(1, SWITCHES))]
    pairs.append((f"e{SWITCHES}", "out"))
    script = []
    for a, b in pairs:
        script.append(f"link add {a} type veth peer name {b}")
        script += [f"link set {name} up arp off" for name in (a, b)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script), text=True, check=True)


def make_flows(n: int) -> None:
    rules = [f"in_port=1,ip,nw_tos={q << 5},actions=set_queue:{q},output:2" for q in range(8)]
    subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow13", "add-flows", f"s{n}", "-"],
        input="\n".join(rules),
        text=True,
        check=True,
    )


def run(job: Path, number: int, case: Case, link: nl.Netlink) -> None:
    chain = [socket.if_nametoindex(f"e{n}") for n in range(1, case.hops + 1)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 28)
        raw.bind(("in", 0))
        for queue in range(8):  # before there is anything to wait in
            raw.send(frame(WARMING, 64, queue))
        time.sleep(0.1)
        options = encode(with_background(case))
        replace = nl.CREATE | nl.REPLACE
        link.do(nl.Request(nl.RTM_NEWQDISC, replace, tc(i, options), "a port") for i in chain)
        taps = [tap(job / f"{number}-{side}.pcap", side) for side in ("in", "out")]
        send(raw, case)
        time.sleep(2)  # the last packet is out, and tcpdump has been given its last block
        for process in taps:
            process.terminate()
            process.wait()
    ports = read(link)
    seen = [ports[index] for index in chain]
    real_ns = time.time_ns() - time.monotonic_ns()  # nothing passes between the two in a lab
    (job / f"{number}.json").write_bytes(msgspec.json.encode({"ports": seen, "real_ns": real_ns}))
    link.do(nl.Request(RTM_DELQDISC, 0, tc(i, b""), "a port's end") for i in chain)


def with_background(case: Case) -> Pipeline:
    """The case's port, its background beginning now and ending after the last packet."""
    now = time.monotonic_ns()
    *_, (last, _, _) = case.offered()
    sources = tuple(
        msgspec.structs.replace(source, start_ns=now + 1, stop_ns=now + last + 10 * LEAD_NS)
        for source in case.port.sources
    )
    return case.port.having(Background(sources=sources)) if sources else case.port


def tc(index: int, options: bytes) -> bytes:
    head = TCMSG.pack(0, 0, index, HANDLE, ROOT, 0)
    return head + nl.text(1, KIND) + nl.attr(2, options) if options else head


def read(link: nl.Netlink) -> dict[int, dict[str, object]]:
    """Options and counters of all ports, by interface."""
    ports = {}
    for data in link.dump(nl.RTM_GETQDISC, TCMSG.pack(0, 0, 0, 0, 0, 0)):
        found = nl.attrs(data[TCMSG.size :])
        if found[1] == KIND.encode() + b"\0":
            index = TCMSG.unpack_from(data)[2]
            ports[index] = {"port": decode(found[2]), "queues": statistics(found[7])}
    return ports


def tap(path: Path, side: str) -> subprocess.Popen[bytes]:
    nano = "--time-stamp-precision=nano"
    process = subprocess.Popen(
        ["tcpdump", "-Z", "root", "-i", side, "-w", str(path), "-s", "64", "-B", "65536", nano],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"listening" not in (line := process.stderr.readline()):
        if not line:
            raise SystemExit("tcpdump does not start")
    return process


def frame(number: int, size: int, queue: int) -> bytes:
    """An Ethernet frame of `size` bytes that tells its number, and its queue by DSCP."""
    ends = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    ip = struct.pack("!BBHHHBBH", 0x45, queue << 5, size - 14, 0, 0, 64, 17, 0) + ends
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
    udp = struct.pack("!HHHHI", 5000, 9, size - 34, 0, number)
    ethernet = bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0])
    return (ethernet + ip + udp).ljust(size, b"\0")


class Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


def send(raw: socket.socket, case: Case) -> None:
    packets = [(at, frame(n, size, queue)) for n, (at, size, queue) in enumerate(case.offered())]
    start = time.monotonic_ns() + LEAD_NS
    when = Timespec()
    reference = ctypes.byref(when)
    sleep = _libc.clock_nanosleep
    for at, data in packets:
        when.s, when.ns = divmod(start + at, 10**9)
        sleep(1, 1, reference, None)
        raw.send(data)


if __name__ == "__main__":
    os.umask(0o022)
    main(Path(sys.argv[1]))
