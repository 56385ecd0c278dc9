"""A child has none of its parent's kernel keys."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab import keys
from tests.lab.confinement import keys as reached
from tests.lab.kernel_keys import planted, revoke

ASKS = """
import json, sys
from tests.lab.confinement import keys
print(json.dumps(keys({"lab": "native", "keys": json.loads(sys.argv[1])})))
"""


@pytest.fixture
def serials() -> Iterator[list[int]]:
    found = planted()
    if not found:
        pytest.skip("optional: no keyrings here")
    yield found
    revoke(found)


def _reached_by_child(serials: list[int], *, refused: bool | None) -> list[str]:
    done = subprocess.run(
        ["setsid", sys.executable, "-c", ASKS, json.dumps(serials)],
        cwd=Path(__file__).parents[2],
        preexec_fn=None if refused is None else keys.without(refused=refused),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_whoever_is_not_kept_from_keys_reaches_them(serials: list[int]) -> None:
    assert len(_reached_by_child(serials, refused=None)) >= 2
    assert reached({"lab": "virtual", "keys": serials}) == []  # asked of the lab's own kernel


def test_the_session_has_keys_of_its_own(serials: list[int]) -> None:
    before = len(_reached_by_child(serials, refused=None))
    assert 0 < len(_reached_by_child(serials, refused=False)) < before


def test_refused_is_refused(serials: list[int]) -> None:
    assert _reached_by_child(serials, refused=True) == []


def test_other_calls_work_and_other_instruction_sets_are_none() -> None:
    words = "import ctypes, os; print(ctypes.CDLL(None).syscall(1 << 30 | 39), os.getpid() > 0)"
    done = subprocess.run(
        [sys.executable, "-c", words],
        preexec_fn=keys.without(refused=True),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "-1 True\n"
    assert ctypes.CDLL(None).getpid() > 0
