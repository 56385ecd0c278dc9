"""UDP sockets with kernel timestamps, many packets a system call.

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
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any

from testbed.errors import EmulationError

_SO_TIMESTAMPING, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 37, 32, 33
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_MEMINFO, _MEMINFO_DROPS = 55, 8
_TX_SCHED, _RX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 8, 1 << 3, 1 << 4, 1 << 7, 1 << 11
_REPORT = _RX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY
_MSG_ERRQUEUE, _MSG_DONTWAIT = 0x2000, 0x40
_ORIGIN_TIMESTAMPING = 4
_BUFFER_BYTES = 16 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def open_udp(
    address: str, port: int, *, tos: int = 0, stamp_all: bool = False, share: bool = False
) -> socket.socket:
    """A UDP socket in the calling thread's namespace. Raises EmulationError.

    Args:
        tos: IP TOS octet of what it sends (DSCP << 2).
        stamp_all: the kernel stamps all it sends; else only what asks for it.
        share: other sockets may bind the same address and port.
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
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _REPORT | (_TX_SCHED if stamp_all else 0))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    if share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _bind(sock, address, port)


_IP_RECVERR, _IP_RECVTTL = 11, 12


def open_answering_pair(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Two sockets on one port: all packets arrive at the first, answers leave by the second.

    So the transmit stamps of answers wake nobody who waits for requests.
    """
    inbound = open_udp(address, port, share=True)
    outbound = open_udp(address, port, stamp_all=True, share=True)
    first = (ctypes.c_uint16 * 4)(0x06, 0, 0, 0)  # one classic BPF instruction: return 0
    program = _FilterProgram(1, ctypes.addressof(first))
    inbound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, bytes(program))
    return inbound, outbound


def restart_ids(sock: socket.socket) -> None:
    """The kernel numbers the socket's next stamped packet 0."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SCHED | _REPORT & ~_OPT_ID)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SCHED | _REPORT)


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
    info = array.array("I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 9 * 4))
    return kept + info[_MEMINFO_DROPS]


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


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.POINTER(_IoVec)),
        ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_size_t),  # an int and its padding
        ("size", ctypes.c_uint),
    )


NAME_BYTES = 16
"""struct sockaddr_in: family, port, address, zeros."""
_CONTROL_BYTES = 256
_CONTROL = Struct("@QII")
_TIME = Struct("@qq")
_STAMP = Struct("@8xIIqq32x8xII4xB3x4xI")
"""SCM_TIMESTAMPING of three times, then IP_RECVERR with struct sock_extended_err."""
_OWN_TOS = Struct("@QIIi4x")
_OWN_STAMP = Struct("@QIII4x")


def name_of(address: str, port: int) -> bytes:
    """struct sockaddr_in of an address."""
    family = socket.AF_INET.to_bytes(2, "little")
    return family + port.to_bytes(2, "big") + socket.inet_aton(address) + bytes(8)


class _Batch:
    """Preallocated messages for one system call; buffers stay where they are."""

    def __init__(self, slots: int, payload_bytes: int) -> None:
        self.slots, self.payload_bytes = slots, payload_bytes
        self.messages = (_Message * slots)()
        self._vectors = (_IoVec * slots)()
        self.names, self._names_at = _memory(slots * NAME_BYTES)
        self.data, self._data_at = _memory(slots * payload_bytes)
        self.controls, self._controls_at = _memory(slots * _CONTROL_BYTES)
        for i, (message, vector) in enumerate(zip(self.messages, self._vectors, strict=True)):
            vector.base = self._data_at + i * payload_bytes
            vector.length = payload_bytes
            message.name = self._names_at + i * NAME_BYTES
            message.name_length = NAME_BYTES
            message.vector = ctypes.pointer(vector)
            message.vectors = 1
            message.control = self._controls_at + i * _CONTROL_BYTES
            message.control_length = _CONTROL_BYTES

    def payload(self, i: int, size: int) -> memoryview:
        return self.data[i * self.payload_bytes : i * self.payload_bytes + size]

    def name(self, i: int) -> memoryview:
        return self.names[i * NAME_BYTES : (i + 1) * NAME_BYTES]


def _memory(size: int) -> tuple[memoryview, int]:
    """Zeroed memory that does not move, and its address."""
    block = (ctypes.c_char * max(size, 1))()
    return memoryview(block).cast("B"), ctypes.addressof(block)


class Inbox(_Batch):
    """Reads what has arrived, or the stamps of what was sent."""

    def __init__(self, slots: int = 64, payload_bytes: int = 2048) -> None:
        super().__init__(slots, payload_bytes)
        self._fresh = bytes(self.messages)

    def read(self, fd: int) -> int:
        """Messages read, without waiting. Raises OSError for what the network reported."""
        return self._read(fd, _MSG_DONTWAIT)

    def read_stamps(self, fd: int) -> Iterator[tuple[int, int]]:
        """(id, time in ns) of every transmit stamp that is waiting; ids repeat per hop."""
        while count := self._read(fd, _MSG_DONTWAIT | _MSG_ERRQUEUE):
            for i in range(count):
                found = self._stamp(i)
                if found is not None:
                    yield found
            if count < self.slots:
                return

    def _read(self, fd: int, flags: int) -> int:
        ctypes.memmove(self.messages, self._fresh, len(self._fresh))
        count: int = _libc.recvmmsg(fd, self.messages, self.slots, flags, None)
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))

    def size(self, i: int) -> int:
        size: int = self.messages[i].size
        return min(size, self.payload_bytes)

    def arrival(self, i: int) -> tuple[int, int, int]:
        """(receive stamp in ns, TOS, TTL) of message i."""
        time_ns = tos = ttl = 0
        for level, kind, at in self._controls(i):
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                seconds, ns = _TIME.unpack_from(self.controls, at)
                time_ns = seconds * 1_000_000_000 + ns
            elif level == socket.IPPROTO_IP and kind == socket.IP_TOS:
                tos = self.controls[at]
            elif level == socket.IPPROTO_IP and kind == socket.IP_TTL:
                ttl = self.controls[at]
        return time_ns, tos, ttl

    def _stamp(self, i: int) -> tuple[int, int] | None:
        """(id, time) of a transmit stamp, laid out as the kernel does: time, then error."""
        if self.messages[i].control_length < _STAMP.size:
            return None
        level, kind, seconds, ns, elevel, ekind, origin, number = _STAMP.unpack_from(
            self.controls, i * _CONTROL_BYTES
        )
        if (level, kind) != (socket.SOL_SOCKET, _SO_TIMESTAMPING):
            return None
        if (elevel, ekind, origin) != (socket.IPPROTO_IP, _IP_RECVERR, _ORIGIN_TIMESTAMPING):
            return None
        return number, seconds * 1_000_000_000 + ns

    def _controls(self, i: int) -> Iterator[tuple[int, int, int]]:
        at = i * _CONTROL_BYTES
        end = at + self.messages[i].control_length
        while at + _CONTROL.size <= end:
            length, level, kind = _CONTROL.unpack_from(self.controls, at)
            yield level, kind, at + _CONTROL.size
            at += (length + 7) & ~7


class Outbox(_Batch):
    """Sends many packets, each with its own destination and TOS."""

    def __init__(self, slots: int = 64, payload_bytes: int = 2048) -> None:
        super().__init__(slots, payload_bytes)
        for i in range(slots):
            self.messages[i].control_length = _OWN_TOS.size

    def put(self, i: int, payload: bytes | bytearray, name: bytes | memoryview, tos: int) -> None:
        self.payload(i, len(payload))[:] = payload
        self._vectors[i].length = len(payload)
        self.name(i)[:] = name
        _OWN_TOS.pack_into(
            self.controls, i * _CONTROL_BYTES, 20, socket.IPPROTO_IP, socket.IP_TOS, tos
        )

    def send(self, fd: int, count: int) -> int:
        """How many of the first `count` the kernel took; the rest it refused."""
        return _send(fd, self.messages, count)


class Train(_Batch):
    """One message of an application: packets sent back to back, the last one stamped.

    `packets` are (payload, destination) in order; the last payload may be rewritten
    in place through `last` between sends.
    """

    def __init__(self, packets: Sequence[tuple[bytes | bytearray, bytes]]) -> None:
        largest = max(len(payload) for payload, _ in packets)
        super().__init__(2, largest)
        # all packets but the last are alike: they share one buffer
        for i, (payload, name) in enumerate((packets[0], packets[-1])):
            self.payload(i, len(payload))[:] = payload
            self.name(i)[:] = name
            self._vectors[i].length = len(payload)
            self.messages[i].control_length = 0
        self.last = self.payload(1, len(packets[-1][0]))
        stamped = self.messages[1]
        stamped.control_length = _OWN_STAMP.size
        _OWN_STAMP.pack_into(
            self.controls, _CONTROL_BYTES, 20, socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SCHED
        )
        self._count = len(packets)
        self._all = (_Message * self._count)(*[self.messages[0]] * (self._count - 1), stamped)

    def send(self, fd: int) -> bool:
        """False if the kernel refused the stamped packet, or one before it."""
        return _send(fd, self._all, self._count) == self._count


class Repeater(_Batch):
    """The same packet many times over."""

    def __init__(self, payload: bytes, name: bytes, most: int) -> None:
        super().__init__(1, len(payload))
        self.payload(0, len(payload))[:] = payload
        self.name(0)[:] = name
        self.messages[0].control_length = 0
        self._all = (_Message * most)(*[self.messages[0]] * most)

    def send(self, fd: int, count: int) -> int:
        """How many of `count` the kernel took."""
        return _send(fd, self._all, count)


def _send(fd: int, messages: Any, count: int) -> int:
    sent: int = _libc.sendmmsg(fd, messages, count, _MSG_DONTWAIT)
    return max(sent, 0)
