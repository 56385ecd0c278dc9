"""How long a lab may take, and what the host makes of its end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.errors import LabError
from testbed.lab.base import CONSOLE
from testbed.lab.virtual import VirtualLab
from testbed.run import PACKET_S, SETUP_SECONDS, _verdict, limits
from tests.virtual.asked import asked

KILLED = "Out of memory: Killed process 66 (python3) total-vm:1kB, anon-rss:1kB\n"
BUS_ERROR = "Bus error - the host /dev/shm or /tmp mount likely just ran out of space\n"


def test_limits_count_packets_of_loads() -> None:
    plan = asked(seconds=1000).plan
    quiet = limits(msgspec.structs.replace(plan, loads=(), sessions=()))
    loaded = limits(msgspec.structs.replace(plan, sessions=()))
    assert quiet == (SETUP_SECONDS + 3 * plan.duration_ns / 1e9, SETUP_SECONDS)
    packets = sum(11e6 * 1000 / (8 * load.packet_bytes) for load in plan.loads)
    assert packets > 1_000_000
    assert loaded.whole_s - quiet.whole_s == pytest.approx(packets * PACKET_S)
    assert loaded.silent_s - quiet.silent_s == pytest.approx(packets * PACKET_S)
    assert limits(plan) > loaded


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (KILLED, "the lab ran out of memory: its kernel ended python3"),
        (BUS_ERROR, "the host had no memory left for the lab"),
        ("Segmentation fault\n", "the lab ended with code 255 before the guest program was done"),
    ],
)
def test_end_without_a_word_of_the_guest(words: str, told: str, tmp_path: Path) -> None:
    (tmp_path / CONSOLE).write_text("booting\n" + words)
    problem = _verdict(tmp_path, 255, VirtualLab(), None)
    assert isinstance(problem, LabError)
    assert problem.what == told


def test_run_that_lost_a_program_for_want_of_memory_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text('{"status": "ok", "error": null}')
    assert _verdict(tmp_path, 0, VirtualLab(), None) is None
    (tmp_path / CONSOLE).write_text(KILLED)
    assert isinstance(_verdict(tmp_path, 0, VirtualLab(), None), LabError)
