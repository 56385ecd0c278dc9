"""Batched netlink: many requests in one system call, their errors read together.

A request is bytes that name their object by interface index. The kernel works a
datagram of requests through in order, reports every failure, and confirms only
the last, so building a network costs a few system calls instead of a process per
command. Wire format: linux/netlink.h and linux/rtnetlink.h.

`pyroute2` would do the same and needs seconds to import in a lab kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from testbed.errors import EmulationError

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR = 20
RTM_NEWROUTE = 24
RTM_NEWNEIGH = 28
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTCLASS, RTM_GETTCLASS = 40, 42
RTM_NEWTFILTER, RTM_GETTFILTER = 44, 46

REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
_REQUEST, _MULTI, _ACK, _DUMP = 0x1, 0x2, 0x4, 0x300
_ERROR_TEXT = 0x200
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_CHUNK_BYTES = 32 * 1024
_ANSWER_S = 60
_CHUNK_REQUESTS = 128
"""The answers to one datagram fit in the default receive buffer, even if all are refused."""

HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")


class Request(NamedTuple):
    """One netlink message, and what to call it when the kernel refuses it."""

    kind: int
    flags: int
    body: bytes
    about: str


class Refused(NamedTuple):
    """A request the kernel refused, with the kernel's own words."""

    about: str
    code: int
    text: str

    def __str__(self) -> str:
        words = os.strerror(self.code)
        return f"{self.text} ({words})" if self.text else words


def attr(kind: int, value: bytes) -> bytes:
    """One attribute: length, kind, value, padded to four bytes."""
    return _ATTR.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def nest(kind: int, *attrs: bytes) -> bytes:
    return attr(kind, b"".join(attrs))


def attrs(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by kind."""
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTR.unpack_from(data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def message(request: Request, seq: int = 0, extra_flags: int = 0) -> bytes:
    return (
        HEADER.pack(
            HEADER.size + len(request.body),
            request.kind,
            request.flags | _REQUEST | extra_flags,
            seq,
            0,
        )
        + request.body
    )


class Netlink:
    """A netlink socket of the network namespace the thread is in when it is made."""

    def __init__(self, protocol: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.bind((0, 0))
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.settimeout(_ANSWER_S)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refusals(self, requests: Iterable[Request]) -> list[Refused]:
        """Carry out the requests in order; which of them the kernel refused."""
        refused: list[Refused] = []
        chunk: list[Request] = []
        size = 0
        for request in requests:
            if size > _CHUNK_BYTES or len(chunk) == _CHUNK_REQUESTS:
                refused += self._send(chunk)
                chunk, size = [], 0
            chunk.append(request)
            size += len(request.body) + HEADER.size
        if chunk:
            refused += self._send(chunk)
        return refused

    def do(self, requests: Iterable[Request]) -> None:
        """Carry out the requests in order. Raises EmulationError, naming the first refused."""
        refused = self.refusals(requests)
        if refused:
            first = refused[0]
            raise EmulationError(
                f"the kernel refused {first.about}: {first}",
                where=f"{len(refused)} requests were refused" if len(refused) > 1 else "",
                remedy=_REMEDIES.get(first.code, ""),
            )

    def blob(self, data: bytes, stride: int, about: str) -> None:
        """Carry out ready-made messages of `stride` bytes each, kept in one piece.

        Raises EmulationError.
        """
        step = min(_CHUNK_BYTES // stride, _CHUNK_REQUESTS) * stride
        for start in range(0, len(data), step):
            chunk = bytearray(data[start : start + step])
            last = len(chunk) - stride
            length, kind, flags, _, _ = HEADER.unpack_from(chunk, last)
            HEADER.pack_into(chunk, last, length, kind, flags | _ACK, 1, 0)
            self._socket.send(chunk)
            for refused in self._answers([about], last_seq=1):
                raise EmulationError(f"the kernel refused {about}: {refused}")

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """All objects of a kind: the body of each answer."""
        self._socket.send(message(Request(kind, _DUMP, body, ""), 1))
        while True:
            for answer, _, data in self._receive():
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", data)[0]
                    raise EmulationError(f"the kernel refused a dump: {os.strerror(code)}")
                yield data

    def _send(self, chunk: list[Request]) -> list[Refused]:
        parts = [message(request, seq) for seq, request in enumerate(chunk, 1)]
        parts[-1] = message(chunk[-1], len(chunk), _ACK)
        self._socket.send(b"".join(parts))
        return self._answers([request.about for request in chunk], last_seq=len(chunk))

    def _answers(self, abouts: list[str], last_seq: int) -> list[Refused]:
        refused = []
        while True:
            for kind, flags, data in self._receive():
                if kind != _ERROR:
                    continue
                code, _, _, _, seq, _ = struct.unpack_from("=iIHHII", data)
                if code:
                    words = attrs(data[20:]).get(1, b"") if flags & _ERROR_TEXT else b""
                    about = abouts[seq - 1] if seq else abouts[0]
                    refused.append(Refused(about, -code, words.rstrip(b"\0").decode()))
                if seq == last_seq:
                    return refused

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            data = self._socket.recv(8 * _CHUNK_BYTES)
        except TimeoutError as error:
            raise EmulationError(
                f"the kernel did not answer a netlink request within {_ANSWER_S} s",
                where="netlink",
                remedy="give the lab less load, or a smaller network",
            ) from error
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, flags, _, _ = HEADER.unpack_from(data, at)
            yield kind, flags, data[at + HEADER.size : at + length]
            at += (length + 3) & ~3


_REMEDIES = {
    errno.EPERM: "run it in a lab: making network namespaces and links needs root there",
    errno.EOPNOTSUPP: "the lab kernel lacks the feature; `testbed doctor` names what is missing",
    errno.ENOENT: "the lab kernel lacks the qdisc; `testbed doctor` names what is missing",
    errno.EEXIST: "something of that name exists in the lab already",
    errno.EBUSY: "an interface with that index exists in the lab already",
}
