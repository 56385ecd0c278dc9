"""Which lab a run gets, with labs that lack what the test says."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.errors import InputError, LabError
from testbed.lab import choose
from testbed.lab.base import Lab, Missing
from testbed.lab.checksums import Depth


class PaperLab:
    """A lab that is only asked what it lacks."""

    memory_bytes: int | None = None

    def __init__(self, name: str, *lacks: str) -> None:
        self.name = name
        self._lacks = [Missing(what, f"{name} needs it", f"install {what}") for what in lacks]

    def missing(self, depth: Depth = "vital") -> list[Missing]:
        return self._lacks

    def describe(self) -> dict[str, str]:
        return {"lab": self.name}

    def start(
        self, job: Path, argv: Sequence[str], *, interactive: bool = False, seed: int = 1
    ) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def sized(self, memory_bytes: int) -> Lab:
        raise NotImplementedError

    def pause(self, process: subprocess.Popen[bytes], *, paused: bool) -> bool:
        raise NotImplementedError


def labs(*all_labs: PaperLab) -> dict[str, Lab]:
    return {lab.name: lab for lab in all_labs}


def test_first_that_lacks_nothing_and_why_not_the_preferred() -> None:
    lab, fallbacks = choose(None, labs(PaperLab("one", "kernel"), PaperLab("two")))
    assert lab.name == "two"
    assert fallbacks == ("lab one lacks kernel: one needs it",)


def test_preferred_needs_no_excuse() -> None:
    lab, fallbacks = choose(None, labs(PaperLab("one"), PaperLab("two")))
    assert (lab.name, fallbacks) == ("one", ())


def test_lab_asked_for_is_never_replaced() -> None:
    with pytest.raises(LabError, match="the one lab cannot start") as caught:
        choose("one", labs(PaperLab("one", "kernel"), PaperLab("two")))
    assert caught.value.remedy == "install kernel"


def test_none_can_start() -> None:
    with pytest.raises(LabError) as caught:
        choose(None, labs(PaperLab("one", "kernel"), PaperLab("two", "root", "kernel")))
    assert caught.value.remedy == "install kernel; install root"
    assert "lab two lacks root" in caught.value.where


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'wall'"):
        choose("walk")
