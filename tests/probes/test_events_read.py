"""The reader of event logs, while they are written and at their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import ResultError
from testbed.probes import events
from testbed.probes.events_read import Reader, Row


def written(path: Path, count: int) -> bytes:
    log = events.EventLog(path, ["one", "two"], [1, 3])
    for number in range(count):
        log.add(events.SENT, 0, number % 2, number, -number, 1 << 40)
    log.close()
    return path.read_bytes()


def test_a_log_that_grows_by_any_bytes_is_read_once_and_whole(tmp_path: Path) -> None:
    raw = written(tmp_path / "whole", 50)
    path = tmp_path / "log"
    log = Reader(path)
    found: list[Row] = []
    with pytest.raises(FileNotFoundError):
        log.more()
    for end in range(0, len(raw) + 1, 7):
        path.write_bytes(raw[:end])
        found += log.rows()
    path.write_bytes(raw)
    found += log.rows()
    assert found == [(events.SENT, 0, n % 2, n, -n, 1 << 40) for n in range(50)]
    assert (log.sessions, log.packets) == (["one", "two"], [1, 3])
    assert not log.more()


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    written(tmp_path / "log", 5)
    log = Reader(tmp_path / "log")
    sizes = [len(log.more(2)) // events.EVENT.size for _ in range(4)]
    assert sizes == [2, 2, 1, 0]


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"STAMPxx", "not an event log"),
        (b"PNG", "not an event log"),
        (events.MAGIC + events.HEADER_LENGTH.pack(4) + b"[1]\n", "header is damaged"),
        (events.MAGIC + events.HEADER_LENGTH.pack(4) + b"\xff{}}", "header is damaged"),
        (events.MAGIC + events.HEADER_LENGTH.pack(2) + b"{}", "header is damaged"),
    ],
)
def test_what_is_no_log(tmp_path: Path, raw: bytes, what: str) -> None:
    (tmp_path / "log").write_bytes(raw)
    with pytest.raises(ResultError, match=what):
        Reader(tmp_path / "log").more()


def test_a_header_that_is_not_whole_yet_is_waited_for(tmp_path: Path) -> None:
    header = events.MAGIC + events.HEADER_LENGTH.pack(1 << 31) + b'{"sessions"'
    (tmp_path / "log").write_bytes(header)
    log = Reader(tmp_path / "log")
    assert not log.more()
    assert not log.begun
