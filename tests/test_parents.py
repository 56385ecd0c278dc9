"""A process that is to end with its parent does so, also when the parent went first."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import os, sys, time
from pathlib import Path
from testbed.process import die_with_parent
folder = Path(sys.argv[1])
parent = os.getppid()
(folder / "started").touch()
while sys.argv[2] == "late" and os.getppid() == parent:
    time.sleep(0.005)
die_with_parent()
(folder / "goes on").touch()
time.sleep(30)
"""
PARENT = """
import subprocess, sys, time
from pathlib import Path
from testbed.process import child_environment
command = [sys.executable, "-c", *sys.argv[1:]]
child = subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
wanted = "started" if sys.argv[3] == "late" else "goes on"
while not (Path(sys.argv[2]) / wanted).exists():
    time.sleep(0.005)
"""


@pytest.mark.parametrize("moment", ["late", "in time"])
def test_child_ends_with_its_parent(moment: str, tmp_path: Path) -> None:
    parent = [sys.executable, "-c", PARENT, CHILD, str(tmp_path), moment]
    child = int(subprocess.run(parent, check=True, stdout=subprocess.PIPE).stdout)
    end = time.monotonic() + 10
    while runs(child):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (tmp_path / "goes on").exists() == (moment == "in time")


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
