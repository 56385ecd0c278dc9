"""UDP sockets with kernel timestamps.

The transmit stamp is the SCHED one: taken as the packet enters the first queue, so
a delay holds all the queueing from there. Each interface a packet crosses stamps it
once more, and only a socket's first stamp of a packet (by its id) is of use.
The receive stamp is taken as the packet reaches the host's interface, before any
process is woken.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import socket
import struct
import time

from testbed.errors import EmulationError
from testbed.probes.batches import SO_TIMESTAMPING, SO_TXTIME, TX_SCHED, Inbox, Train, name_of
from testbed.probes.clock import clock_pair

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_MEMINFO, _MEMINFO_DROPS = 55, 8
_RX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 3, 1 << 4, 1 << 7, 1 << 11
_REPORT = _RX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY
_IP_RECVTTL = 12
_BUFFER_BYTES = 16 << 20
_TRIAL_NS, _NEAR_NS = 10_000_000, 1_000_000


def open_udp(
    address: str,
    port: int,
    *,
    tos: int = 0,
    stamp_all: bool = False,
    share: bool = False,
    timed: bool = False,
) -> socket.socket:
    """A UDP socket in the calling thread's namespace. Raises EmulationError.

    Args:
        tos: IP TOS octet of what it sends (DSCP << 2).
        stamp_all: the kernel stamps all it sends; else only what asks for it.
        share: other sockets may bind the same address and port.
        timed: packets may name the moment at which they leave.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    for option, force in (
        (socket.SO_RCVBUF, _SO_RCVBUFFORCE),
        (socket.SO_SNDBUF, _SO_SNDBUFFORCE),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER_BYTES)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _REPORT | (TX_SCHED if stamp_all else 0))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    if share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if timed:
        clock_and_flags = struct.pack("@iI", time.CLOCK_MONOTONIC, 0)
        sock.setsockopt(socket.SOL_SOCKET, SO_TXTIME, clock_and_flags)
    return _bind(sock, address, port)


def keeps_moments() -> bool:
    """Whether the kernel keeps a packet out of the network until the moment it names.

    The lab kernel does (kernel/txtime.c); others leave that to a qdisc, if there is one
    that does. So a packet on the loopback tells: is its stamp, taken as it enters the
    network, of its moment, though it was handed over well before?
    """
    with contextlib.suppress(OSError, EmulationError), open_udp("127.0.0.1", 0, timed=True) as sock:
        name = name_of(*sock.getsockname())
        train = Train((0, name), (b"moment", name), timed=True)
        moment_ns = time.monotonic_ns() + _TRIAL_NS
        train.put(0, 0, b"", moment_ns)
        train.send(sock.fileno(), 1)
        in_time = time.monotonic_ns() < moment_ns - _NEAR_NS
        time.sleep(2 * _TRIAL_NS / 1e9)
        monotonic_ns, realtime_ns, _ = clock_pair()
        stamps = [stamp_ns for _, stamp_ns in Inbox().read_stamps(sock.fileno())]
        kept = bool(stamps) and stamps[0] - realtime_ns > moment_ns - monotonic_ns - _NEAR_NS
        return in_time and kept
    return False


def open_answering_pair(
    address: str, port: int, *, timed: bool = False
) -> tuple[socket.socket, socket.socket]:
    """Two sockets on one port: all packets arrive at the first, answers leave by the second.

    So the transmit stamps of answers wake nobody who waits for requests.
    """
    inbound = open_udp(address, port, share=True)
    outbound = open_udp(address, port, stamp_all=True, share=True, timed=timed)
    first = (ctypes.c_uint16 * 4)(0x06, 0, 0, 0)  # one classic BPF instruction: return 0
    program = _FilterProgram(1, ctypes.addressof(first))
    inbound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, bytes(program))
    return inbound, outbound


def restart_ids(sock: socket.socket) -> None:
    """The kernel numbers the socket's next stamped packet 0."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED | _REPORT & ~_OPT_ID)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED | _REPORT)


def open_sink(address: str, port: int) -> socket.socket:
    """A socket that nobody reads: what arrives is dropped without an ICMP error."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel makes it its minimum
    return _bind(sock, address, port)


def sink_packets(sock: socket.socket) -> int:
    """How many packets reached a sink: those dropped for want of room, and those kept."""
    kept = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(1, socket.MSG_DONTWAIT)
            kept += 1
    return kept + dropped(sock)


def dropped(sock: socket.socket) -> int:
    """Packets that reached a socket and found its buffer full."""
    info = array.array("I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 9 * 4))
    return info[_MEMINFO_DROPS]


def _bind(sock: socket.socket, address: str, port: int) -> socket.socket:
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise EmulationError(
            f"cannot listen on UDP {address}:{port}: {error.strerror}",
            where="probe sockets",
            expected="a free port on an address of the host",
        ) from error
    return sock


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
