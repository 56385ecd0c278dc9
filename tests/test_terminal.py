"""What a signal does while results are written."""

from __future__ import annotations

import os
import signal

import pytest

from testbed.terminal import finishing


def test_the_first_signal_waits_for_the_end_and_the_second_acts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with finishing() as came:
        os.kill(os.getpid(), signal.SIGINT)
    assert came == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before
    reached: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        _signalled_twice(reached)
    assert reached == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


def _signalled_twice(reached: list[int]) -> None:
    with finishing() as came:
        os.kill(os.getpid(), signal.SIGINT)
        reached += came
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with finishing() as came:
            os.kill(os.getpid(), signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)
