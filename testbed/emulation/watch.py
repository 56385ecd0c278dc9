"""Notices when a process of a run ends before it was to: which, how, when.

    watch = Watch()
    watch.add("ovs-vswitchd", child, "without it ...", vital=True)
    watch.begin(start_ns)    times count from the start of traffic
    watch.check()            raises for the first without which measuring is no use
    watch.over()             from here on processes are ended in order

A thread waits on a descriptor of each process (pidfd_open(2)), so it runs only when one
ends, and takes no time from the packets.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from testbed.errors import EmulationError


class Watched(NamedTuple):
    """A process, and what its end means."""

    name: str
    child: subprocess.Popen[Any]
    means: str
    vital: bool
    ends: bool
    about: tuple[str, ...]
    said: Callable[[], str]


@dataclass(frozen=True)
class Death:
    """A process that ended unasked."""

    process: str
    code: int
    """Exit status; of a signal, its number below zero."""
    at_ns: int
    """From the start of traffic; below zero before it."""
    means: str
    vital: bool = False
    about: tuple[str, ...] = ()
    said: Callable[[], str] = field(default=str, compare=False)

    def __str__(self) -> str:
        return f"{self.process} {ended(self.code)} {_when(self.at_ns)}"

    def record(self) -> dict[str, Any]:
        """As 4-control.json has it."""
        return {
            "process": self.process,
            "code": self.code,
            "at_ns": self.at_ns,
            "about": self.about,
            "told": f"{self}: {self.means}",
        }


class Watch:
    """The processes of a run."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._lock = threading.Lock()
        self._deaths: list[Death] = []
        self._start_ns = time.monotonic_ns()
        self._over = False
        threading.Thread(target=self._wait, daemon=True).start()

    def begin(self, start_ns: int) -> None:
        """Traffic starts at `start_ns` (CLOCK_MONOTONIC)."""
        self._start_ns = start_ns

    def add(
        self,
        name: str,
        child: subprocess.Popen[Any],
        means: str,
        *,
        vital: bool = False,
        ends: bool = False,
        about: Iterable[str] = (),
        said: Callable[[], str] = str,
    ) -> None:
        """Watch a process from now on.

        Args:
            name: as people call it, with its article.
            means: what is no longer done when it has ended, a clause.
            vital: a run without it is no use.
            ends: it ends by itself when it is done, and tells of its own errors, so that
                only a signal ends it unasked.
            about: what it serves, such as the id of a load.
            said: its last words.
        """
        fd = os.pidfd_open(child.pid)
        with self._lock:
            self._watched[fd] = Watched(name, child, means, vital, ends, tuple(about), said)
        self._poll.register(fd, select.EPOLLIN)

    def forget(self, child: subprocess.Popen[Any]) -> None:
        """It is about to be ended, or may end."""
        with self._lock:
            for fd, one in list(self._watched.items()):
                if one.child is child:
                    self._drop(fd)

    def over(self) -> None:
        """No end is unasked any more."""
        with self._lock:
            self._over = True
            for fd in list(self._watched):
                self._drop(fd)

    def check(self) -> None:
        """Raises EmulationError for the first end without which measuring is no use."""
        for death in self.deaths():
            if death.vital:
                raise EmulationError(
                    str(death),
                    where=death.said() or death.process,
                    expected=f"a process that runs as long as the measurement: {death.means}",
                )

    def deaths(self) -> list[Death]:
        """All that ended unasked, in order."""
        with self._lock:
            return list(self._deaths)

    def cause(self, about: str) -> Death | None:
        """What ended first of all that served `about`, if anything did."""
        return next((death for death in self.deaths() if about in death.about), None)

    def _wait(self) -> None:
        while not self._over:
            for fd, _ in self._poll.poll():
                with self._lock:
                    one = self._watched.get(fd)
                # a descriptor that was forgotten may be another process's by now
                if one is not None and (code := one.child.poll()) is not None:
                    self._ended(fd, one, code)

    def _ended(self, fd: int, one: Watched, code: int) -> None:
        at_ns = time.monotonic_ns() - self._start_ns
        with self._lock:
            if self._watched.get(fd) is not one:
                return  # forgotten meanwhile
            self._drop(fd)
            if code < 0 or not one.ends:
                self._deaths.append(
                    Death(one.name, code, at_ns, one.means, one.vital, one.about, one.said)
                )

    def _drop(self, fd: int) -> None:
        del self._watched[fd]
        with contextlib.suppress(OSError):
            self._poll.unregister(fd)
        os.close(fd)


def ended(code: int) -> str:
    """How a process ended, from its exit status.

    >>> ended(1), ended(-9)
    ('ended with status 1', 'was ended by SIGKILL')
    """
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _when(at_ns: int) -> str:
    return f"after {at_ns / 1e9:.2f} s of traffic" if at_ns >= 0 else "before traffic began"
