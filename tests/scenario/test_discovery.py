"""Plugins are found by folder, loaded by path, and broken ones say where."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import InputError
from testbed.scenario import discovery
from testbed.scenario.experiment import Experiment

GOOD = '''
from testbed.scenario.experiment import Experiment


class Mine(Experiment):
    """Mine?"""
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    monkeypatch.delenv("TESTBED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_users_files_stand_beside_the_shipped_ones(project: Path) -> None:
    (project / "experiments" / "mine.py").write_text(GOOD)
    assert {"mine", "metro_slices"} <= set(discovery.files("experiment"))
    assert discovery.load("experiment", "mine", Experiment).__name__ == "Mine"
    assert discovery.home() == project.resolve()


def test_a_changed_file_is_loaded_again(project: Path) -> None:
    path = project / "experiments" / "mine.py"
    path.write_text(GOOD)
    discovery.load("experiment", "mine", Experiment)
    path.write_text(GOOD.replace("class Mine", "class Other"))
    assert discovery.load("experiment", "mine", Experiment).__name__ == "Other"


def test_a_misspelt_name_meets_its_nearest(project: Path) -> None:
    with pytest.raises(InputError) as error:
        discovery.load("experiment", "metro_slice", Experiment)
    assert "metro_slices" in error.value.remedy


def test_a_duplicate_name_names_both_files(project: Path) -> None:
    (project / "experiments" / "metro_slices.py").write_text(GOOD)
    with pytest.raises(InputError) as error:
        discovery.files("experiment")
    assert error.value.where.count("metro_slices.py") == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [("x = 1\nraise ValueError('no')\n", 2), ("import nonsense_xyz\n", 1), ("def f(:\n", 1)],
)
def test_a_file_that_does_not_load_names_its_line(project: Path, text: str, line: int) -> None:
    path = project / "experiments" / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        discovery.load("experiment", "mine", Experiment)
    assert error.value.where == f"{path}:{line}"


def test_a_file_without_a_class_is_refused(project: Path) -> None:
    (project / "experiments" / "mine.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="defines no experiment"):
        discovery.load("experiment", "mine", Experiment)


def test_a_folder_that_is_gone_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="the current folder is gone"):
        discovery.home()


def test_a_folder_that_may_not_be_entered_is_no_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `su` and `sudo -u` leave another user in root's home."""
    inner = project / "closed"
    inner.mkdir()
    monkeypatch.chdir(inner)
    looked = os.stat

    def refuse(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if isinstance(path, str | Path) and Path(path).parent == inner:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return looked(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", refuse)
    assert discovery.home() == project.resolve()
