"""Every way of damage is named; what is whole passes, also as a copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.lab import checksums
from testbed.lab.checksums import NAME, Depth

DEPTHS: tuple[Depth, ...] = ("vital", "listed", "whole")
VITAL = ("manifest.txt", "bin/*")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder as a build leaves it; bin is vital, lib is not."""
    root = tmp_path / "image"
    for name, text in {"bin/sh": "shell", "lib/c.so": "library", "manifest.txt": "c 1\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "bin/sh").chmod(0o755)
    (root / "bin/bash").symlink_to("sh")
    (root / "empty").mkdir()
    checksums.write(root, VITAL)
    return root


def _flip(path: Path) -> None:
    """Another bit, and nothing else of the file, as a worn disk would have it."""
    before = path.stat()
    raw = path.read_bytes()
    path.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def _replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def _empty_folder(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


WAYS: list[tuple[str, Callable[[Path], object], str]] = [
    ("bin/sh", lambda p: p.write_text(""), "bin/sh is empty, and had 5 bytes"),
    ("bin/sh", lambda p: p.write_text("she"), "bin/sh has 3 of 5 bytes"),
    ("bin/sh", lambda p: p.write_text("other"), "bin/sh has other content"),
    ("bin/sh", Path.unlink, "bin/sh is missing"),
    ("bin/sh", lambda p: p.chmod(0o644), "bin/sh has the permissions 644 instead of 755"),
    ("bin/sh", _replace_by_folder, "bin/sh is a folder instead of a file"),
    ("bin/bash", _replace_by_link, "bin/bash leads elsewhere"),
    ("bin", shutil.rmtree, "bin/bash is missing (and 1 more)"),
    ("manifest.txt", lambda p: p.write_text("c 2\n"), "manifest.txt has other content"),
    (NAME, Path.unlink, f"{NAME} is missing"),
    (NAME, lambda p: p.write_text(""), f"{NAME} is not what was written"),
    (NAME, lambda p: p.write_text("\x00" * 9), f"{NAME} is not what was written"),
    (NAME, lambda p: p.write_text('{"a": 1}'), f"{NAME} is not what was written"),
    (NAME, lambda p: p.write_bytes(p.read_bytes()[:150]), f"{NAME} is not what was written"),
    ("", _empty_folder, f"{NAME} is missing"),
    ("", _replace_by_file, f"{NAME} cannot be read: Not a directory"),
]


@pytest.mark.parametrize(("name", "damage", "told"), WAYS)
def test_damage_of_what_is_vital(
    tree: Path, name: str, damage: Callable[[Path], object], told: str
) -> None:
    damage(tree / name)
    for depth in DEPTHS:
        found = checksums.faults(tree, depth)
        assert found, depth
        if depth == "vital":
            assert told in checksums.told(found)


SLOW: list[tuple[str, Callable[[Path], object], Depth, str]] = [
    ("lib/c.so", lambda p: p.write_text(""), "listed", "lib/c.so is empty, and had 7 bytes"),
    ("lib/c.so", Path.unlink, "listed", "lib/c.so is missing"),
    ("lib", shutil.rmtree, "listed", "lib is missing (and 1 more)"),
    ("empty", Path.rmdir, "listed", "empty is missing"),
    ("bin/new", Path.touch, "listed", "bin/new is not of it"),
    ("lib/c.so", _flip, "whole", "lib/c.so has other content"),
    ("bin/sh", _flip, "whole", "bin/sh has other content"),
]


@pytest.mark.parametrize(("name", "damage", "depth", "told"), SLOW)
def test_damage_that_takes_a_closer_look(
    tree: Path, name: str, damage: Callable[[Path], object], depth: Depth, told: str
) -> None:
    damage(tree / name)
    assert checksums.faults(tree, "vital") == []
    assert told in checksums.told(checksums.faults(tree, depth))


def test_a_copy_is_whole_whatever_its_times(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tree, copy, symlinks=True, copy_function=shutil.copy)
    (copy / "bin/sh").touch()
    (copy / "bin/sh").chmod(0o4755)
    for depth in DEPTHS:
        assert checksums.faults(copy, depth) == []
