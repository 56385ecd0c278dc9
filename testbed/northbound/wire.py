"""HTTP/1.1 messages (RFC 9112): bytes to requests, answers to bytes. No sockets, no waiting.

    reader.feed(data)
    head = reader.head()       None: more has to come
    body = reader.body()       None: more has to come; then the next head()

Strict where senders and receivers could disagree about where a message ends: lines end
with CR LF, a request has one Content-Length or is chunked, each field once that has one
value. Whatever is wrong raises WireError, after which the connection has to be closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
"""Known; which of them a resource offers is its own matter."""
LINE_BYTES = 8_000
"""Longest request line (RFC 9112 section 3 asks for this much)."""
_FIELDS = 100
_CHUNK_LINE_BYTES = 256
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(r"([!-~]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.I)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_BARE = re.compile(rb"(?<!\r)\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~]*)?")
_ONCE = ("host", "content-length", "content-type", "transfer-encoding", "authorization",
         "if-unmodified-since", "if-modified-since", "expect")  # fmt: skip


class WireError(Exception):
    """A request that is none, and the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Head:
    """A request line with its fields."""

    method: str
    path: str
    """As it was sent, percent-encoded; `*` for the server as a whole."""
    query: str
    host: str | None
    """Name or address of the authority asked, without port; None: HTTP/1.0 names none."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; lists joined with commas."""
    length: int = 0
    chunked: bool = False
    keep: bool = True
    """The connection may serve another request."""
    expects: bool = False
    """The client waits for 100 (Continue)."""


class Reader:
    """Requests of one connection, one after the other.

    Args:
        head_bytes: longest request line with its fields; beyond is 431.
        body_bytes: longest body; beyond is 413.
    """

    def __init__(self, head_bytes: int, body_bytes: int) -> None:
        self._head_bytes, self._body_bytes = head_bytes, body_bytes
        self._buffer = bytearray()
        self._looked = 0
        """So much of the buffer has no end of a head."""
        self._head: Head | None = None
        self._chunks = _Chunks(body_bytes, head_bytes)

    @property
    def begun(self) -> bool:
        """Bytes of a request have come that is not whole."""
        return bool(self._buffer) or self._head is not None

    @property
    def waiting(self) -> bool:
        """Nothing has come beyond what was read."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def head(self) -> Head | None:
        """The next request's head. Raises WireError."""
        while self._buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2
            del self._buffer[:2]
            self._looked = 0
        fresh = max(0, self._looked - 3)
        end = self._buffer.find(b"\r\n\r\n", fresh)
        self._looked = len(self._buffer)
        whole = end if end >= 0 else self._looked
        line = self._buffer.find(b"\r\n", 0, LINE_BYTES + 2)
        if line < 0 and whole > LINE_BYTES:
            raise WireError(414, f"a request line over {LINE_BYTES} bytes")
        if whole > self._head_bytes:
            raise WireError(431, f"request line and fields over {self._head_bytes} bytes")
        if end < 0:
            if _BARE.search(self._buffer, fresh):
                raise WireError(400, "a line that does not end with CR LF")
            return None
        text = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        self._looked = 0
        self._head = _head(text)
        self._chunks = _Chunks(self._body_bytes, self._head_bytes)
        return self._head

    def body(self) -> bytes | None:
        """The body that belongs to the head. Raises WireError."""
        head = self._head
        assert head is not None
        if head.chunked:
            found = self._chunks.read(self._buffer)
        elif head.length > self._body_bytes:
            raise WireError(413, too_large(f"{head.length} bytes", self._body_bytes))
        elif len(self._buffer) >= head.length:
            found = bytes(self._buffer[: head.length])
            del self._buffer[: head.length]
        else:
            found = None
        if found is not None:
            self._head = None
        return found


def too_large(size: str, most: int) -> str:
    return f"a body of {size}; expected at most {most} bytes"


class _Chunks:
    """A chunked body (RFC 9112 section 7.1); extensions and trailers are read past."""

    def __init__(self, body_bytes: int, trailer_bytes: int) -> None:
        self._most, self._trailer_bytes = body_bytes, trailer_bytes
        self._body = bytearray()
        self._left = 0
        """Of the chunk, its CR LF included; 0: a size comes next."""
        self._trailer = False

    def read(self, buffer: bytearray) -> bytes | None:
        """Take from the buffer what is there; the body once it is whole."""
        while True:
            if self._left > 2:
                taken = buffer[: self._left - 2]
                self._body += taken
                del buffer[: len(taken)]
                self._left -= len(taken)
                if self._left > 2:
                    return None
            if self._left:
                if len(buffer) < 2:
                    return None
                if buffer[:2] != b"\r\n":
                    raise WireError(400, "a chunk longer than it says")
                del buffer[:2]
                self._left = 0
            longest = self._trailer_bytes if self._trailer else _CHUNK_LINE_BYTES
            end = buffer.find(b"\r\n", 0, longest + 2)
            if end < 0:
                if len(buffer) > longest:
                    raise WireError(400, "a chunk's line that is too long")
                return None
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            if self._trailer:
                if not line:
                    return bytes(self._body)
                self._trailer_bytes -= len(line)
                continue
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise WireError(400, "a chunk without a size in hexadecimal digits")
            size = int(match[1], 16)
            if len(self._body) + size > self._most:
                raise WireError(413, too_large(f"over {self._most} bytes", self._most))
            self._trailer = not size
            self._left = size + 2 if size else 0


def _head(text: str) -> Head:
    first, *lines = text.split("\r\n")
    method, target, minor = _request_line(first)
    fields = _fields(lines)
    path, query, authority = _target(method, target)
    if authority is None:
        authority = fields.get("host")
    if minor and "host" not in fields:
        raise WireError(400, "no Host (RFC 9112 section 3.2)")
    chunked = _chunked(fields, minor)
    length = fields.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise WireError(400, f"Content-Length: {length}; expected decimal digits")
    if len(length) > 18:
        raise WireError(413, f"a body of {length[:18]}... bytes")
    for value in {authority, fields.get("host")} - {None}:
        _named(str(value))
    expects = fields.get("expect", "").lower()
    if expects not in ("", "100-continue"):
        raise WireError(417, f"Expect: {expects}; expected 100-continue")
    options = [word.strip().lower() for word in fields.get("connection", "").split(",")]
    return Head(
        method=method,
        path=path,
        query=query,
        host=None if authority is None else _named(authority),
        fields=fields,
        length=int(length),
        chunked=chunked,
        keep=bool(minor) and "close" not in options,
        expects=bool(expects and minor),
    )


def _request_line(line: str) -> tuple[str, str, int]:
    """Method, target and minor version."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise WireError(400, "no request line: METHOD TARGET HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != "1":
        raise WireError(505, f"HTTP/{major}.{minor}; expected HTTP/1.1")
    if len(line) > LINE_BYTES:
        raise WireError(414, f"a request line over {LINE_BYTES} bytes")
    if method not in METHODS:
        raise WireError(501, f"method {method[:40]}; expected {', '.join(METHODS)}")
    return method, target, min(int(minor), 1)


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > _FIELDS:
        raise WireError(431, f"{len(lines)} fields; expected at most {_FIELDS}")
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise WireError(400, "a field that is not NAME: VALUE")
        if _CONTROL.search(value):
            raise WireError(400, f"a control character in {name}")
        name, value = name.lower(), value.strip(" \t")
        if name in found and name in _ONCE:
            raise WireError(400, f"{name} is there twice")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _target(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query, and the authority of an absolute form (RFC 9112 section 3.2)."""
    authority = None
    if "#" in target:
        raise WireError(400, "a fragment in the request's target")
    if (absolute := _ABSOLUTE.fullmatch(target)) is not None:
        authority, target = absolute[1], absolute[2]
        if not target.startswith("/"):
            target = "/" + target
    elif target == "*" and method == "OPTIONS":
        return "*", "", None
    if not target.startswith("/"):
        raise WireError(400, "a target that is neither a path nor an http URI")
    path, _, query = target.partition("?")
    return path, query, authority


def _named(authority: str) -> str:
    """The host of an authority, in lower case, without brackets."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise WireError(400, "a Host that is not NAME or NAME:PORT")
    return match[1].strip("[]").lower()


def _chunked(fields: Mapping[str, str], minor: int) -> bool:
    coding = fields.get("transfer-encoding")
    if coding is None:
        return False
    if "content-length" in fields or not minor:  # RFC 9112 section 6.1: possibly an attack
        raise WireError(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
    if coding.lower() != "chunked":
        raise WireError(501, f"Transfer-Encoding: {coding[:40]}; expected chunked")
    return True


def written(
    status: int, fields: Mapping[str, str], body: bytes, *, bare: bool, close: bool
) -> bytes:
    """An answer; a `bare` one has no body, but the fields it would have with it."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: testbed"]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
    return head if bare or status in (204, 304) else head + body
