"""A file is whole or as it was before, whatever ends its writing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from testbed.files import whole, write_json, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from testbed.files import whole
with whole(Path(sys.argv[1])) as file:
    file.write(b"new" * 10000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["nameless", "named"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there, on a file system that has nameless files or has none."""
    if request.param == "named":
        opened = os.open

        def refuse(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return opened(path, flags, mode)

        monkeypatch.setattr(os, "open", refuse)
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def test_it_appears_when_it_is_whole(target: Path) -> None:
    with whole(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_in_its_place_is_not_followed(target: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / f".{target.name}.{os.getpid()}.part").symlink_to(other)
    with suppress(FileExistsError):
        write_whole(target, b"new")
    assert other.read_bytes() == b"precious"


def _fail(file: IO[bytes]) -> None:
    file.write(b"ne")
    raise RuntimeError


def test_what_was_there_stays_when_writing_fails(target: Path) -> None:
    with pytest.raises(RuntimeError), whole(target) as file:
        _fail(file)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_what_was_there_stays_when_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    command = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(command, check=False).returncode < 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the old text and the new there is no other: the last step is a rename."""
    path = tmp_path / "file.json"
    write_json(path, {"state": "old"})
    old = path.read_bytes()

    def crash(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, crash)
            patch.setattr(os, name, crash)
        with pytest.raises(OSError, match="Input/output"):
            write_json(path, {"state": "new" * 10_000})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
