"""A staging folder with a measurement stays, and nobody takes it from who holds it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from testbed.errors import ResultError
from testbed.keep import recover, recover_one
from testbed.probes.events import CLOCK, SENT, SENT_FILE, START, EventLog
from testbed.results.janitor import LOG_FOLDER, measured
from testbed.results.staging import PREFIX, staging, sweep


def fill(folder: Path, *kinds: int) -> Path:
    """The sender's log with these events."""
    (folder / LOG_FOLDER).mkdir(parents=True)
    log = EventLog(folder / LOG_FOLDER / SENT_FILE, ["one"])
    for kind in kinds:
        log.add(kind, 0, 0, 0, 0, 0)
    log.close()
    return folder


def test_a_message_that_was_sent_is_a_measurement(tmp_path: Path) -> None:
    assert not measured(tmp_path / "absent")
    assert not measured(fill(tmp_path / "ready", START, CLOCK))
    assert measured(fill(tmp_path / "sent", START, CLOCK, SENT))


def test_a_measurement_outlives_its_block_and_a_sweep(tmp_path: Path) -> None:
    with staging(tmp_path) as job:
        fill(job, START, CLOCK, SENT)
    assert measured(job)
    empty = fill(tmp_path / f"{PREFIX}empty", START, CLOCK)
    assert sweep(tmp_path) == [empty]
    assert list(tmp_path.iterdir()) == [job]


def test_what_a_living_run_holds_is_left_alone(tmp_path: Path) -> None:
    with staging(tmp_path) as job:
        fill(job, START, CLOCK, SENT)
        assert list(recover(tmp_path)) == []
        with pytest.raises(ResultError, match="a run is going on there"):
            recover_one(job)


def test_without_locks_what_may_be_anothers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = fill(tmp_path / f"{PREFIX}far", START, CLOCK, SENT)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    (found,) = recover(tmp_path)
    assert found.kept is None
    assert found.error is not None
    assert "another machine" in found.error.what
    assert f"testbed collect {job}" in found.error.remedy
    assert measured(job)


def test_what_cannot_be_read_is_named_and_stays(tmp_path: Path) -> None:
    job = fill(tmp_path / f"{PREFIX}other", START, CLOCK, SENT)
    (job / "begun.json").write_text('{"schema": 9}')
    (found,) = recover(tmp_path)
    assert found.kept is None
    assert "begun.json has schema 9" in str(found.error)
    assert measured(job)
