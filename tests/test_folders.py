"""A folder that others filled is removed, whatever is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.folders import remove
from testbed.lab.unprivileged import take_back
from testbed.results import janitor

DEEP = 3000
"""Deeper than Python recurses, and with its names a path longer than the kernel takes."""


def _deep(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("aa", dir_fd=here)
        below = os.open("aa", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


def _closed(folder: Path) -> None:
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").touch()
    for path in (folder / "a/b/file", folder / "a/b", folder / "a", folder):
        path.chmod(0)


def _links(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(folder.parent / "kept")
    (folder / "sub/link").symlink_to(folder.parent / "kept/file")
    (folder / "sub/nowhere").symlink_to("nowhere")


def _odd(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for name in (b"\xff\n", b"-rf", b".", b".x"):
        if name != b".":
            os.makedirs(os.path.join(os.fsencode(folder), name, name))  # noqa: PTH103, PTH118 - octets


def _many(folder: Path) -> None:
    for n in range(300):
        (folder / f"{n}/{n}").mkdir(parents=True)


FILLED = (_deep, _closed, _links, _odd, _many)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file that links lead to."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("of the host")
    (tmp_path / "kept/file").chmod(0o640)
    return tmp_path / "kept/file"


@pytest.mark.parametrize("filled", FILLED)
def test_it_goes_and_nothing_else(
    filled: Callable[[Path], None], tmp_path: Path, kept: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    filled(folder)
    remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "of the host"
    assert kept.stat().st_mode & 0o777 == 0o640


def test_what_is_in_its_place_goes_alone(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "link").symlink_to(kept.parent)
    (tmp_path / "file").touch()
    for name in ("link", "file", "nowhere"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.exists()


@pytest.mark.parametrize("filled", FILLED)
def test_the_janitor_removes_it(filled: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / ".staging-x"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", janitor.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    filled(folder)
    _, words = process.communicate()
    assert words == ""
    assert not folder.exists()


def test_what_a_lab_nested_without_end_is_not_kept(tmp_path: Path) -> None:
    job = tmp_path / "job"
    (job / "logs/of/it").mkdir(parents=True)
    (job / "logs/of/it/log").touch()
    _deep(job)
    take_back(job)
    assert (job / "logs/of/it/log").exists()
    assert 10 < len(list(job.rglob("aa"))) < 40
