"""Staging folders vanish unless committed, even when the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.errors import ResultError
from testbed.results.staging import PREFIX, staging, sweep

HOLDER = """
import sys, time
from pathlib import Path
from testbed.results.staging import staging
with staging(Path(sys.argv[1])) as path:
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("x" * 10000)
    print(path, flush=True)
    time.sleep(60)
"""


def _gone(path: Path, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not path.exists()


def test_vanishes_after_the_block_and_when_it_raises(tmp_path: Path) -> None:
    with staging(tmp_path / "new") as path:
        (path / "file").write_text("kept nowhere")
        assert path.is_dir()
        assert path.name.startswith(PREFIX)
    assert not path.exists()
    with pytest.raises(RuntimeError), staging(tmp_path) as path:
        raise RuntimeError
    assert os.listdir(tmp_path) == ["new"]  # noqa: PTH208


def test_what_is_renamed_stays(tmp_path: Path) -> None:
    with staging(tmp_path) as path:
        (path / "file").write_text("kept")
        path.rename(tmp_path / "final")
    assert (tmp_path / "final" / "file").read_text() == "kept"


def test_kill_leaves_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    path = Path(holder.stdout.readline().strip())
    assert (path / "deep" / "file").exists()
    assert sweep(tmp_path) == []  # a living run is left alone
    assert path.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert _gone(path)
    assert list(tmp_path.iterdir()) == []


def test_folders_nobody_holds_are_swept(tmp_path: Path) -> None:
    stale = tmp_path / f"{PREFIX}123"
    (stale / "deep").mkdir(parents=True)
    with staging(tmp_path) as path:
        assert not stale.exists()
        assert path.exists()


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError) as caught, staging(tmp_path / "file"):
        pass
    assert "TESTBED_HOME" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_root_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ResultError) as caught, staging(tmp_path):
        pass
    assert "Permission denied" in caught.value.what


def test_ctrl_c_to_the_group_leaves_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    path = Path(holder.stdout.readline().strip())
    os.killpg(holder.pid, signal.SIGINT)
    holder.wait()
    holder.stdout.close()
    assert _gone(path)
