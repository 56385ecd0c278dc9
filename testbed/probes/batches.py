"""Many packets a system call: recvmmsg and sendmmsg with preallocated memory.

    Inbox       reads what has arrived, or the transmit stamps of what was sent
    Outbox      sends packets, each with its own destination, TOS and moment
    Train       sends messages of an application, each of one or more packets
    Repeater    sends one packet many times over

A moment is CLOCK_MONOTONIC ns at which the kernel is to let a packet go; it takes a
socket opened with `timed`, and a kernel that does so (sockets.keeps_moments).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any

from testbed.probes.messages import NUMBER, leading_packet

SO_TIMESTAMPING, SO_TXTIME = 37, 61
TX_SCHED = 1 << 8
_IP_RECVERR = 11
_ORIGIN_TIMESTAMPING = 4
_MSG_ERRQUEUE, _MSG_DONTWAIT = 0x2000, 0x40

_libc = ctypes.CDLL(None, use_errno=True)


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


_MESSAGE_BYTES = ctypes.sizeof(_Message)
_RECEIVED = Struct("@40xQ8xI4x")
"""Of a message: bytes of control messages, bytes of payload."""
NAME_BYTES = 16
"""struct sockaddr_in: family, port, address, zeros."""
_CONTROL_BYTES = 128
_CONTROL = Struct("@QII")
_TIME = Struct("@qq")
_ARRIVAL = Struct("@8xIIqq32x8xIIi4x8xIIB7x16x")
"""A slot with SCM_TIMESTAMPING of three times, IP_TTL and IP_TOS, as the kernel lays it out."""
_ARRIVAL_BYTES = 112
_ARRIVAL_KINDS = (
    *(socket.SOL_SOCKET, SO_TIMESTAMPING),
    *(socket.IPPROTO_IP, socket.IP_TTL, socket.IPPROTO_IP, socket.IP_TOS),
)
_STAMP = Struct("@8xIIqq32x8xII4xB3x4xI32x")
"""A slot with SCM_TIMESTAMPING, then IP_RECVERR with struct sock_extended_err."""
_STAMP_BYTES = 96
_STAMP_KINDS = (
    *(socket.SOL_SOCKET, SO_TIMESTAMPING),
    *(socket.IPPROTO_IP, _IP_RECVERR, _ORIGIN_TIMESTAMPING),
)
_OWN_WORD = Struct("@QIIi4x")
"""A control message of one int: TOS, or which stamps are wanted."""
_OWN_MOMENT = Struct("@QIIQ")


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

    def _set_word(self, i: int, level: int, kind: int, word: int) -> None:
        _OWN_WORD.pack_into(self.controls, i * _CONTROL_BYTES, 20, level, kind, word)

    def _set_moment(self, i: int, moment_ns: int) -> None:
        at = i * _CONTROL_BYTES + _OWN_WORD.size
        size = _OWN_MOMENT.size
        _OWN_MOMENT.pack_into(self.controls, at, size, socket.SOL_SOCKET, SO_TXTIME, moment_ns)


def _memory(size: int) -> tuple[memoryview, int]:
    """Zeroed memory that does not move, and its address."""
    block = (ctypes.c_char * max(size, 1))()
    return memoryview(block).cast("B"), ctypes.addressof(block)


class Inbox(_Batch):
    """Reads what has arrived, or the stamps of what was sent."""

    def __init__(self, slots: int = 64, payload_bytes: int = 2048) -> None:
        super().__init__(slots, payload_bytes)
        self._fresh = bytes(self.messages)
        self._raw = memoryview(self.messages).cast("B")

    def read(self, fd: int) -> int:
        """Messages read, without waiting. Raises OSError for what the network reported."""
        return self._read(fd, _MSG_DONTWAIT)

    def read_stamps(self, fd: int) -> Iterator[tuple[int, int]]:
        """(id, time in ns) of every transmit stamp that is waiting; ids may repeat per hop."""
        while count := self._read(fd, _MSG_DONTWAIT | _MSG_ERRQUEUE):
            for (length, _), (level, kind, seconds, ns, elevel, ekind, origin, number) in zip(
                self._received(count),
                _STAMP.iter_unpack(self.controls[: count * _CONTROL_BYTES]),
                strict=True,
            ):
                kinds = (level, kind, elevel, ekind, origin)
                if length >= _STAMP_BYTES and kinds == _STAMP_KINDS:
                    yield number, seconds * 1_000_000_000 + ns
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

    def _received(self, count: int) -> Iterator[tuple[int, int]]:
        return _RECEIVED.iter_unpack(self._raw[: count * _MESSAGE_BYTES])

    def size(self, i: int) -> int:
        size: int = self.messages[i].size
        return min(size, self.payload_bytes)

    def arrivals(self, count: int) -> Iterator[tuple[int, int, int, int]]:
        """(size, receive stamp in ns, TOS, TTL) of the first messages."""
        most = self.payload_bytes
        for i, ((length, size), (l1, k1, seconds, ns, l2, k2, ttl, l3, k3, tos)) in enumerate(
            zip(
                self._received(count),
                _ARRIVAL.iter_unpack(self.controls[: count * _CONTROL_BYTES]),
                strict=True,
            )
        ):
            if length == _ARRIVAL_BYTES and (l1, k1, l2, k2, l3, k3) == _ARRIVAL_KINDS:
                yield min(size, most), seconds * 1_000_000_000 + ns, tos, ttl
            else:
                yield min(size, most), *self.arrival(i)

    def arrival(self, i: int) -> tuple[int, int, int]:
        """(receive stamp in ns, TOS, TTL) of message i, in whatever order the kernel put them."""
        time_ns = tos = ttl = 0
        for level, kind, at in self._controls(i):
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING:
                seconds, ns = _TIME.unpack_from(self.controls, at)
                time_ns = seconds * 1_000_000_000 + ns
            elif level == socket.IPPROTO_IP and kind == socket.IP_TOS:
                tos = self.controls[at]
            elif level == socket.IPPROTO_IP and kind == socket.IP_TTL:
                ttl = self.controls[at]
        return time_ns, tos, ttl

    def _controls(self, i: int) -> Iterator[tuple[int, int, int]]:
        at = i * _CONTROL_BYTES
        end = at + self.messages[i].control_length
        while at + _CONTROL.size <= end:
            length, level, kind = _CONTROL.unpack_from(self.controls, at)
            yield level, kind, at + _CONTROL.size
            at += (length + 7) & ~7


class Outbox(_Batch):
    """Sends many packets, each with its own destination, TOS and, if `timed`, moment."""

    def __init__(self, slots: int = 64, payload_bytes: int = 2048, *, timed: bool = False) -> None:
        super().__init__(slots, payload_bytes)
        for i in range(slots):
            self.messages[i].control_length = _OWN_WORD.size + timed * _OWN_MOMENT.size

    def put(
        self,
        i: int,
        payload: bytes | bytearray,
        name: bytes | memoryview,
        tos: int,
        moment_ns: int = 0,
    ) -> None:
        self.payload(i, len(payload))[:] = payload
        self._vectors[i].length = len(payload)
        self.name(i)[:] = name
        self._set_word(i, socket.IPPROTO_IP, socket.IP_TOS, tos)
        self._set_moment(i, moment_ns)

    def send(self, fd: int, count: int, first: int = 0) -> int:
        """How many from `first` on, of the first `count`, the kernel took before it refused one."""
        return _send(fd, self.messages, first, count - first)


class Train(_Batch):
    """Messages of an application: packets sent back to back, the first one stamped.

    Args:
        lead: size and destination of a message's packets but its last; their payloads say
            which packet of which message they are (messages.py).
        last: payload and destination of its last packet, message by message its own.
        packets: of one message.
        most: messages sent with one call.
        timed: each message has a moment.
    """

    def __init__(
        self,
        lead: tuple[int, bytes],
        last: tuple[bytes | bytearray, bytes],
        *,
        packets: int = 1,
        most: int = 1,
        timed: bool = False,
    ) -> None:
        super().__init__(most, len(last[0]))
        self.most, self._packets = most, packets
        for i in range(most):
            self.payload(i, len(last[0]))[:] = last[0]
            self.name(i)[:] = last[1]
            self._set_word(i, socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED)
        moment_bytes = timed * _OWN_MOMENT.size
        leading = _Leading(lead[0], lead[1], most, packets - 1)
        self._numbers, self._leading = leading.numbers, leading
        self._all = (_Message * (most * packets))()
        for i, message in enumerate(self.messages):
            for k in range(packets):
                packet = _Message.from_buffer_copy(message)
                if k < packets - 1:
                    leading.fill(packet, i, k)
                packet.control_length = _OWN_WORD.size + moment_bytes
                if k > 0:  # its moment alone
                    packet.control += _OWN_WORD.size
                    packet.control_length = moment_bytes
                self._all[i * packets + k] = packet

    def put(self, i: int, number: int, head: bytes, moment_ns: int = 0) -> None:
        """Message i has this number, and begins its last packet with `head`."""
        self.payload(i, len(head))[:] = head
        NUMBER.pack_into(self._numbers, i * NUMBER.size, number & 0xFFFF_FFFF)
        self._set_moment(i, moment_ns)

    def send(self, fd: int, count: int) -> list[bool]:
        """Of each of the first `count` messages, whether the kernel took all its packets."""
        taken = [True] * count
        at, packets = 0, self._packets
        while at < count:
            at += _send(fd, self._all, at * packets, (count - at) * packets) // packets
            if at < count:  # one that is refused keeps none of those after it
                taken[at] = False
                at += 1
        return taken


class _Leading:
    """Payloads of leading packets, in two parts: the number is the message's, the rest the
    index's, so that one write numbers all packets of a message."""

    def __init__(self, size_bytes: int, name: bytes, messages: int, packets: int) -> None:
        self.numbers, self._numbers_at = _memory(messages * NUMBER.size)
        self._rest_bytes = max(0, size_bytes - NUMBER.size)
        self._rests, self._rests_at = _memory(packets * self._rest_bytes)
        self._name, self._name_at = _memory(NAME_BYTES)
        self._name[:] = name
        self._packets = packets
        self._vectors = (_IoVec * (2 * messages * packets))()
        for k in range(packets):
            rest = leading_packet(0, k, size_bytes)[NUMBER.size :]
            self._rests[k * self._rest_bytes : (k + 1) * self._rest_bytes] = rest

    def fill(self, packet: _Message, i: int, k: int) -> None:
        """Make it packet k of message i."""
        at = 2 * (i * self._packets + k)
        number, rest = self._vectors[at], self._vectors[at + 1]
        number.base, number.length = self._numbers_at + i * NUMBER.size, NUMBER.size
        rest.base, rest.length = self._rests_at + k * self._rest_bytes, self._rest_bytes
        packet.name, packet.vector, packet.vectors = self._name_at, ctypes.pointer(number), 2


class Repeater(_Batch):
    """The same packet many times over, if `timed` each with its moment; `most` a call."""

    def __init__(self, payload: bytes, name: bytes, most: int, *, timed: bool = False) -> None:
        super().__init__(most if timed else 1, len(payload))
        self._timed = timed
        self.payload(0, len(payload))[:] = payload
        self.name(0)[:] = name
        self._plain, self._stamped = (_Message * most)(), (_Message * most)()
        for i in range(most):
            slot = i if timed else 0
            self._set_word(slot, socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED)
            message = self.messages[0]
            message.control = self._controls_at + slot * _CONTROL_BYTES
            message.control_length = _OWN_WORD.size + timed * _OWN_MOMENT.size
            self._stamped[i] = message
            message.control += _OWN_WORD.size  # its moment alone
            message.control_length = timed * _OWN_MOMENT.size
            self._plain[i] = message

    def send(
        self, fd: int, count: int, moments: Sequence[int] = (), *, stamped: bool = False
    ) -> int:
        """How many of `count` the kernel took; it stamps each as it leaves, if `stamped`."""
        for i, moment_ns in enumerate(moments):
            self._set_moment(i, moment_ns)
        return _send(fd, self._stamped if stamped else self._plain, 0, count)


def _send(fd: int, messages: Any, first: int, count: int) -> int:
    """How many messages from `first` on the kernel took, of `count` at most."""
    done = 0
    while done < count:  # the kernel takes 1024 a call at most
        at = ctypes.byref(messages, (first + done) * _MESSAGE_BYTES)
        sent: int = _libc.sendmmsg(fd, at, count - done, _MSG_DONTWAIT)
        if sent <= 0:
            break
        done += sent
    return done
