"""The fuzzing of benchmarks/fuzz, with few inputs; and that it tells a crash and a hang."""

from __future__ import annotations

import random
import time

import pytest

from benchmarks.fuzz import found, inputs
from benchmarks.fuzz.__main__ import KINDS
from benchmarks.fuzz.found import Found
from testbed.errors import InputError


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"stamp"}))
def test_few_inputs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "degenerate", lambda: [b"[" * 1_000])
    fuzz, _ = KINDS[kind]
    assert fuzz(random.Random(1), 40)


def test_a_seed_gives_the_same_inputs() -> None:
    def drawn() -> list[bytes]:
        rng = random.Random(3)
        document = {"a": [{"id": "x", "n": 1}], "b": "text"}
        return [inputs.text_of(inputs.changed(document, rng), rng) for _ in range(50)]

    assert drawn() == drawn()


def test_crashes_and_hangs_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "HANG_S", 0.01)

    def refuse() -> str:
        raise InputError("no")

    def crash() -> str:
        raise KeyError("x")

    def hang() -> str:
        time.sleep(0.02)
        return "read"

    for work, bad in ((refuse, 0), (crash, 1), (hang, 1), (lambda: "CRASH 500", 1)):
        seen = Found("test")
        seen.judge("input", work)
        assert len(seen.bad) == bad
        assert seen.report(1) is (not bad)
