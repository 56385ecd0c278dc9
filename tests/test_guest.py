"""What the guest program does, and in which order."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed import guest
from testbed.errors import EmulationError
from testbed.plan.model import Plan
from testbed.stages import kinds, network
from testbed.stages.stage import RunStage


def test_a_command_that_a_signal_ends_has_the_code_of_a_shell() -> None:
    order = {"ovs": False, "argv": ["sh", "-c", "kill -9 $$"]}
    with ExitStack() as stack:
        assert guest.execute(Path(), order, stack) == 128 + 9


def _stage(name: str, done: list[str], *, asked: bool = True) -> type[RunStage]:
    class Noting(RunStage):
        @classmethod
        def asked(cls, plan: Plan) -> bool:
            return asked

        def prepare(self) -> None:
            done.append(f"prepare {name}")

        def start(self, start_ns: int) -> None:
            assert start_ns > 0
            done.append(f"start {name}")

        def stop(self) -> None:
            done.append(f"stop {name}")

        def collect(self) -> dict[str, Any]:
            done.append(f"collect {name}")
            return {name: len(done)}

        def judge(self) -> None:
            done.append(f"judge {name}")
            raise EmulationError(f"{name} is wrong")

    return Noting


def test_stages_rest_on_those_before_them_and_all_is_written_before_any_judges(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    stages = (_stage("a", done), _stage("unasked", done, asked=False), _stage("b", done))
    monkeypatch.setattr(kinds, "STAGES", stages)
    here = SimpleNamespace(plan=None, ready=lambda: done.append("ready"))
    monkeypatch.setattr(network, "stand", lambda *_: here)
    with ExitStack() as stack, pytest.raises(EmulationError, match="b is wrong"):
        guest.run(tmp_path, {}, stack)
    assert done == [
        *("prepare a", "prepare b", "ready", "start a", "start b"),
        *("stop b", "stop a", "collect a", "collect b", "judge b"),
    ]
    assert json.loads((tmp_path / "control.json").read_text()) == {"a": 8, "b": 9}
