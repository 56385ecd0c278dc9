"""Processes that end before they were to are told: which, how, when."""

from __future__ import annotations

import select
import signal
import subprocess
import threading
import time

import pytest

from testbed.emulation.watch import Death, Watch
from testbed.errors import EmulationError


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


def _deaths(watch: Watch, count: int) -> list[Death]:
    end = time.monotonic() + 10
    while len(watch.deaths()) < count and time.monotonic() < end:
        time.sleep(0.002)
    return watch.deaths()


def test_first_vital_end_is_raised_with_what_it_means() -> None:
    watch = Watch()
    watch.begin(time.monotonic_ns() - 2_000_000_000)
    switch, capture = _sleeper(), _sleeper()
    watch.add("the capture", capture, "it has only the packets until then")
    watch.add("the switch", switch, "nothing is forwarded", vital=True, said=lambda: "last words")
    watch.check()
    capture.terminate()
    assert [death.code for death in _deaths(watch, 1)] == [-signal.SIGTERM]
    watch.check()
    switch.kill()
    first, second = _deaths(watch, 2)
    assert str(first).startswith("the capture was ended by SIGTERM after 2.")
    assert first.record()["told"].endswith(" s of traffic: it has only the packets until then")
    assert 2e9 < first.at_ns < second.at_ns
    with pytest.raises(EmulationError, match="the switch was ended by SIGKILL after 2") as caught:
        watch.check()
    assert caught.value.where == "last words"
    assert caught.value.expected.endswith("the measurement: nothing is forwarded")


def test_ends_that_were_asked_for_are_no_news() -> None:
    watch = Watch()
    ended, done, failed, left = (
        _sleeper(),
        subprocess.Popen(["true"]),
        subprocess.Popen(["false"]),
        _sleeper(),
    )
    watch.add("ended", ended, "")
    watch.forget(ended)
    ended.kill()
    watch.add("done", done, "", ends=True)
    watch.add("told by itself", failed, "", ends=True)
    watch.add("left", left, "")
    for child in (ended, done, failed):
        child.wait()
    watch.over()
    left.kill()
    left.wait()
    assert watch.deaths() == []


class _Stale:
    """A poll that tells, once, of an end by a number that a living process has got since."""

    def __init__(self) -> None:
        self._real = select.epoll()
        self._number = 0
        self._given = threading.Event()
        self.told = False

    def register(self, fd: int, mask: int) -> None:
        self._real.register(fd, mask)
        self._number = self._number or fd
        self._given.set()

    def unregister(self, fd: int) -> None:
        self._real.unregister(fd)

    def poll(self) -> list[tuple[int, int]]:
        self._given.wait()
        if not self.told:
            self.told = True
            return [(self._number, select.EPOLLIN)]
        return self._real.poll()


def test_a_number_that_is_another_process_by_now_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = _Stale()
    with monkeypatch.context() as patch:
        patch.setattr("testbed.emulation.watch.select.epoll", lambda: poll)
        watch = Watch()
    living, dead = _sleeper(), _sleeper()
    watch.add("living", living, "")
    watch.add("dead", dead, "")
    dead.kill()
    assert [death.process for death in _deaths(watch, 1)] == ["dead"]
    assert poll.told
    watch.over()
    living.kill()
    living.wait()


def test_the_cause_is_what_ended_first() -> None:
    watch = Watch()
    server, client = _sleeper(), _sleeper()
    watch.add("its server", server, "", ends=True, about=["bulk"])
    watch.add("its client", client, "", ends=True, about=["bulk"])
    assert watch.cause("bulk") is None
    server.kill()
    _deaths(watch, 1)
    client.kill()
    _deaths(watch, 2)
    assert str(watch.cause("bulk")).startswith("its server was ended by SIGKILL")
    assert watch.cause("other") is None
