"""A program in a lab is root there and reaches nothing of the host, whoever started the lab."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab import image, unprivileged
from testbed.lab.base import CONSOLE, GUEST_JOB, PROJECT, Lab
from testbed.lab.native import NativeLab
from testbed.lab.virtual import VirtualLab
from testbed.lab.wall import WallLab
from tests.lab.confinement import PROBES
from tests.lab.kernel_keys import planted, revoke
from tests.lab.ordinary import as_user
from tests.lab.test_labs import belonging_to

pytestmark = [pytest.mark.lab, pytest.mark.exact]

LABS: dict[str, Lab] = {
    "virtual": VirtualLab(memory_bytes=512 << 20),
    "wall": WallLab(memory_bytes=512 << 20),
    "native": NativeLab({}),
}
CALLERS = ("root", "user") if os.geteuid() == 0 else ("user",)
MARK = "written-by-a-lab"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file of the caller's that others may read, beside the cache, in the caller's home."""
    path = Path.home() / ".cache" / f"secret-{os.getpid()}"
    path.parent.mkdir(exist_ok=True)
    path.write_text("of the host")
    yield path
    path.unlink()


@pytest.fixture
def listening(place: Path) -> Iterator[list[socket.socket]]:
    """Sockets of the host: in a folder, abstract, and of TCP."""
    found = []
    for family, address in (
        (socket.AF_UNIX, str(place / "socket")),
        (socket.AF_UNIX, f"\0lab-{os.getpid()}"),
        (socket.AF_INET, ("127.0.0.1", 0)),
    ):
        one = socket.socket(family)
        one.bind(address)
        one.listen()
        one.setblocking(False)
        found.append(one)
    yield found
    for one in found:
        one.close()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("lab", LABS)
def test_nothing_of_the_host_is_reached(
    lab: str, caller: str, place: Path, secret: Path, listening: list[socket.socket]
) -> None:
    job = place / "job"
    job.mkdir()
    folders = [str(p) for p in (secret.parent, Path.home(), PROJECT, image.existing().root)]
    (job / "asked.json").write_text(
        json.dumps(
            {
                "lab": lab,
                "mark": MARK,
                "secrets": [str(secret)],
                "folders": [*folders, str(place)],
                "processes": [os.getpid(), os.getppid()],
                "sockets": [str(place / "socket"), f"@lab-{os.getpid()}"],
                "port": listening[2].getsockname()[1],
            }
        )
    )
    ids: dict[str, dict[str, str]] = {}

    def start() -> int:
        asked = json.loads((job / "asked.json").read_text())
        serials = planted()  # of who starts the lab
        (job / "asked.json").write_text(json.dumps(asked | {"keys": serials}))
        argv = ["python3", "-m", "tests.lab.confinement", "/results/asked.json"]
        process = LABS[lab].start(job, argv)
        while process.poll() is None:
            ids.update(_credentials(job))
            time.sleep(0.1)
        (place / "ids.json").write_text(json.dumps(ids))
        revoke(serials)
        return process.returncode

    code = start() if caller == "root" or os.geteuid() else as_user(start, place, job)
    unprivileged.take_back(job)
    assert code == 0, (job / CONSOLE).read_text()
    found = json.loads((job / "found.json").read_text())
    assert found == {probe.__name__: [] for probe in PROBES}

    for folder in folders:
        assert not Path(folder, MARK).exists()
    for one in listening:
        with pytest.raises(BlockingIOError):
            one.accept()
    _nothing_planted(job)

    seen = json.loads((place / "ids.json").read_text())
    assert seen
    for pid, status in seen.items():
        assert "0" not in status["Uid"].split(), (pid, status)
        if lab != "native" and status["Name"] != "bwrap":
            assert int(status["CapBnd"], 16) == 0, (pid, status)
        assert status["NoNewPrivs"] == "1", (pid, status)


def _nothing_planted(job: Path) -> None:
    """Links, pipes and set-user-id programs are gone, and all is the caller's to read."""
    left = {path.name for path in job.rglob("*") if path.name.startswith("planted")}
    assert left == {"planted-program", "planted-closed"}
    assert (job / "planted-closed/file").exists()
    for path in job.rglob("*"):
        found = path.lstat()
        assert stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        assert found.st_uid == os.geteuid()
        assert not found.st_mode & 0o7000


def _credentials(job: Path) -> dict[str, dict[str, str]]:
    """What the processes inside a lab are on the host, by process."""
    found = {}
    for pid in belonging_to(job):
        try:
            places = [
                row.split()[4] for row in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            ]
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        if GUEST_JOB in places:
            found[pid] = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return found
