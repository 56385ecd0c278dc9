"""What a lab leaves in its job folder is the caller's, and nothing in it is a trap."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from testbed.files import open_plain
from testbed.lab.unprivileged import UID, hand_over, prefix, take_back, user

ROOT = os.geteuid() == 0


def test_only_files_and_folders_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("of the host")
    (elsewhere / "file").chmod(0o640)
    job = tmp_path / "job"
    (job / "deep").mkdir(parents=True)
    (job / "deep/program").write_text("x")
    (job / "deep/program").chmod(0o6755)
    (job / "deep/closed").write_text("x")
    (job / "deep/closed").chmod(0)
    (job / "deep").chmod(0)
    (job / "link").symlink_to(elsewhere / "file")
    (job / "folder").symlink_to(elsewhere)
    os.mkfifo(job / "pipe")
    if ROOT:
        for path in (job / "deep", job / "deep/program"):
            os.chown(path, UID, UID)
    job.chmod(0o777)
    take_back(job)
    assert {path.name for path in job.rglob("*")} == {"deep", "program", "closed"}
    assert stat.S_IMODE(job.stat().st_mode) == 0o700
    assert stat.S_IMODE((job / "deep/program").stat().st_mode) == 0o755
    assert (job / "deep/closed").read_text() == "x"
    assert {path.stat().st_uid for path in job.rglob("*")} == {os.geteuid()}
    assert stat.S_IMODE((elsewhere / "file").stat().st_mode) == 0o640


@pytest.mark.timeout(20)
def test_only_a_plain_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    with open_plain(tmp_path / "file") as file:
        assert file.read() == b"words"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link", "absent"):
        with pytest.raises(OSError, match=name):
            open_plain(tmp_path / name)


def test_a_lab_is_never_roots(tmp_path: Path) -> None:
    assert user(tmp_path) == ((UID, UID) if ROOT else None)


@pytest.mark.skipif(not ROOT, reason="only root can make an image another user's")
def test_a_lab_on_another_users_image_is_that_users_and_its_groups(tmp_path: Path) -> None:
    image, job = tmp_path / "image", tmp_path / "job"
    for folder in (image, job):
        folder.mkdir()
        (folder / "file").touch()
    os.chown(image, 12345, 678)
    assert user(image) == (12345, 678)
    words = prefix(image, {})
    assert words[words.index(str(image)) :] == [str(image), "12345", "678", "--"]
    hand_over(image, job)
    given = (job / "file").stat()
    assert (given.st_uid, given.st_gid) == (12345, 678)
    assert (job.stat().st_uid, job.stat().st_gid) == (0, 678)
    assert (image / "file").stat().st_uid == 0
    os.chown(image, 12345, 0)
    assert user(image) == (12345, 12345)
