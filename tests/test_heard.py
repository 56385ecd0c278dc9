"""What a lab's programs tell is read, whatever they wrote."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import InputError, LabError
from testbed.heard import DONE, Follower, found, last_words, outcome

ROW = {"stage": "traffic", "available_bytes": 5, "text": "1 s", "done": 1, "of": 2, "at": 0.5}
ODD = ("", "{", "[]", "{}", '"x"', "5", "[" * 100_000, '{"status": 1}', '{"stage": []}')
ODD_ERRORS: tuple[Any, ...] = (
    None,
    {},
    {"kind": "Lab"},
    {"kind": "SystemExit", "what": "x"},
    {"what": "\x1b[2J"},
)


def _follower(path: Path) -> tuple[Follower, list[dict[str, Any]]]:
    shown: list[dict[str, Any]] = []
    return Follower(path, shown.append, lambda: 0.0), shown


def test_rows_are_shown_once_when_they_are_whole(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    follower, shown = _follower(progress)
    follower.poll()
    words = json.dumps(ROW | {"more": 1})
    progress.write_text(words)
    follower.poll()
    assert shown == []
    progress.write_text(f"{words}\n{words}\n{words[:9]}")
    follower.poll()
    follower.poll()
    assert shown == [ROW | {"free_bytes": 0}] * 2
    assert (follower.stage, follower.available_bytes) == ("traffic", 5)


@pytest.mark.parametrize(
    "odd", [*ODD, *(json.dumps(ROW | {key: "x"}) for key in ("done", "of", "available_bytes"))]
)
def test_other_rows_are_passed_over(odd: str, tmp_path: Path) -> None:
    (tmp_path / "progress").write_bytes(b"\xff\n" + f"{odd}\n{json.dumps(ROW)}\n".encode())
    follower, shown = _follower(tmp_path / "progress")
    follower.poll()
    assert len(shown) == 1


@pytest.mark.timeout(60)
def test_a_line_without_end_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "progress").open("wb") as file:
        file.truncate(300 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + json.dumps(ROW).encode() + b"\n")
    follower, shown = _follower(tmp_path / "progress")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    follower.poll()
    while not shown:
        follower.poll()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10  # KiB


def test_how_it_ended(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        outcome(tmp_path)
    (tmp_path / DONE).write_text('{"status": "ok", "error": null}')
    assert outcome(tmp_path) is None
    told = InputError("no", where="there").told()
    (tmp_path / DONE).write_text(json.dumps({"status": "failed", "error": told}))
    error = outcome(tmp_path)
    assert isinstance(error, InputError)
    assert error.told() == told


@pytest.mark.parametrize("odd", ODD)
def test_an_end_that_cannot_be_read_is_an_error(odd: str, tmp_path: Path) -> None:
    (tmp_path / DONE).write_text(odd)
    error = outcome(tmp_path)
    assert isinstance(error, LabError)
    assert "cannot be read" in error.what


@pytest.mark.parametrize("odd", ODD_ERRORS)
def test_an_odd_error_is_an_error_that_can_be_shown(odd: Any, tmp_path: Path) -> None:
    (tmp_path / DONE).write_text(json.dumps({"status": "failed", "error": odd}))
    assert "\x1b" not in str(outcome(tmp_path))


def test_logs_of_any_size_are_searched(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert found(log, b"x") == []
    assert last_words(log) == ""
    log.touch()
    assert found(log, b"x") == []
    assert last_words(log) == ""
    with log.open("wb") as file:
        file.write(b"killed (me)\nkilled (\xff)\nkilled (me)\n not killed (it)\n")
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"a\nb\nc\nd\n")
    assert found(log, rb"^killed \((.+?)\)") == ["me", "\N{REPLACEMENT CHARACTER}"]
    assert last_words(log) == "b | c | d"
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path / "pipe", b"x") == []
    assert last_words(tmp_path / "pipe") == ""
