"""What labs are made of is built once, whole or not at all."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.lab import cache, host


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(host, "missing_to_build_image", list)
    return tmp_path / "slicing-testbed"


def test_built_once_by_the_first_of_two(folder: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    built: list[str] = []
    said: list[str] = []

    def fill(part: Path) -> None:
        built.append(part.name)
        begun.set()
        go_on.wait(10)
        (part / cache.MANIFEST).touch()

    def waits(text: str) -> None:
        said.append(text)
        go_on.set()

    first = threading.Thread(
        target=cache.build, args=("image", "k", fill), kwargs={"space": "", "say": said.append}
    )
    first.start()
    assert begun.wait(10)
    assert cache.find("image", "k") is None
    cache.build("image", "k", fill, space="", say=waits)
    first.join()
    assert built == ["image-k.part"]
    assert said == ["waiting for another build of the image"]
    assert cache.find("image", "k") == folder / "image-k"


@pytest.mark.parametrize("failure", [LabError("no"), OSError(errno.ENOSPC, "full")])
def test_failed_and_interrupted_builds_leave_nothing(folder: Path, failure: Exception) -> None:
    (folder / "kernel-old.part" / "sub").mkdir(parents=True)
    (folder / "kernel-old.part" / "sub").chmod(0o500)

    def fill(part: Path) -> None:
        (part / "half").touch()
        raise failure

    with pytest.raises(LabError, match=r"^no|cannot write the lab kernel: full"):
        cache.build("kernel", "k", fill, space="3 GB", say=lambda _: None)
    assert [path.name for path in folder.iterdir()] == ["kernel.lock"]
