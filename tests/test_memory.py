"""A lab's memory follows the plan, and what is too little is told with what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import memory
from testbed.errors import InputError, LabError
from testbed.lab.base import CONSOLE
from testbed.lab.native import NativeLab
from testbed.lab.virtual import MEMORY_BYTES, VirtualLab
from testbed.lab.wall import WallLab
from testbed.plan.memory import needed_bytes, wanted_bytes
from testbed.plan.model import Plan
from testbed.prepare import bare

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(scope="module")
def ring() -> Plan:
    return bare("metro_ring", {"sites": "25"}, "shortest_path").plan


@pytest.fixture
def huge(ring: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan that takes 3 GiB, on a machine that has 16."""
    monkeypatch.setattr("testbed.memory.needed_bytes", lambda plan: 3 * GIB)
    monkeypatch.setattr("testbed.memory.wanted_bytes", lambda plan: 5 * GIB)
    monkeypatch.setattr("testbed.lab.host.memory_bytes", lambda: 16 * GIB)
    monkeypatch.setattr("testbed.lab.host.available_memory_bytes", lambda: 8 * GIB)
    return ring


def test_estimate_is_near_what_was_measured(ring: Plan) -> None:
    small = bare("metro_ring", {}, "shortest_path").plan
    assert 0.9 < needed_bytes(small) / (96 * MIB) < 1.25
    assert 0.9 < needed_bytes(ring) / (125 * MIB) < 1.25
    assert wanted_bytes(ring) % (256 * MIB) == 0
    assert wanted_bytes(ring) >= 1.5 * needed_bytes(ring)


def test_small_plans_all_get_the_same_and_large_ones_more(ring: Plan, huge: Plan) -> None:
    lab = VirtualLab()
    assert memory.fitted(lab, huge).memory_bytes == 5 * GIB
    assert lab.memory_bytes == MEMORY_BYTES  # it is the same for the next plan
    assert memory.fitted(lab, huge, 4 * GIB).memory_bytes == 4 * GIB


def test_a_plan_that_wants_no_more_leaves_the_lab_as_it_is(ring: Plan) -> None:
    lab = VirtualLab()
    assert memory.fitted(lab, ring) is lab


def test_a_machine_with_too_little_says_so(huge: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.lab.host.available_memory_bytes", lambda: 2 * GIB)
    with pytest.raises(LabError) as caught:
        memory.fitted(VirtualLab(), huge)
    assert "takes about 3072 MiB" in caught.value.what
    assert "2048 MiB are available" in caught.value.what


@pytest.mark.parametrize("lab", [VirtualLab(), WallLab()])
@pytest.mark.parametrize("size", [0, MIB, 255 * MIB, 16 * GIB + 1, 1000 * GIB])
def test_absurd_memory(lab: VirtualLab, size: int, huge: Plan) -> None:
    with pytest.raises(InputError, match="memory cannot") as caught:
        memory.fitted(lab, huge, size)
    assert "256 MiB to 16 GiB, which" in caught.value.expected


def test_native_lab_has_no_memory_of_its_own(huge: Plan) -> None:
    native = NativeLab({})
    assert memory.fitted(native, huge) is native
    with pytest.raises(InputError, match="takes this machine's memory"):
        memory.fitted(native, huge, GIB)


def test_memory_that_ran_out_is_told_with_what_would_do(tmp_path: Path, huge: Plan) -> None:
    lab = VirtualLab(memory_bytes=GIB)
    assert memory.lack(tmp_path, lab, huge) is None
    line = "Out of memory: Killed process 77 ({}) total-vm:1kB\n"
    (tmp_path / CONSOLE).write_text("boot\n" + line.format("ovs-vswitchd") + line.format("x y"))
    short = memory.lack(tmp_path, lab, huge)
    assert short is not None
    assert "its kernel ended ovs-vswitchd, x y" in short.what
    assert "virtual with 1024 MiB" in short.where
    assert "3072 MiB" in short.expected
    assert '--memory "5120 MiB"' in short.remedy
    alone = memory.lack(tmp_path, lab, None)
    assert alone is not None
    assert '--memory "2048 MiB"' in alone.remedy
    (tmp_path / CONSOLE).write_text("Bus error - the host /dev/shm or /tmp mount likely full\n")
    host = memory.lack(tmp_path, lab, huge)
    assert host is not None
    assert "8192 MiB available now" in host.where
