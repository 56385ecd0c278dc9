"""What a run leaves is kept, however it ended: by the run itself, or later by another.

While a lab runs, its job folder holds what is measured (testbed.results.janitor), what was
asked (`begin`) and how the machine was (`look`). `conclude` makes a run folder of it. A
run that is killed cannot; the folder stays, and `recover` finds it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from testbed.analysis.outage import write_outages
from testbed.analysis.promises import write_promises
from testbed.analysis.summary import write_summary
from testbed.errors import ResultError, TestbedError
from testbed.files import write_json, write_whole
from testbed.folders import remove
from testbed.heard import outcome
from testbed.lab.unprivileged import take_back
from testbed.prepare import Prepared
from testbed.process import ended
from testbed.results import provenance as provenance_model
from testbed.results.folder import BEGUN, CONTROL, HOST, PROVENANCE, collect, read_json
from testbed.results.janitor import measured
from testbed.results.provenance import HostState, Provenance, measure_host
from testbed.results.staging import PREFIX, alone
from testbed.scenario.model import UNREADABLE

FINISH = (write_summary, write_outages, write_promises)
"""What is made of the samples."""


def begin(job: Path, prepared: Prepared, provenance: Provenance) -> None:
    """Write into a job folder what it takes to make a run folder of it. Raises OSError."""
    write_whole(job / "scenario.json", msgspec.json.encode(prepared.scenario))
    write_whole(job / "plan.json", msgspec.json.encode(prepared.plan))
    write_json(job / "job.json", {"verb": "run"})
    for place, content in prepared.sources.items():
        path = job / "sources" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    write_json(job / BEGUN, provenance)


def look(job: Path) -> None:
    """Note how the machine is. Raises OSError."""
    write_json(job / HOST, measure_host())


def conclude(job: Path, root: Path, problem: str | None) -> Path | None:
    """Make a run folder of a job folder whose lab is gone; None if nothing was measured.

    Args:
        problem: what kept the run from its end, or went wrong by then.

    Raises ResultError, and the folder stays: full disk, written by another version.
    """
    if problem is not None and not measured(job):
        return None  # perhaps it was not even begun
    begun = job / BEGUN
    known = read_json(
        begun if begun.exists() else job / PROVENANCE, Provenance, provenance_model.SCHEMA
    )
    if (job / HOST).exists():
        known = known.until(read_json(job / HOST, HostState))
    if begun.exists():
        known = msgspec.structs.replace(known, notes=(*known.notes, *_died(job)))
    try:
        return collect(job, root, known, problem=problem, finish=FINISH)
    except ResultError as error:
        if measured(job):
            raise stays(job, error) from error
        raise


def _died(job: Path) -> list[str]:
    """The processes that ended unasked, and what that means; those of loads are told there."""
    for name in ("control.json", CONTROL):  # as it is called before it is collected, and after
        with suppress(*UNREADABLE):
            died = msgspec.json.decode((job / name).read_bytes(), type=_Control).died
            return [row.told[:1].upper() + row.told[1:] + "." for row in died if not row.about]
    return []


class _Death(msgspec.Struct):
    told: str
    about: tuple[str, ...]


class _Control(msgspec.Struct):
    died: tuple[_Death, ...]


def stays(job: Path, error: ResultError) -> ResultError:
    """The error with what to do about a measurement that could not be collected."""
    later = f"`testbed collect {shlex.quote(str(job))}` keeps what was measured"
    return ResultError(
        error.what,
        where=error.where,
        expected=error.expected,
        remedy=f"{error.remedy}; then {later}" if error.remedy else later,
    )


class Recovered(NamedTuple):
    """What became of a folder that a killed run left."""

    job: Path
    kept: Path | None
    """Its run folder; None if nothing was measured, or with an error."""
    error: TestbedError | None


def left(root: Path) -> list[Path]:
    """Folders that hold the measurement of a run that was killed, or of one that goes on."""
    if not os.access(root, os.R_OK | os.X_OK):
        return []
    return sorted(path for path in root.glob(f"{PREFIX}*") if measured(path))


def recover(root: Path) -> Iterator[Recovered]:
    """Keep what killed runs left in a results folder; what living ones hold is left alone."""
    for job in left(root):
        try:
            with alone(job) as holder:
                if holder == "nobody":
                    yield _recovered(job, root)
                elif holder == "unknown":
                    yield Recovered(job, None, _perhaps_elsewhere(job))
        except OSError:  # another user's, or just gone
            continue


def _perhaps_elsewhere(job: Path) -> ResultError:
    return ResultError(
        "a run of another machine may be going on there",
        where=str(job),
        expected="a file system with locks, which would tell",
        remedy=f"if there is none, `testbed collect {shlex.quote(str(job))}`",
    )


def recover_one(job: Path) -> Recovered:
    """Keep what a killed run left in this folder. Raises ResultError: it holds no measurement,
    or somebody uses it."""
    if not job.name.startswith(PREFIX) or not measured(job):
        raise ResultError(
            "no measurement is waiting there",
            where=str(job),
            expected=f"a folder {PREFIX}* that a run left",
            remedy="`testbed collect` without a folder finds them",
        )
    try:
        with alone(job) as holder:
            if holder == "somebody":
                raise ResultError(
                    "a run is going on there",
                    where=str(job),
                    expected="a folder that a run has left",
                    remedy="wait for its end, or end it with Ctrl-C: it keeps what it measured",
                )
            return _recovered(job, job.parent)
    except OSError as error:
        raise ResultError(
            f"it cannot be collected: {error.strerror or error}",
            where=str(job),
            expected="a folder that a run of this user left",
        ) from error


def _recovered(job: Path, root: Path) -> Recovered:
    if not ended(job):
        error = ResultError(
            "its lab is still running", where=str(job), remedy="end its processes (ps -ef, kill -9)"
        )
        return Recovered(job, None, error)
    take_back(job)
    try:
        kept = conclude(job, root, _problem(job))
    except TestbedError as error:
        return Recovered(job, error.kept, None if error.kept else error)
    except Exception as error:  # what one run left must not keep others from running
        what = f"what it left cannot be read: {type(error).__name__}: {error}"
        return Recovered(job, None, ResultError(what, where=str(job)))
    if kept is None:
        remove(job)
    return Recovered(job, kept, None)


def _problem(job: Path) -> str | None:
    """What the guest program says went wrong; that it was killed, if it says nothing."""
    try:
        error = outcome(job)
    except FileNotFoundError:
        return "it was killed"
    return None if error is None else error.what
