"""The synchronous door: a program in a lab asks one on the host, and no time passes.

    in the lab                            on the host, around the lab's start
    Door().ask(question, Answer)  ---->   with served(job, answer): ...
                                  <----   what answer(question) returned, or raised

In the virtual lab the whole lab stands still while the host works, however long that
takes: /dev/door is a device of the lab kernel (kernel/door.c). In the native lab a question
goes the same way through the socket itself, and time passes. The wall lab, whose kernel is
Debian's own, has no door.

A message is its length in bytes, 4 bytes in network order, and so much JSON. What comes
through the door is a program's of the lab: the host bounds its size and believes nothing.
"""

from __future__ import annotations

import io
import os
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from testbed import errors
from testbed.errors import LabError, TestbedError
from testbed.lab.base import DOOR, GUEST_JOB

DEVICE = Path("/dev/door")
MOST_BYTES = 4 << 20
"""The longest message."""
MOST_DOORS = 16
"""Open at a time; one more is closed, unless one of them is closed soon."""
_SOON_S = 2.0
"""What the host may take to see that a door was closed; the lab stands still for it."""

_LENGTH_BYTES = 4
T = TypeVar("T")


class _Reply(msgspec.Struct, omit_defaults=True):
    answer: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, str] | None = None


class Door:
    """The lab's side: open from here on, until `close` or the end of a `with` block.

    A door is for one thread; several may be open. Raises LabError when nobody serves it, or
    this lab has none.
    """

    def __init__(self, job: Path = Path(GUEST_JOB)) -> None:
        try:
            self._stream = _through_device() if DEVICE.exists() else _through_socket(job)
        except OSError as error:
            raise LabError(
                f"the door to the host does not open: {error.strerror}",
                where=str(DEVICE if DEVICE.exists() else job / DOOR),
                expected="a host that serves it, and a lab that has one: virtual or native",
                remedy="--lab virtual, or start the lab within testbed.door.served",
            ) from error

    def ask(self, question: Any, kind: type[T]) -> T:
        """The host's answer, which is of that type.

        Raises the TestbedError that the host raised, and LabError when the host failed
        otherwise, has gone, or answered with another type. After a host that has gone the
        door stays closed.
        """
        message = _encoded(question)
        try:
            _put(self._stream, message)
            data = _take(self._stream)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | EOFError | ValueError):
                raise _gone(error) from error
            raise
        reply = msgspec.json.decode(data, type=_Reply)
        if reply.error is not None:
            raise errors.retold(reply.error)
        try:
            return msgspec.json.decode(reply.answer, type=kind)
        except msgspec.ValidationError as error:
            raise LabError(
                f"the host answered something else: {error}",
                where="the door to the host",
                expected=f"a {getattr(kind, '__name__', kind)}",
            ) from error

    def close(self) -> None:
        """The host is told, and forgets it."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def served(job: Path, answer: Callable[[Any], Any]) -> Iterator[None]:
    """The host's side: who asks through the door of a job folder's lab is answered.

    The lab is to be started within the block, so that the socket becomes its user's.
    `answer` is given the question as JSON's own types and returns what msgspec can encode;
    what it raises, the asker is told. It runs in a thread for each open door, and is not
    waited for at the end of the block: its asker is told that the host has gone.
    """
    with _Host(job, answer) as host:
        threading.Thread(target=host.accept, daemon=True).start()
        yield


class _Host:
    def __init__(self, job: Path, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._path = job / DOOR
        self._open: set[socket.socket] = set()
        self._turn = threading.Condition()
        self._over = False
        self._listener = socket.socket(socket.AF_UNIX)
        with _address(job) as address:
            self._listener.bind(address)
        self._path.chmod(0o600)
        self._listener.listen(MOST_DOORS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._turn:
            self._over = True
            open_now = [self._listener, *self._open]
        for one in open_now:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # whoever waits for it goes on
        with suppress(OSError):  # gone, or a folder by now: the lab may write here
            self._path.unlink()

    def accept(self) -> None:
        with self._listener:
            while True:
                try:
                    door, _ = self._listener.accept()
                except OSError:  # over
                    return
                with self._turn:
                    room = self._turn.wait_for(
                        lambda: self._over or len(self._open) < MOST_DOORS, _SOON_S
                    )
                    if self._over or not room:
                        door.close()
                        continue
                    self._open.add(door)
                threading.Thread(target=self._serve, args=(door,), daemon=True).start()

    def _serve(self, door: socket.socket) -> None:
        try:
            with door, door.makefile("rwb", buffering=0) as stream:
                while True:
                    _put(stream, self._reply(_take(stream)))
        except (OSError, EOFError, ValueError):  # the asker has gone, or does not keep to it
            pass
        finally:
            with self._turn:
                self._open.discard(door)
                self._turn.notify_all()

    def _reply(self, question: bytearray) -> bytes:
        try:
            answer = self._answer(msgspec.json.decode(question))
            return _encoded(_Reply(answer=msgspec.Raw(msgspec.json.encode(answer))))
        except TestbedError as error:
            problem = error
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            problem = LabError(
                f"the host failed to answer: {type(error).__name__}: {error}",
                where=f"{at.filename}:{at.lineno}, in {at.name}",
            )
        return _encoded(_Reply(error=problem.told()))


def _through_device() -> io.RawIOBase:
    return io.FileIO(DEVICE, "r+")


def _through_socket(job: Path) -> io.RawIOBase:
    with socket.socket(socket.AF_UNIX) as door, _address(job) as address:
        door.connect(address)
        return door.makefile("rwb", buffering=0)


@contextmanager
def _address(job: Path) -> Iterator[str]:
    """Of the socket in a folder whose path may be longer than an address."""
    folder = os.open(job, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{DOOR}"
    finally:
        os.close(folder)


def _encoded(message: Any) -> bytes:
    data = msgspec.json.encode(message)
    if len(data) > MOST_BYTES:
        raise LabError(
            f"a message of {len(data):,} bytes does not go through the door",
            where="the door to the host",
            expected=f"{MOST_BYTES:,} bytes of JSON at most",
        )
    return data


def _put(stream: io.RawIOBase, data: bytes) -> None:
    rest = memoryview(len(data).to_bytes(_LENGTH_BYTES) + data)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def _take(stream: io.RawIOBase) -> bytearray:
    length = int.from_bytes(_exactly(stream, _LENGTH_BYTES))
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return _exactly(stream, length)


def _exactly(stream: io.RawIOBase, count: int) -> bytearray:
    data = bytearray(count)
    rest = memoryview(data)
    while rest:
        got = stream.readinto(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return data


def _gone(error: BaseException) -> LabError:
    said = f" ({error})" if str(error) else ""
    return LabError(
        f"the host closed the door before it answered{said}",
        where="the door to the host",
        expected="a host that serves it as long as the lab runs",
    )
