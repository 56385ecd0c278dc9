"""The run folder, `results/<experiment>/<UTC>-<id>/`: collect() writes it, RunFolder reads it.

    0-provenance.json   who, when, where, with what; asked-for and actual; status
    1-scenario.json     the question
    1-sources/          the files it was made from: experiment, topology, policy, classes
    2-plan.json         what was decided
    3-readback.json     what kernel and switches really had
    4-control.json      rules installed, paths proved, counters
    4-timeline.jsonl    every delta that happened: what, planned and actual time, why
    4-ports.csv         depth and counts of every port, each so many ms (--sample-ports)
    5-samples.parquet   every message of every session
    5-null-path.parquet every packet of the null path: what the lab itself adds
    6-loads.json        what the background flows carried
    7-captures/         packet captures
    8-fidelity.json     how far the numbers can be trusted, and why
    8-outages.csv       what each event interrupted, and for how long
    8-promises.csv      what slices were promised, and what they got
    8-summary.csv       one row per session and judged direction
    9-report.html       the report, with figures/
    logs/               console, guest program, progress

The folder appears in one rename, complete and on disk, or not at all. A run whose traffic
was cut short has status `unfinished`, and all that was measured until then.
"""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pandas as pd

from testbed.errors import ResultError, TestbedError, unknown
from testbed.files import write_whole
from testbed.net.timeline import Entry, read_timeline
from testbed.plan import model as plan_model
from testbed.plan.model import Plan
from testbed.process import ALIVE
from testbed.results import provenance as provenance_model
from testbed.results.janitor import LOG_FOLDER, measured
from testbed.results.older import entries_of_schema_1, plan_of
from testbed.results.provenance import Provenance, Status
from testbed.results.samples import Written, load_samples, write_samples
from testbed.results.staging import FULL, PREFIX, unwritable
from testbed.scenario import scenario as scenario_model
from testbed.scenario.model import UNREADABLE
from testbed.scenario.scenario import Scenario

AGAIN = "run the experiment again"
"""What helps where a file of a run cannot be read."""

PROVENANCE = "0-provenance.json"
SCENARIO = "1-scenario.json"
SOURCES = "1-sources"
PLAN = "2-plan.json"
READBACK = "3-readback.json"
CONTROL = "4-control.json"
TIMELINE = "4-timeline.jsonl"
PORTS = "4-ports.csv"
SAMPLES = "5-samples.parquet"
NULL_PATH = "5-null-path.parquet"
LOADS = "6-loads.json"
CAPTURES = "7-captures"
FIDELITY = "8-fidelity.json"
OUTAGES = "8-outages.csv"
PROMISES = "8-promises.csv"
SUMMARY = "8-summary.csv"
REPORT = "9-report.html"
FIGURES = "figures"
LOGS = "logs"

BEGUN = "begun.json"
"""Of a job folder: provenance as far as it is known before the run."""
HOST = "host.json"
"""Of a job folder: the machine around the lab when it was last looked at."""

_MOVED = {
    "scenario.json": SCENARIO,
    "sources": SOURCES,
    "plan.json": PLAN,
    "readback.json": READBACK,
    "control.json": CONTROL,
    "timeline.jsonl": TIMELINE,
    "ports.csv": PORTS,
    "loads.json": LOADS,
    "captures": CAPTURES,
}
_PLACES = {PROVENANCE, SAMPLES, NULL_PATH, FIDELITY, OUTAGES, PROMISES, SUMMARY, LOGS}
_PLACES |= set(_MOVED.values())
_DROPPED = {"job.json", BEGUN, HOST, ALIVE}
_RELEASED = ".samples"
"""The probes' logs while they are removed."""

Data = TypeVar("Data")


def collect(
    job: Path,
    root: Path,
    provenance: Provenance,
    *,
    problem: str | None = None,
    finish: Sequence[Callable[[Path], TestbedError | None]] = (),
) -> Path | None:
    """Turn a job folder into a run folder, in place; returns its path, None if no message was sent.

    The probes' logs are released as soon as their samples are written. A collection that is
    cut short, at any moment, can be made again and ends as it would have.

    Args:
        problem: what kept the run from its end, or went wrong by then.
        finish: stages that add their files (summary) before the folder appears; an error
            that one of them returns, or that it cannot read what the run left beside its
            samples, makes the run a failed one, and is raised when the folder is there.

    Raises ResultError: full disk, folder not writable, samples unreadable. The job folder
    stays then.
    """
    try:
        if (job / LOG_FOLDER).exists() or not (job / PROVENANCE).exists():
            if problem is not None and not measured(job):
                return None
            plan = read_json(_now(job, "plan.json"), Plan, plan_model.SCHEMA)
            found = write_samples(
                plan, job / LOG_FOLDER, job / SAMPLES, job / NULL_PATH, partial=problem is not None
            )
            if plan.sessions and not found.messages:
                shutil.rmtree(job / LOG_FOLDER)  # nothing is left that was measured
                return None
            _write(job, _concluded(provenance, plan, found, problem))
            if plan.sessions:
                (job / LOG_FOLDER).rename(job / _RELEASED)
        made = read_json(job / PROVENANCE, Provenance, provenance_model.SCHEMA)
        final = _final(root.resolve(), made)
        _arrange(job)
        defects = [defect for step in finish if (defect := _finished(step, job)) is not None]
        if defects and made.status == "ok":
            _write(job, msgspec.structs.replace(made, status="failed", error=str(defects[0])))
        _commit(job, final)
    except OSError as error:
        raise unwritable(root, error) from error
    if defects and made.status == "ok":
        defects[0].kept_in(final)
        raise defects[0]
    return final


def _final(root: Path, made: Provenance) -> Path:
    """Where a run folder goes. Raises ResultError for one that would go elsewhere: what it is
    called by was in reach of a program in the lab.
    """
    name = made.experiment
    plain = Path(name).name == name and name[:1] != "." and name.isprintable()
    with suppress(ValueError):
        began = datetime.fromisoformat(made.started_utc)
        if plain and name and re.fullmatch("[0-9a-f]{6}", made.id):
            return root / name / f"{began:%Y%m%dT%H%M%SZ}-{made.id}"
    raise ResultError(
        "the run was given a name that is none, by a program in its lab",
        where=f"{name!r}, {made.started_utc!r}, {made.id!r}",
        expected="an experiment, when it began, and six hexadecimal digits",
        remedy="run it again",
    )


def _finished(step: Callable[[Path], TestbedError | None], job: Path) -> TestbedError | None:
    """What a stage finds wrong with a run, or with what the run left for it. Raises OSError."""
    try:
        return step(job)
    except ResultError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
            raise
        return error
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        told = ResultError(
            f"what the run left beside its samples cannot be read: {type(error).__name__}: {error}",
            expected="the files of the guest program, as it wrote them",
            remedy="run it again; a program in the lab may have written there",
        )
        told.__cause__ = error
        return told


def _concluded(
    provenance: Provenance, plan: Plan, found: Written, problem: str | None
) -> Provenance:
    """With what came of the run: `unfinished` if its traffic was cut short."""
    status: Status = "ok" if problem is None else "failed"
    if found.traffic_ns is not None:
        status = "unfinished"
    reached_ns = plan.duration_ns if found.traffic_ns is None else found.traffic_ns
    return msgspec.structs.replace(
        provenance,
        id=secrets.token_hex(3),
        status=status,
        error=problem,
        asked={"messages": sum(s.count for s in plan.sessions), "traffic_ns": plan.duration_ns},
        actual={"messages": found.messages, "traffic_ns": min(reached_ns, plan.duration_ns)},
    )


def _now(job: Path, name: str) -> Path:
    """Where a file of the job folder is, which may have its last name already."""
    return job / name if (job / name).exists() else job / _MOVED[name]


def _write(job: Path, provenance: Provenance) -> None:
    text = msgspec.json.format(msgspec.json.encode(provenance), indent=2)
    write_whole(job / PROVENANCE, text)


def _arrange(job: Path) -> None:
    """Give every file its place; what is in place already stays there."""
    shutil.rmtree(job / _RELEASED, ignore_errors=True)
    (job / LOGS).mkdir(exist_ok=True)
    for path in sorted(job.iterdir()):
        if path.name in _MOVED:
            path.rename(job / _MOVED[path.name])
        elif path.name.endswith(".part"):
            path.unlink()  # of what a killed process was writing
        elif path.name not in _PLACES | _DROPPED:
            path.rename(job / LOGS / path.name)


def _commit(job: Path, final: Path) -> None:
    for name in _DROPPED:
        (job / name).unlink(missing_ok=True)
    for path in [*job.rglob("*"), job]:
        if path.is_file() or path.is_dir():
            _sync(path)
    final.parent.mkdir(exist_ok=True)
    job.chmod(stat.S_IMODE(final.parent.stat().st_mode))  # from here on for whom the user lets
    job.rename(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not sync folders
            raise
    finally:
        os.close(fd)


@contextmanager
def _readable(path: Path, expected: str) -> Iterator[None]:
    """A file of a run is read here. Raises ResultError: missing, damaged."""
    try:
        yield
    except FileNotFoundError as problem:
        raise ResultError(f"{path.name} is missing", where=str(path), remedy=AGAIN) from problem
    except (*UNREADABLE, ValueError, AttributeError, TypeError, KeyError) as problem:
        raise ResultError(
            f"{path.name} is damaged: {problem}", where=str(path), expected=expected, remedy=AGAIN
        ) from problem


def read_json(path: Path, kind: type[Data], schema: int | None = None) -> Data:
    """A typed JSON file of a run. Raises ResultError: missing, damaged, other schema."""
    with _readable(path, f"a {kind.__name__} in JSON"):
        raw = path.read_bytes()
        if schema is not None:
            found = msgspec.json.decode(raw).get("schema")
            if found != schema:
                raise ResultError(
                    f"{path.name} has schema {found}",
                    where=str(path),
                    expected=f"schema {schema}",
                    remedy=f"{AGAIN}, or read it with the version that wrote it ({PROVENANCE})",
                )
        return msgspec.json.decode(raw, type=kind)


class RunFolder:
    """A run folder, read when asked and typed. Every part raises ResultError if it is
    missing, damaged or of another schema.
    """

    def __init__(self, path: Path) -> None:
        if not (path / PROVENANCE).is_file():
            raise ResultError(
                "not a run folder",
                where=str(path),
                expected=f"a folder with {PROVENANCE}",
                remedy="name a run by its id, its path, or `last`",
            )
        self.path = path

    @cached_property
    def provenance(self) -> Provenance:
        """Who measured, when, where and with what."""
        return read_json(self.path / PROVENANCE, Provenance, provenance_model.SCHEMA)

    @cached_property
    def scenario(self) -> Scenario:
        """The question."""
        return read_json(self.path / SCENARIO, Scenario, scenario_model.SCHEMA)

    @cached_property
    def sources(self) -> dict[str, bytes]:
        """The files it was made from: path below a project's folder -> content."""
        folder = self.path / SOURCES
        found = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    @cached_property
    def plan_schema(self) -> int:
        """Of the plan as it was written."""
        found: dict[str, Any] = read_json(self.path / PLAN, dict)
        return int(found.get("schema", plan_model.SCHEMA))

    @cached_property
    def planned(self) -> Plan:
        """What was decided."""
        path = self.path / PLAN
        try:
            raw = msgspec.json.decode(path.read_bytes())
            if (older := plan_of(raw, self.scenario)) is not None:
                return older
        except (*UNREADABLE, AttributeError, TypeError, KeyError):
            pass  # told below
        return read_json(path, Plan, plan_model.SCHEMA)

    @cached_property
    def plan(self) -> Plan:
        """What was decided; of an unfinished run without the events that it did not reach."""
        plan = self.planned
        if self.provenance.status != "unfinished":
            return plan
        reached_ns = self.provenance.actual["traffic_ns"]
        events = tuple(event for event in plan.events if event.at_ns < reached_ns)
        return msgspec.structs.replace(
            plan, events=events, afterwards=plan.afterwards[: len(events)]
        )

    @cached_property
    def timeline(self) -> tuple[Entry, ...]:
        """Every delta that happened; of a run that was cut short, those of the plan."""
        path = self.path / TIMELINE
        with _readable(path, "a delta in each line"):
            if path.exists():
                return read_timeline(path)
            return entries_of_schema_1(self.record(CONTROL))

    @cached_property
    def port_samples(self) -> pd.DataFrame | None:
        """What ports told each so many ms, columns as in testbed/stages/port_samples.py; None
        where that was not asked for. A last line that is torn is left out."""
        path = self.path / PORTS
        if not path.exists():
            return None
        with _readable(path, "comma-separated values"):
            text = path.read_text()
            return pd.read_csv(StringIO(text[: text.rfind("\n") + 1]))

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Every message of every session; columns as in `testbed.results.samples`."""
        several = any(session.fragments > 1 for session in self.plan.sessions)
        return load_samples(self.path / SAMPLES, messages=several)

    @cached_property
    def null_path(self) -> pd.DataFrame | None:
        """Every packet of the null path, columns as in `samples`; None if not measured."""
        path = self.path / NULL_PATH
        return load_samples(path, messages=False) if path.exists() else None

    @cached_property
    def summary(self) -> pd.DataFrame:
        """8-summary.csv; an empty cell is a percentile that was refused."""
        path = self.path / SUMMARY
        with _readable(path, "comma-separated values"):
            return pd.read_csv(path, dtype_backend="numpy_nullable")

    def summary_rows(self) -> list[dict[str, Any]]:
        """The summary as JSON can hold it: a refused percentile is None, a delay of
        lost packets "inf".
        """
        return [
            {str(name): _plain(value) for name, value in row.items()}
            for row in self.summary.to_dict("records")
        ]

    def record(self, name: str) -> Any:
        """A stage's own record, such as 3-readback.json; None if that stage left none."""
        path = self.path / name
        return read_json(path, object) if path.exists() else None


def _plain(value: Any) -> Any:
    if value is pd.NA:
        return None
    return "inf" if value == math.inf else value


def list_runs(root: Path) -> list[Path]:
    """All run folders that may be read, oldest first."""
    if not os.access(root, os.R_OK | os.X_OK):
        return []
    found = [p.parent for p in root.glob(f"*/*/{PROVENANCE}")]
    return sorted((p for p in found if not p.parent.name.startswith(PREFIX)), key=_age)


def _age(path: Path) -> tuple[str, int]:
    return path.name.partition("-")[0], path.stat().st_mtime_ns


def find_run(text: str, root: Path) -> Path:
    """The run that `text` names: a path, an id, a folder name, an experiment (its last
    run), or `last`. Raises InputError with the nearest name.
    """
    as_path = Path(text)
    if os.path.isfile(as_path / PROVENANCE):  # noqa: PTH113 - Path's raises where it may not look
        return as_path
    runs = list_runs(root)
    if text == "last" and runs:
        return runs[-1]
    names: dict[str, Path] = {}
    for run in runs:
        for name in (run.name, run.name.rpartition("-")[2], run.parent.name):
            names[name] = run
        names[f"{run.parent.name}/{run.name}"] = run
    if text in names:
        return names[text]
    shown = {r.parent.name for r in runs} | {r.name.rpartition("-")[2] for r in runs}
    raise unknown("run", text, shown | ({"last"} if runs else set()), where=str(root))
