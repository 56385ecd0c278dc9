"""Staging folders vanish unless committed, even when the process is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.errors import ResultError
from testbed.process import ended, hold
from testbed.results.janitor import COLLECTED
from testbed.results.staging import PREFIX, alone, scratch, staging, sweep

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
    assert os.listdir(tmp_path) == ["new"]


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


def test_short_lived_folders_keep_nothing(tmp_path: Path) -> None:
    """Whatever a program in a lab writes there."""
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / COLLECTED).touch()
    with staging(tmp_path):
        assert left.exists()  # it may be a run's
    with staging(tmp_path, keep=False) as path:
        assert not left.exists()
        (path / COLLECTED).touch()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that has none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_who_has_it_open_holds_it(tmp_path: Path) -> None:
    stale = tmp_path / f"{PREFIX}stale"
    stale.mkdir()
    with alone(stale) as holder:
        assert holder == "unknown"  # another machine may
    with staging(tmp_path) as path, alone(path) as holder:
        assert holder == "somebody"
    assert sweep(tmp_path) == []


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_lab_is_known_by_its_open_file(tmp_path: Path) -> None:
    held = hold(tmp_path)
    assert not ended(tmp_path, 0)
    os.close(held)
    assert ended(tmp_path, 0)


def test_folders_nobody_holds_are_swept(tmp_path: Path) -> None:
    stale = tmp_path / f"{PREFIX}123"
    (stale / "deep").mkdir(parents=True)
    with staging(tmp_path) as path:
        assert not stale.exists()
        assert path.exists()


@pytest.mark.timeout(20)
def test_what_others_name_like_a_staging_folder_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("not to be lost")
    os.mkfifo(tmp_path / f"{PREFIX}fifo")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    with staging(tmp_path):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"elsewhere", *(f"{PREFIX}{kind}" for kind in ("fifo", "link", "file"))}
    assert (elsewhere / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder another user's")
def test_folders_of_others_are_not_swept(tmp_path: Path) -> None:
    theirs = tmp_path / f"{PREFIX}theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    assert sweep(tmp_path) == []
    assert theirs.exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_staging_folder_is_closed_to_others(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with staging(tmp_path) as path:
            assert path.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_scratch_is_the_private_folder_of_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, shared = tmp_path / "session", tmp_path / "shared"
    session.mkdir(0o700)
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    assert scratch() == session
    session.chmod(0o750)
    assert scratch() == shared
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert scratch() == shared
    (tmp_path / "link").symlink_to(session)
    session.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "link"))
    assert scratch() == shared
    shared.chmod(0o777)
    with pytest.raises(ResultError) as caught:
        scratch()
    assert "chmod +t" in caught.value.remedy


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
