"""What labs are made of is built once, whole or not at all, and again when it is damaged."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.lab import cache, host

KERNEL = cache.Cached(
    kind="kernel", why="it is the kernel", remedy="build it", vital=("*",), space="3 GB"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(host, "missing_to_build_image", list)
    return tmp_path / "slicing-testbed"


def fill(part: Path) -> None:
    (part / "linux").write_text("program")
    (part / cache.MANIFEST).write_text("gcc 12\n")


def build(key: str = "k", *, force: bool = False) -> list[str]:
    """What was said."""
    said: list[str] = []
    KERNEL.build(key, fill, say=said.append, force=force)
    return said


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_built_once_by_the_first_of_two(folder: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    built: list[str] = []
    said: list[str] = []

    def slowly(part: Path) -> None:
        built.append(part.name)
        begun.set()
        go_on.wait(10)
        fill(part)

    def waits(text: str) -> None:
        said.append(text)
        go_on.set()

    first = threading.Thread(target=KERNEL.build, args=("k", slowly), kwargs={"say": said.append})
    first.start()
    assert begun.wait(10)
    assert KERNEL.faults("k", "whole") is None
    # who waited for another build has it, also who asked for one in any case
    KERNEL.build("k", slowly, say=waits, force=True)
    first.join()
    assert len(built) == 1
    assert said == ["waiting for another build of the kernel"]
    assert KERNEL.existing("k", "whole") == folder / "kernel-k"
    assert _names(folder) == ["kernel-k", "kernel.lock"]


def test_nothing_is_said_and_done_where_it_is_whole(folder: Path) -> None:
    build()
    before = (folder / "kernel-k").stat().st_ino
    assert build() == []
    assert (folder / "kernel-k").stat().st_ino == before
    assert build(force=True) == []
    assert (folder / "kernel-k").stat().st_ino != before
    assert _names(folder) == ["kernel-k", "kernel.lock"]


def _emptied(place: Path) -> None:
    shutil.rmtree(place)
    place.mkdir()


def _another_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("")


def _dangling_link(place: Path) -> None:
    shutil.rmtree(place)
    place.symlink_to("nowhere")


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda place: (place / "linux").write_text(""), "linux is empty, and had 7 bytes"),
    (lambda place: (place / "linux").chmod(0o600), "linux has the permissions 600 instead of"),
    (lambda place: (place / cache.MANIFEST).write_text("\0"), "manifest.txt has 1 of 7 bytes"),
    (_emptied, "checksums.txt is missing"),
    (_another_file, "checksums.txt cannot be read: Not a directory"),
    (_dangling_link, "checksums.txt is missing"),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGES)
def test_what_is_damaged_is_named_with_its_remedy_and_built_again(
    folder: Path, damage: Callable[[Path], object], told: str
) -> None:
    build()
    damage(folder / "kernel-k")
    with pytest.raises(LabError, match="the lab kernel is damaged: ") as caught:
        KERNEL.existing("k", "vital")
    assert told in caught.value.what
    assert "testbed kernel build" in caught.value.remedy
    (lack,) = KERNEL.missing("k")
    assert lack.damaged
    assert told in lack.why
    (said,) = build()
    assert said.startswith(f"the lab kernel is damaged: {told}")
    assert said.endswith("; building it again")
    assert KERNEL.faults("k", "whole") == []
    assert _names(folder) == ["kernel-k", "kernel.lock"]


def test_what_is_not_built_is_not_damaged(folder: Path) -> None:
    (lack,) = KERNEL.missing("k")
    assert not lack.damaged
    assert lack.remedy == "build it"
    with pytest.raises(LabError, match="is not built"):
        KERNEL.existing("k")
    assert not folder.exists()


@pytest.mark.parametrize(
    "failure", [LabError("no"), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()]
)
def test_failed_and_interrupted_builds_leave_nothing(folder: Path, failure: BaseException) -> None:
    (folder / "kernel-old.x.part" / "sub").mkdir(parents=True)
    (folder / "kernel-old.x.part" / "sub").chmod(0o500)

    def half(part: Path) -> None:
        (part / "half").touch()
        raise failure

    told = r"^no|cannot write the lab kernel: full"
    with pytest.raises((LabError, KeyboardInterrupt), match=told if str(failure) else None):
        KERNEL.build("k", half, say=lambda _: None)
    assert _names(folder) == ["kernel.lock"]


SMALL = """
import subprocess, sys
from testbed.errors import LabError
from testbed.lab import host
from tests.lab.test_cache import KERNEL

host.missing_to_build_image = list

def fill(part):
    subprocess.run(["dd", "if=/dev/zero", f"of={part}/linux"], capture_output=True)
    raise LabError("make: Error 1")

try:
    KERNEL.build("k", fill, say=print)
except LabError as error:
    print(error)
"""


@pytest.mark.skipif(bool(host.missing_user_namespaces()), reason="no user namespaces here")
def test_a_build_on_a_full_disk_says_so_whatever_failed_of_it(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=20m none "$XDG_CACHE_HOME"'
    small = f'{mount} && "$0" -c "$1" && ls -A "$XDG_CACHE_HOME"/*'
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*alone, "sh", "-c", small, sys.executable, SMALL],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write the lab kernel: No space left on device" in done.stdout
    assert "free some, or set XDG_CACHE_HOME" in done.stdout
    assert done.stdout.endswith("\nkernel.lock\n")


def test_a_build_that_fails_leaves_the_one_that_is_there(folder: Path) -> None:
    build()

    def no(_part: Path) -> None:
        raise LabError("no")

    with pytest.raises(LabError, match="no"):
        KERNEL.build("k", no, say=lambda _: None, force=True)
    assert KERNEL.faults("k", "whole") == []


@pytest.mark.parametrize("place", ["/proc/nowhere", "file/in/the/way"])
def test_a_cache_that_cannot_be_written_is_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    monkeypatch.setattr(host, "missing_to_build_image", list)
    with pytest.raises(LabError, match="cannot write the lab kernel: ") as caught:
        build()
    assert place.split("/")[1] in caught.value.where
    assert "XDG_CACHE_HOME" in caught.value.remedy


BUILDER = """
import sys, time
from pathlib import Path
from testbed.lab import host
from tests.lab.test_cache import KERNEL, fill

host.missing_to_build_image = list

def slowly(part):
    (part / "half").touch()
    print("building", flush=True)
    sys.stdin.readline()
    (part / "half").unlink()
    fill(part)

KERNEL.build("k", slowly, say=lambda text: print(text, flush=True))
print("done", flush=True)
"""


def test_of_three_builders_the_next_takes_over_from_one_that_is_killed(folder: Path) -> None:
    builders = [_builder() for _ in range(3)]
    said = [_line(one) for one in builders]
    assert sorted(said) == ["building", *["waiting for another build of the kernel"] * 2]
    dead = builders.pop(said.index("building"))
    (left,) = folder.glob("*.part")
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    outs = {one.stdout.fileno(): one for one in builders if one.stdout}
    heir = outs[select.select(list(outs), [], [], 10)[0][0]]
    assert _line(heir) == f"removing an interrupted build, {left.name}"
    assert _line(heir) == "building"
    assert heir.stdin is not None
    heir.stdin.write("go on\n")
    heir.stdin.flush()
    assert [_line(one) for one in builders] == ["done", "done"]
    assert [one.wait(10) for one in builders] == [0, 0]
    assert KERNEL.faults("k", "whole") == []
    assert _names(folder) == ["kernel-k", "kernel.lock"]
    for one in (dead, *builders):
        one.communicate()


def _builder() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(builder: subprocess.Popen[str]) -> str:
    assert builder.stdout is not None
    return builder.stdout.readline().strip()


HOLDER = """
import sys
from pathlib import Path
from testbed.lab import cache
cache.hold(Path(sys.argv[1]))
print("holding", flush=True)
sys.stdin.read()
"""


def test_what_a_lab_runs_on_stays_until_it_has_ended(folder: Path) -> None:
    build()
    lab = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder / "kernel-k")],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert _line(lab) == "holding"
    build(force=True)
    (old,) = folder.glob("kernel-k.*.old")
    assert (old / "linux").read_text() == "program"
    lab.communicate()
    build(force=True)
    assert _names(folder) == ["kernel-k", "kernel.lock"]


def test_a_relative_cache_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "beside/this")
    assert cache.folder() == tmp_path / ".cache/slicing-testbed"


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # whom no password file knows
    with pytest.raises(LabError, match="no home folder"):
        cache.folder()
