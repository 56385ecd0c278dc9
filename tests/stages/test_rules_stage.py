"""Counters that are late, and those that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.stages import rules
from tests.controllers.chain import DOWN, UP, chain
from tests.emulation.test_proof import counters


class LateController:
    """Tells of all packets from the `late`th asking on; of a switch only if it answers."""

    def __init__(self, late: int, silent: tuple[str, ...] = ()) -> None:
        self.asked, self._late, self._silent = 0, late, silent

    def counters(self) -> dict[str, Any]:
        self.asked += 1
        packets = 20 if self.asked >= self._late else 19
        rows = counters(chain(3), {UP: packets, DOWN: 20})
        silent = self._silent if self.asked < self._late else ()
        heard = [row for row in rows if row["switch"] not in silent]
        return {"counters": heard, "silent": list(silent)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SETTLE_S", 0.05)
    monkeypatch.setattr(rules, "SETTLE_STEP_S", 0.0)
    arrived = {"up": 20, "down": 20}
    monkeypatch.setattr("testbed.stages.rules.carried", lambda *_: arrived)


def _wrong(control: Any) -> Any:
    purged: list[str] = []

    def appctl(method: str) -> str:
        purged.append(method)
        return ""

    _, wrong = rules.counters(chain(3), control, appctl, Path())
    assert len(purged) == control.asked
    return wrong


@pytest.mark.parametrize("silent", [(), ("s2",)])
def test_no_switch_is_accused_of_counters_that_are_late(silent: tuple[str, ...]) -> None:
    control = LateController(3, silent)
    assert _wrong(control) is None
    assert control.asked == 3


def test_counters_that_stay_wrong_name_the_switch() -> None:
    assert _wrong(LateController(10**9)).what == "s1 counted 19 packets of up"


def test_a_switch_that_stays_silent_is_not_said_to_have_lost_its_rules() -> None:
    assert _wrong(LateController(10**9, ("s2",))).what == "no counters came from s2"
