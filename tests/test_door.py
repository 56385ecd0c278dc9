"""The door of a lab that shares the host's kernel: through the socket itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed import door
from testbed.door import MOST_BYTES, MOST_DOORS, Door, served
from testbed.errors import InputError, LabError
from testbed.lab.base import DOOR, GUEST_JOB, PROJECT
from testbed.lab.kernel import RECIPE
from testbed.scenario.orders.yang import Fault, OrderError


class Question(msgspec.Struct):
    text: str
    times: int = 1


def answer(question: Any) -> Any:
    """Says it again and again; some words are not to be said."""
    asked = msgspec.convert(question, Question)
    match asked.text:
        case "wrong":
            raise InputError("no such thing", where="here", expected="another", remedy="ask again")
        case "broken":
            return 1 / 0
        case "nonsense":
            return object()
        case "much":
            return "m" * MOST_BYTES
    return {"text": asked.text * asked.times}


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path, answer):
        yield tmp_path


def test_kernel_and_host_mean_the_same_socket() -> None:
    assert f'#define DOOR "{GUEST_JOB}/{DOOR}"' in (RECIPE / "door.c").read_text()


def test_answers_are_of_the_type_asked_for(job: Path) -> None:
    with Door(job) as host:
        assert host.ask(Question("ab", 3), Question) == Question("ababab")
        assert host.ask({"text": "ü"}, dict[str, str]) == {"text": "ü"}
        with pytest.raises(LabError, match="answered something else: Expected `int`"):
            host.ask(Question("ab"), int)
        assert host.ask(Question("after"), Question).text == "after"


@pytest.mark.parametrize("length", [0, 1, 4091, 4092, 4096, 1 << 20, MOST_BYTES - 100])
def test_messages_of_any_length_come_whole(job: Path, length: int) -> None:
    text = ("0123456789abcdef" * (length // 16 + 1))[:length]
    with Door(job) as host:
        assert host.ask(Question(text), Question).text == text


def test_what_the_host_raises_the_asker_is_told(job: Path) -> None:
    with Door(job) as host:
        with pytest.raises(InputError) as caught:
            host.ask(Question("wrong"), Question)
        problem = caught.value
        told = (problem.what, problem.where, problem.expected, problem.remedy)
        assert told == ("no such thing", "here", "another", "ask again")
        with pytest.raises(LabError, match="ZeroDivisionError: division by zero") as failed:
            host.ask(Question("broken"), Question)
        assert "test_door.py" in failed.value.where
        with pytest.raises(LabError, match="TypeError"):
            host.ask(Question("nonsense"), Question)
        with pytest.raises(LabError, match="ValidationError"):
            host.ask([1], Question)
        assert host.ask(Question("on"), Question).text == "on"


def test_too_long_is_told_on_both_sides(job: Path) -> None:
    with Door(job) as host:
        for long in (Question("m" * MOST_BYTES), Question("much")):
            with pytest.raises(LabError, match="bytes does not go through the door"):
                host.ask(long, Question)
        assert host.ask(Question("on"), Question).text == "on"


def raw(job: Path) -> socket.socket:
    side = socket.socket(socket.AF_UNIX)
    side.settimeout(10)
    with door._address(job) as address:
        side.connect(address)
    return side


def heard(side: socket.socket) -> bytes:
    """What comes first; nothing where the host closed, which may not have read all."""
    try:
        return side.recv(4096)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff", (MOST_BYTES + 1).to_bytes(4)])
def test_a_length_that_is_none_ends_the_door(job: Path, sent: bytes) -> None:
    with raw(job) as side:
        side.sendall(sent)
        assert heard(side) == b""


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_told(job: Path, sent: bytes) -> None:
    with raw(job) as side:
        side.sendall(len(sent).to_bytes(4) + sent)
        assert b"the host failed to answer" in side.recv(4096)


def test_doors_are_counted_and_forgotten(job: Path) -> None:
    open_now = [raw(job) for _ in range(MOST_DOORS)]
    with raw(job) as one_more:
        assert heard(one_more) == b""
    for side in open_now:
        side.sendall(b"\0\0")  # half a length
        side.close()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with raw(job) as side, contextlib.suppress(OSError):
            side.sendall(b"\0\0\0\1{")
            if heard(side):
                return
    pytest.fail("doors that closed are still counted")


def test_doors_are_apart(job: Path) -> None:
    got: list[str] = []

    def ask(letter: str) -> None:
        with Door(job) as host:
            for _ in range(50):
                got.append(host.ask(Question(letter, 5000), Question).text)

    threads = [threading.Thread(target=ask, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(letter * 5000 for letter in "abcd" for _ in range(50))


def test_a_door_that_nobody_serves(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="does not open: No such file") as caught:
        Door(tmp_path)
    assert "virtual" in caught.value.remedy


def test_the_end_of_service_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    began = threading.Event()

    def never(question: Any) -> Any:
        began.set()
        time.sleep(30)

    problems: list[str] = []

    def ask(host: Door) -> None:
        try:
            host.ask(1, int)
        except LabError as problem:
            problems.append(problem.what)

    with served(tmp_path, never):
        mode = (tmp_path / DOOR).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        host = Door(tmp_path)
        thread = threading.Thread(target=ask, args=(host,))
        thread.start()
        assert began.wait(10)
        begin = time.monotonic()
    thread.join(10)
    assert time.monotonic() - begin < 5
    assert problems == ["the host closed the door before it answered"]
    with pytest.raises(LabError, match="closed the door"):
        host.ask(1, int)
    assert list(tmp_path.iterdir()) == []


HOST = """
import sys, time
from pathlib import Path
from testbed.door import served
with served(Path(sys.argv[1]), lambda question: time.sleep(60)):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_host_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        timer = threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL))
        with Door(tmp_path) as host:
            timer.start()
            with pytest.raises(LabError, match="closed the door"):
                host.ask(1, int)


def test_a_door_may_be_closed_and_another_opened_at_the_limit(tmp_path: Path) -> None:
    with served(tmp_path, answer), ExitStack() as stack:
        for _ in range(MOST_DOORS - 1):
            stack.enter_context(Door(tmp_path))
        for _ in range(300):
            with Door(tmp_path) as host:
                assert host.ask(Question("one"), Question).text == "one"


def test_what_the_lab_makes_of_the_socket_is_no_error(tmp_path: Path) -> None:
    with served(tmp_path, answer):
        (tmp_path / DOOR).unlink()
        (tmp_path / DOOR).mkdir()


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with served(deep, answer), Door(deep) as host:
        assert host.ask(Question("deep"), Question).text == "deep"


def test_errors_of_other_modules_are_told_by_their_nearest_kind(tmp_path: Path) -> None:
    def refuse(question: Any) -> Any:
        raise OrderError([Fault("/a", "b")])

    with served(tmp_path, refuse), Door(tmp_path) as host, pytest.raises(InputError):
        host.ask(1, int)
