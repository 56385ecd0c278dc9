"""HTTP/1.1 messages by the letter of RFC 9112, whatever pieces they come in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.northbound.wire import Head, Reader, WireError, written

HOST = b"Host: lab\r\n"


def read(data: bytes, *, piece: int | None = None) -> tuple[Head, bytes]:
    """The first request of some bytes, which come in pieces."""
    reader = Reader(head_bytes=16_384, body_bytes=1000)
    head = None
    size = piece or len(data)
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        head = head or reader.head()
        if head is not None and (body := reader.body()) is not None:
            return head, body
    raise AssertionError("not whole")


def refused(data: bytes) -> int:
    with pytest.raises(WireError) as wrong:
        read(data)
    return wrong.value.status


GOOD = [
    (b"GET / HTTP/1.1\r\n" + HOST, b""),
    (b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST, b""),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\t2 \r\n", b"{}"),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n", b"{}"),
]


@pytest.mark.parametrize(("head", "body"), GOOD)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_requests_are_read_in_any_pieces(head: bytes, body: bytes, piece: int) -> None:
    sent = b"1;a=b\r\n{\r\n1 \r\n}\r\n0\r\nTrailer: x\r\n\r\n" if b"Chunked" in head else body
    found, read_body = read(head + b"\r\n" + sent, piece=piece)
    assert (found.path, found.host, found.keep, read_body) == ("/", "lab", True, body)


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: user@lab\r\n\r\n"),
        (400, b"GET http://[x HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET http://[x]/ HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET /#there HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET restconf HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET /\r\n" + HOST + b"\r\n"),
        (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET / HTTP/1.1\n" + b"Host: lab\n\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n folded\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n\r\n{}"),
        (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n"),
        (414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
        (414, b"x" * 9000),
        (417, b"GET / HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 16_384),
        (501, b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n"),
        (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    ],
)
def test_what_is_no_request_is_refused(status: int, data: bytes) -> None:
    assert refused(data) == status


@pytest.mark.parametrize(
    ("status", "chunks"),
    [
        (400, b"2\r\n{}x\r\n"),
        (400, b"two\r\n"),
        (400, b"-2\r\n{}\r\n"),
        (400, b"2;" + b"x" * 300),
        (400, b"000000002\r\n{}\r\n"),
        (413, b"3e9\r\n"),
        (413, b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n"),
        (413, b"ffffffff\r\n"),
    ],
)
def test_chunks_that_are_none(status: int, chunks: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert refused(head + chunks) == status


def test_targets_have_several_forms() -> None:
    head, _ = read(b"GET http://Other:80/a?b=c HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (head.host, head.path, head.query) == ("other", "/a", "b=c")
    assert read(b"GET http://lab?x HTTP/1.1\r\n" + HOST + b"\r\n")[0].path == "/"
    assert read(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")[0].path == "*"
    assert read(b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")[0].host == "::1"
    head, _ = read(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.host, head.keep) == (None, False)


def test_requests_follow_each_other() -> None:
    reader = Reader(1000, 1000)
    one = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n"
    reader.feed((one + b"{}") * 3)
    for _ in range(3):
        assert reader.begun
        assert reader.head() is not None
        assert reader.body() == b"{}"
    assert not reader.begun
    assert reader.head() is None


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n", b"GET / HTTP/1.1\r\n", HOST])))
def test_any_bytes_are_requests_refused_or_not_whole(pieces: list[bytes]) -> None:
    reader, head = Reader(2000, 100), None
    with suppress(WireError):
        for piece in pieces:
            reader.feed(piece)
            while (head := head or reader.head()) is not None and reader.body() is not None:
                head = None


def test_answers_say_how_long_they_are() -> None:
    told = written(200, {"ETag": '"1"'}, b"{}", bare=False, close=True)
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert written(200, {}, b"{}", bare=True, close=False).endswith(b"Content-Length: 2\r\n\r\n")
    for status in (204, 304):
        assert b"Content-Length" not in written(status, {}, b"", bare=False, close=False)
