"""What the machine offers, from files and programs the test makes."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.lab import host


def test_subordinate_ids_are_summed_for_the_user_only(tmp_path: Path) -> None:
    name = pwd.getpwuid(os.getuid()).pw_name
    file = tmp_path / "subuid"
    file.write_text(f"somebody:100000:65536\n{name}:200000:65536\n{os.getuid()}:300000:10\nbad\n")
    assert host.subordinate_ids(str(file)) == 65546
    assert host.subordinate_ids(str(tmp_path / "absent")) == 0


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys = 54321  # as in `docker run --user 54321`
    monkeypatch.setattr(os, "getuid", lambda: nobodys)
    monkeypatch.setattr(os, "geteuid", lambda: nobodys)
    lacks = [lack for lack in host.missing_to_build_image() if "subordinate" in lack.what]
    assert [lack.what for lack in lacks] == [f"a range of 65536 subordinate ids for {nobodys}"]


def test_absent_program_names_its_package() -> None:
    (lack,) = host.missing_programs({"sh": "dash", "no-such-program": "some-package"}, "tests")
    assert lack.what == "the program no-such-program"
    assert "some-package" in lack.remedy


def test_module_no_kernel_has() -> None:
    (lack,) = host.missing_modules({"no_such_module": "tests need it"})
    assert lack.what == "the kernel module no_such_module"
    assert lack.why == "tests need it"


@pytest.mark.parametrize(
    ("euid", "loadable", "remedy"),
    [(1000, True, "sudo modprobe -a absent"), (1000, False, "take a kernel"), (0, True, None)],
)
def test_remedy_of_an_absent_module(
    euid: int, loadable: bool, remedy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(host, "_loadable", lambda module: loadable)
    remedies = [lack.remedy for lack in host.missing_modules({"absent": "tests"})]
    assert remedies == [] if remedy is None else remedies[0].startswith(remedy)


def test_a_descendant_is_found_beside_processes_of_any_name() -> None:
    name = "import ctypes; ctypes.CDLL(None).prctl(15, NAME, 0, 0, 0); print(flush=True); input()"
    named = [name.replace("NAME", repr(one)) for one in (b"\xff\xfe (x) y", b"lab-kernel")]
    with ExitStack() as stack:
        pids = []
        for program in named:
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            stack.callback(child.kill)
            assert child.stdout is not None
            child.stdout.readline()
            pids.append(child.pid)
        assert host.descendant(os.getpid(), "lab-kernel") == pids[1]
        assert host.descendant(pids[0], "lab-kernel") is None
