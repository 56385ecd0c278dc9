"""A lab takes no more memory the longer it runs, and says so when it has none left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.errors import LabError
from testbed.lab.virtual import VirtualLab
from tests.virtual.asked import asked, run

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

SETTLED_S, ASKED_S = 50, 150
MOST_GROWTH_BYTES = 1 << 20
HOG = "x = [bytearray(1_000_000) for _ in range(10_000)]"


def test_traffic_takes_no_more_memory_with_time(tmp_path: Path) -> None:
    """The probes' events fill 4 MB of files between the two looks at it."""
    what = asked(seconds=ASKED_S)
    plan = msgspec.structs.replace(what.plan, loads=())
    free_bytes: dict[int, int] = {}

    def show(row: dict[str, Any]) -> None:
        if row["stage"] == "traffic":
            free_bytes[row["done"]] = row["free_bytes"]

    run(msgspec.structs.replace(what, plan=plan), tmp_path, show=show)
    settled = min(free for second, free in free_bytes.items() if second <= SETTLED_S)
    later = min(free for second, free in free_bytes.items() if second > SETTLED_S)
    assert len(free_bytes) >= ASKED_S
    assert settled - later < MOST_GROWTH_BYTES


def test_memory_that_runs_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.run.GUEST", ("python3", "-c", HOG))
    with pytest.raises(LabError) as caught:
        run(asked(), tmp_path, lab=VirtualLab(memory_bytes=256 << 20), timeout_s=120)
    assert "the lab ran out of memory: its kernel ended python3" in str(caught.value)
