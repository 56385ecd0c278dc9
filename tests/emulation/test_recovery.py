"""What is told of a cut at the prompt, and what the timeline has of it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.emulation import recovery
from testbed.emulation.acts import Lab
from testbed.emulation.recovery import Recoveries
from testbed.errors import InputError
from testbed.net.restoration import reroutes, ways
from testbed.net.state import State
from testbed.net.timeline import UNCONFIRMED, Entry, Timeline
from testbed.scenario.delta import Delta
from testbed.scenario.events import (
    cut_fibre,
    drop_node,
    kill_controller,
    mend_fibre,
    revive_node,
    silence_fibre,
    slow_node,
)
from tests.controllers.test_restoration import planned
from tests.plan.networks import MS

ANSWER_NS = 11 * MS


class Net:
    """A network whose controller answers at once, and says that it took 11 ms."""

    def __init__(self, file: Path, *, confirmed: bool = True) -> None:
        self.plan = planned()
        self.state: State = self.plan
        self.file, self._confirmed = file, confirmed

    def apply(self, delta: Delta) -> None:
        self.state = self.state + delta
        if not self.state.condition.controller:
            return
        now_ns = time.monotonic_ns()
        for moved in reroutes(ways(self.state), self.state.ways, self.state.seen_down()):
            self.state = self.state + moved
            told = {} if self._confirmed else UNCONFIRMED
            done = Entry(delta=moved, began_ns=now_ns, actual_ns=now_ns + ANSWER_NS, told=told)
            Timeline(self.file).add(done)


def recoveries(net: Any, file: Path) -> Recoveries:
    control: Any = type("Control", (), {"kill": lambda _: None})()
    return Recoveries(Lab(net, control, None), lambda *_: "", lambda: [file])


def test_paths_are_told_to_go_and_to_come_back(tmp_path: Path) -> None:
    file = tmp_path / "controller.jsonl"
    here = recoveries(Net(file), file)
    (cut,) = here.happen(cut_fibre("s3", "s2"))
    assert cut.startswith("the controller has put 2 of 2 paths on other ways after ")
    number, unit = cut.split()[-2:]
    assert (unit, float(number) >= 11) == ("ms", True)
    (back,) = here.happen(mend_fibre("s3", "s2"))
    assert "2 of 2 paths back on their own ways after " in back
    assert back.endswith("100 ms of it the wait-to-restore")
    found = here.timeline()
    assert sorted(one.delta.by for one in found) == ["controller"] * 4 + ["prompt"] * 2
    assert all(0 < one.actual_ns < 10**10 for one in found), "from when the prompt came"
    assert list(here.happen(cut_fibre("s1", "s2"))) == [], "on no path"


def test_a_controller_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "controller.jsonl"
    here = recoveries(Net(file), file)
    assert list(here.happen(kill_controller())) == []
    (told,) = here.happen(cut_fibre("s3", "s2"))
    assert re.fullmatch("no controller runs that would put .*, .* on other ways", told)
    assert list(here.happen(slow_node("s3", "1 ms"))) == [], "told once"
    with pytest.raises(InputError, match=r"does not run at [\d.]+ [mun]?s") as caught:
        list(here.happen(kill_controller()))
    assert caught.value.expected == "start first"


def test_what_no_switch_confirms_is_not_told_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PATIENCE_NS", 20 * MS)
    file = tmp_path / "controller.jsonl"
    here = recoveries(Net(file, confirmed=False), file)
    put, left = here.happen(cut_fibre("s3", "s2"))
    assert put == "the controller has put 0 of 2 paths on other ways"
    assert re.fullmatch("the controller has not put .*, .* on other ways", left)


def test_why_packets_are_lost_is_told(tmp_path: Path) -> None:
    here = recoveries(Net(tmp_path / "none"), tmp_path / "none")
    (silent,) = here.happen(silence_fibre("s3", "s2"))
    assert "silent, which nobody sees without BFD" in silent
    file = tmp_path / "controller.jsonl"
    here = recoveries(Net(file), file)
    (none,) = here.happen(drop_node("s2"))
    assert none.startswith("no way is left for ")
    assert list(here.happen(revive_node("s2"))) == [], "nobody has moved"


def test_what_is_not_waited_for_is_known_when_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a mended link is not used again yet; then it is, and then it is cut."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    file, later = tmp_path / "controller.jsonl", tmp_path / "later.jsonl"
    net = Net(file)
    here = recoveries(net, file)
    list(here.happen(cut_fibre("s3", "s2")))
    net.file = later
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(here.happen(mend_fibre("s3", "s2")))
    net.file = file
    file.write_bytes(file.read_bytes() + later.read_bytes())
    (cut,) = here.happen(cut_fibre("s3", "s2"))
    assert cut.startswith("the controller has put 2 of 2 paths on other ways after ")


def test_what_cannot_happen_is_in_no_timeline(tmp_path: Path) -> None:
    here = recoveries(Net(tmp_path / "none"), tmp_path / "none")
    with pytest.raises(InputError, match="nosuch"):
        list(here.happen(cut_fibre("s3", "nosuch")))
    assert here.timeline() == []
