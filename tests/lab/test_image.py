"""The image's recipe, cache and failures; building one is scripts/setup's to prove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.folders import remove
from testbed.lab import checksums, host, image


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "slicing-testbed"


@pytest.mark.parametrize("name", ["SUITE", "PACKAGES", "REQUIREMENTS", "LAYOUT"])
def test_key_is_of_the_whole_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.key()
    monkeypatch.setattr(image, name, ("something", "else"))
    assert image.key() != before


def test_id_tells_two_builds_of_one_recipe_apart(cache: Path) -> None:
    ids = set()
    for versions in ("iproute2 6.1", "iproute2 6.2"):
        root = cache / f"image-{image.key()}"
        root.mkdir(parents=True, exist_ok=True)
        (root / "manifest.txt").write_text(versions)
        checksums.write(root, image.CACHED.vital)
        ids.add(image.existing("whole").id)
    assert len(ids) == 2


def test_no_folder_is_no_image_and_an_empty_one_a_damaged_one(cache: Path) -> None:
    with pytest.raises(LabError, match="not built") as caught:
        image.existing()
    assert "scripts/setup" in caught.value.remedy
    (cache / f"image-{image.key()}").mkdir(parents=True)
    with pytest.raises(LabError, match="damaged: manifest") as caught:
        image.existing()
    assert "testbed image build" in caught.value.remedy


def test_requirements_are_those_of_the_project() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for requirement in image.REQUIREMENTS:
        assert f'"{requirement}"' in project


def test_local_registries_are_found(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    words = [f"find-links = {wheels}\nextra-index-url = file://{index} https://example.org/x"]
    assert image._local_sources(words) == [wheels, index.parent]


def test_no_build_without_its_programs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "program", lambda name: None)
    with pytest.raises(LabError, match="mmdebstrap") as caught:
        image.build()
    assert "scripts/setup" in caught.value.remedy
    assert not cache.exists()


def test_a_full_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's packages are put together there, not in the cache."""
    (tmp_path / "mmdebstrap").write_text(
        "#!/bin/sh\necho 'E: write error: No space left on device' >&2; exit 1\n"
    )
    (tmp_path / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "root").mkdir()
    with pytest.raises(LabError, match="no space left in the temporary folder") as caught:
        image.unpack_debian(tmp_path / "root", ["bash"])
    assert caught.value.where == str(tmp_path)
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("I: running\nE: no mirror\nI: removing tempdir /x...\n", "E: no mirror"),
        ("I: running\ntar: short read\nI: removing tempdir /x...\n", "tar: short read"),
        ("I: running\nI: removing tempdir /x...\n", "I: removing tempdir /x..."),
        ("", "it gave no reason"),
    ],
)
def test_reason_is_what_went_wrong(words: str, reason: str) -> None:
    assert image.reason(words) == reason


@pytest.mark.lab
def test_unreachable_mirror_is_named_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTBED_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    left = cache / "image-0123456789ab.x.part"
    left.mkdir(parents=True)
    with pytest.raises(LabError, match="cannot build the lab image") as caught:
        image.build()
    assert "127.0.0.1" in caught.value.what
    assert "TESTBED_DEBIAN_MIRROR" in caught.value.remedy
    assert [path.name for path in cache.iterdir()] == ["image.lock"]


@pytest.mark.lab
def test_killed_build_leaves_no_process_and_is_swept(cache: Path) -> None:
    program = "from testbed.lab import image; image.build()"
    builder = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    _wait(lambda: list(cache.glob("*.part")))
    (part,) = cache.glob("*.part")
    time.sleep(2)
    assert _mentioning(str(cache.parent))
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    _wait(lambda: not _mentioning(str(cache.parent)))
    remove(part)
    assert not part.exists()


def _wait(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def _mentioning(text: str) -> list[Path]:
    """Processes with the text in their command line or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                text.encode()
                in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            ):
                found.append(process)
        except OSError:
            continue
    return found
