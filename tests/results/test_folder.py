"""Run folders: written whole or not at all, read back typed, refused when wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow.parquet as pq
import pytest

from testbed import keep
from testbed.analysis.outage import write_outages
from testbed.analysis.promises import write_promises
from testbed.analysis.summary import write_summary
from testbed.errors import EmulationError, InputError, ResultError, TestbedError
from testbed.files import write_json
from testbed.keep import conclude
from testbed.probes.events import CLOCK, EVENT, SENT, SENT_FILE, START, EventLog
from testbed.probes.samples import Samples
from testbed.report import wording
from testbed.results import folder as folder_module
from testbed.results import samples as samples_module
from testbed.results.folder import (
    BEGUN,
    PROVENANCE,
    SAMPLES,
    SUMMARY,
    RunFolder,
    collect,
    find_run,
    list_runs,
)
from testbed.results.janitor import LOG_FOLDER, measured
from testbed.results.samples import ARROW, load_samples, tidy
from testbed.results.staging import PREFIX
from tests.results import synthetic
from tests.results.synthetic import MS

Finish = Callable[[Path], TestbedError | None]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job folder as the guest leaves it; its probes' logs hold made-up records."""
    plan = synthetic.plan()
    raws = synthetic.raws(plan)

    class Logs:
        traffic_ns: int | None = None

        def __init__(self, folder: Path) -> None:
            self.ids = [path.stem for path in folder.iterdir() if path.name != SENT_FILE]

        def samples(self, session: str, grace_ns: int) -> Samples:
            assert grace_ns >= 1_000 * MS
            if session not in self.ids:
                raise ResultError(f"no session {session!r} in this run")
            return raws[session]

    monkeypatch.setattr(samples_module, "Logs", Logs)
    made = tmp_path / "results" / f"{PREFIX}job"
    (made / LOG_FOLDER).mkdir(parents=True)
    log = EventLog(made / LOG_FOLDER / SENT_FILE, ["one"])
    for kind in (START, CLOCK, SENT):
        log.add(kind, 0, 0, 0, 0, 0)
    log.close()
    for session in plan.sessions:
        (made / "samples" / f"{session.id}.bin").write_bytes(b"raw")
    (made / "captures").mkdir()
    (made / "captures" / "core1-agg2.pcap").write_bytes(b"pcap")
    (made / "scenario.json").write_bytes(msgspec.json.encode(synthetic.scenario()))
    (made / "plan.json").write_bytes(msgspec.json.encode(plan))
    for name in ("readback", "control", "loads"):
        (made / f"{name}.json").write_text("[]" if name == "loads" else '{"rules": 12}')
    for name in ("job.json", "done.json", "guest.log", "progress.jsonl"):
        (made / name).write_text("{}")
    return made


def kept(job: Path, problem: str | None = None, finish: Sequence[Finish] = ()) -> Path:
    """Its run folder."""
    run = collect(job, job.parent, synthetic.provenance(), problem=problem, finish=finish)
    assert run is not None
    return run


def test_a_listing_tells_the_story(job: Path, tmp_path: Path) -> None:
    root = job.parent
    run = kept(job, finish=(write_summary,))
    assert sorted(p.name for p in run.iterdir()) == [
        "0-provenance.json",
        "1-scenario.json",
        "2-plan.json",
        "3-readback.json",
        "4-control.json",
        "5-samples.parquet",
        "6-loads.json",
        "7-captures",
        "8-fidelity.json",
        "8-summary.csv",
        "logs",
    ]
    assert [p.name for p in root.iterdir()] == ["made_up"]
    assert sorted(p.name for p in (run / "logs").iterdir()) == [
        "done.json",
        "guest.log",
        "progress.jsonl",
    ]
    read = RunFolder(run)
    assert read.plan == synthetic.plan()
    assert read.scenario == synthetic.scenario()
    assert read.provenance.status == "ok"
    assert run.name.endswith(f"Z-{read.provenance.id}")
    assert (
        read.provenance.asked
        == read.provenance.actual
        == {
            "messages": 17_880,
            "traffic_ns": 11_000 * MS,
        }
    )
    assert read.record("4-control.json") == {"rules": 12}
    assert read.record("9-nothing.json") is None


def test_samples_round_trip_with_units(job: Path, tmp_path: Path) -> None:
    run = kept(job)
    assert run.stat().st_mode == run.parent.stat().st_mode  # for whom the user's umask lets
    schema = pq.read_schema(run / SAMPLES)
    assert schema.metadata[b"schema"] == str(samples_module.SCHEMA).encode()
    assert schema.field("rtt_ns").metadata[b"unit"] == b"ns"
    frame = RunFolder(run).samples
    assert list(frame) == ARROW.names
    raws = synthetic.raws(synthetic.plan())
    for name, rows in raws.items():
        mine = frame[frame["session"] == name]
        lost = rows["lost_forward"] | rows["lost_reverse"]
        assert (mine["seq"].to_numpy() == rows["seq"]).all()
        assert (mine["rtt_ns"].isna().to_numpy() == lost).all()
        assert (mine["forward_ns"].isna().to_numpy() == rows["lost_forward"]).all()
        assert (mine["rtt_ns"].dropna().to_numpy() == rows["rtt_ns"][~lost]).all()
    pd.testing.assert_frame_equal(
        frame[frame["session"] == "best_effort"].reset_index(drop=True),
        tidy("best_effort", raws["best_effort"]).to_pandas(),
        check_categorical=False,
        check_dtype=False,
    )


def test_a_failed_run_keeps_what_there_is(job: Path, tmp_path: Path) -> None:
    (job / "samples" / "llm_chat.bin").unlink()
    (job / "control.json").unlink()
    run = kept(job, "the lab ended", (write_summary,))
    read = RunFolder(run)
    assert read.provenance.status == "failed"
    assert read.provenance.error == "the lab ended"
    assert read.provenance.actual["messages"] == 17_600
    assert "llm_chat" not in set(read.samples["session"])
    assert len(read.summary) == 7


def test_a_defect_found_at_the_end_fails_the_run_and_keeps_it(job: Path, tmp_path: Path) -> None:
    def defect(run: Path) -> EmulationError:
        return EmulationError("1 ns more than its bound", where=str(len(RunFolder(run).samples)))

    with pytest.raises(EmulationError, match="1 ns more") as caught:
        kept(job, finish=(defect,))
    (run,) = (job.parent / "made_up").iterdir()
    assert caught.value.remedy == f"what was measured is in {run}"
    assert RunFolder(run).provenance.status == "failed"
    assert "1 ns more" in (RunFolder(run).provenance.error or "")
    assert len(RunFolder(run).samples) == 17_880


@pytest.mark.parametrize("odd", ["", "5", "[{}]", '{"ports": 1}', "[" * 100_000])
@pytest.mark.parametrize("name", ["control.json", "readback.json", "loads.json", "timeline.jsonl"])
def test_samples_are_kept_whatever_is_beside_them(name: str, odd: str, job: Path) -> None:
    (job / name).write_text(odd)
    with suppress(ResultError):  # some of it is not read, or is as good as nothing
        kept(job, finish=(write_summary, write_outages, write_promises))
    (run,) = (job.parent / "made_up").iterdir()
    assert len(RunFolder(run).samples) == 17_880
    if not (run / SUMMARY).exists():
        assert RunFolder(run).provenance.status == "failed"
        assert RunFolder(run).provenance.error


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "a/../../b", "", ".", "..", "\0"])
@pytest.mark.parametrize("field", ["experiment", "started_utc", "id"])
def test_a_run_goes_nowhere_else_whatever_it_is_called(
    field: str, name: str, job: Path, tmp_path: Path
) -> None:
    called = str(tmp_path / name[1:]) if name[:1] == "/" else name
    made = msgspec.structs.replace(synthetic.provenance(), **{"id": "0123ab", field: called})
    shutil.rmtree(job / LOG_FOLDER)  # as if its samples had been taken out of them
    (job / PROVENANCE).write_bytes(msgspec.json.encode(made))
    before = {path for path in tmp_path.rglob("*") if job not in path.parents}
    with pytest.raises(ResultError, match="a name that is none"):
        collect(job, job.parent, made)
    assert {path for path in tmp_path.rglob("*") if job not in path.parents} == before


def test_a_run_that_failed_before_traffic_leaves_nothing(job: Path) -> None:
    log = job / LOG_FOLDER / SENT_FILE
    log.write_bytes(log.read_bytes()[: -EVENT.size])  # the message that was sent
    problem = "the switches did not start"
    assert collect(job, job.parent, synthetic.provenance(), problem=problem) is None
    assert not measured(job)  # what staging() then removes


def test_a_complete_run_may_not_lack_a_session(job: Path) -> None:
    (job / LOG_FOLDER / "llm_chat.bin").unlink()
    with pytest.raises(ResultError, match="llm_chat"):
        kept(job)
    assert [path.name for path in job.parent.iterdir()] == [job.name]
    assert len(RunFolder(kept(job, "a session is missing")).samples) == 17_600


def fail(run: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run))


def die(run: Path) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("interrupted", "finish"),
    [
        ("write_samples", ()),
        ("_write", ()),
        ("_arrange", ()),
        ("", (die,)),
        ("_commit", ()),
        ("_sync", ()),
    ],
)
def test_a_collection_that_is_cut_short_can_be_made_again(
    interrupted: str,
    finish: Sequence[Finish],
    job: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        if interrupted:
            patched.setattr(folder_module, interrupted, lambda *_, **__: die(job))
        with pytest.raises(KeyboardInterrupt):
            kept(job, "it was killed", finish)
    assert measured(job)
    assert [path.name for path in job.parent.iterdir()] == [job.name]
    run = kept(job, "it was killed", (write_summary,))
    assert len(RunFolder(run).samples) == 17_880
    assert RunFolder(run).provenance.error == "it was killed"
    assert len([*run.iterdir(), *run.glob("logs/*")]) == 14
    assert [path.name for path in job.parent.iterdir()] == ["made_up"]


def test_a_run_notes_what_died_in_it(job: Path) -> None:
    (job / "begun.json").write_bytes(msgspec.json.encode(synthetic.provenance()))
    died = [
        {"about": [], "told": "the controller was ended by SIGKILL"},
        {"about": ["load", "one"], "told": "its iperf3 server was ended by SIGKILL"},
    ]
    (job / "control.json").write_text(json.dumps({"died": died}))
    run = conclude(job, job.parent, None)
    assert run is not None
    notes = RunFolder(run).provenance.notes
    assert notes[-1] == "The controller was ended by SIGKILL."
    assert not any("iperf3" in note for note in notes)


def test_an_unfinished_run_says_how_far_it_came(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.results.samples.Logs.traffic_ns", 5_990 * MS)
    run = RunFolder(kept(job, "stopped by SIGINT", (write_summary, write_outages)))
    made = run.provenance
    assert (made.status, made.error) == ("unfinished", "stopped by SIGINT")
    assert made.asked["traffic_ns"] == 11_000 * MS
    assert made.actual["traffic_ns"] == 5_990 * MS
    assert not run.plan.events  # the cut at 6 s did not happen
    assert msgspec.json.decode((run.path / "2-plan.json").read_bytes())["events"]
    told = wording.outcome(made)
    assert told == "Unfinished, 5.99 s of 11 s of traffic were measured: stopped by SIGINT."
    longer = msgspec.structs.replace(made, asked={"traffic_ns": 40_000_200_000})
    assert wording.outcome(longer).startswith("Unfinished, 5.99 s of 40 s of traffic were")


def test_a_failing_finish_leaves_what_was_measured(job: Path) -> None:
    with pytest.raises(ResultError) as caught:
        kept(job, finish=(fail,))
    assert "No space left" in caught.value.what
    assert "df -h" in caught.value.remedy
    assert [path.name for path in job.parent.iterdir()] == [job.name]
    assert measured(job)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB; skipped where it may not be mounted."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=128k", "none", str(mounted)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def test_a_full_disk(job: Path, small_disk: Path) -> None:
    """The samples stay where they are, and are kept when there is room."""
    there = small_disk / job.name
    shutil.copytree(job, there)
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass
    with pytest.raises(ResultError) as caught:
        kept(there, "the disk was full")
    assert "No space left" in caught.value.what
    ballast.unlink()
    assert measured(there)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert len(RunFolder(kept(there, "the disk was full")).samples) == 17_880


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return synthetic.run_folder(tmp_path / "results" / "made_up" / "20250101T000000Z-abc123")


def test_other_schemas_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (run / PROVENANCE).read_text()
    (run / PROVENANCE).write_text(text.replace('"schema":1', '"schema":9'))
    with pytest.raises(ResultError, match="has schema 9"):
        _ = RunFolder(run).provenance
    (run / PROVENANCE).write_text(text)
    monkeypatch.setattr(samples_module, "SCHEMA", 3)
    with pytest.raises(ResultError, match="samples have schema 2"):
        _ = RunFolder(run).samples


def test_tables_of_last_packets_do_where_messages_have_one(run: Path) -> None:
    now = RunFolder(run).samples
    table = pq.read_table(run / SAMPLES)
    old = table.drop_columns(["packets", "arrived", "answered", "reordered_packets"])
    metadata = {**(table.schema.metadata or {}), b"schema": b"1"}
    pq.write_table(old.replace_schema_metadata(metadata), run / SAMPLES)
    read = RunFolder(run).samples
    pd.testing.assert_frame_equal(read[now.columns], now, check_dtype=False)
    with pytest.raises(ResultError, match="samples have schema 1"):
        load_samples(run / SAMPLES, messages=True)


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_damaged_parquet(run: Path, keep: int) -> None:
    whole = (run / SAMPLES).read_bytes()
    (run / SAMPLES).write_bytes(whole[:keep])
    with pytest.raises(ResultError, match="samples are damaged"):
        load_samples(run / SAMPLES)


def test_parquet_with_other_columns(run: Path) -> None:
    table = pq.read_table(run / SAMPLES)
    pq.write_table(table.drop_columns(["rtt_ns"]), run / SAMPLES)
    with pytest.raises(ResultError, match="lack the columns rtt_ns"):
        _ = RunFolder(run).samples


@pytest.mark.parametrize("part", ["provenance", "scenario", "plan"])
def test_damaged_json(run: Path, part: str) -> None:
    file = next(run.glob(f"*-{part}.json"))
    whole = file.read_bytes()
    for damaged in (whole[:-20], whole.replace(b'"', b'"\xff', 1), b"[" * 100_000):
        file.write_bytes(damaged)
        with pytest.raises(ResultError, match="is damaged"):
            getattr(RunFolder(run), part)


@pytest.mark.parametrize("part", ["scenario", "plan", "samples", "summary"])
def test_missing_parts(run: Path, part: str) -> None:
    for file in run.glob(f"*-{part}.*"):
        file.unlink()
    with pytest.raises(ResultError, match="missing"):
        getattr(RunFolder(run), part)


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="not a run folder"):
        RunFolder(tmp_path)


def test_runs_are_found_by_many_names(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = run.parents[1]
    later = root / "other" / "20250102T000000Z-def456"
    synthetic.run_folder(later)
    synthetic.run_folder(root / ".staging-1" / "x")
    assert list_runs(root) == [run, later]
    assert find_run("last", root) == later
    assert find_run("abc123", root) == run
    assert find_run("made_up", root) == run
    assert find_run(run.name, root) == run
    assert find_run(f"made_up/{run.name}", root) == run
    assert find_run(str(run), root) == run
    with pytest.raises(InputError) as caught:
        find_run("abc124", root)
    assert "did you mean 'abc123'?" in caught.value.remedy


def test_no_runs_yet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown run 'last'"):
        find_run("last", tmp_path / "absent")


def test_commit_is_the_last_step(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the rename the results root holds only a hidden folder."""
    seen: list[list[str]] = []
    real = folder_module._sync
    root = job.parent

    def sync(path: Path) -> None:
        seen.append([p.name for p in root.iterdir()])
        real(path)

    monkeypatch.setattr(folder_module, "_sync", sync)
    kept(job)
    assert all(len(names) == 1 and names[0].startswith(".") for names in seen[:-1])
    assert seen[-1] == ["made_up"]


WRITER = """
import sys, time
from pathlib import Path
from testbed.results.folder import collect
from tests.results import synthetic

def wait(run):
    print("writing", flush=True)
    time.sleep(60)

job = Path(sys.argv[1])
collect(job, job.parent, synthetic.provenance(), finish=(wait,))
"""


def test_kill_while_writing_leaves_no_run_folder(job: Path) -> None:
    plan = msgspec.structs.replace(synthetic.plan(), sessions=())
    (job / "plan.json").write_bytes(msgspec.json.encode(plan))
    project = Path(folder_module.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(job)], stdout=subprocess.PIPE, text=True, cwd=project
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writer.kill()
    assert [path.name for path in job.parent.iterdir()] == [job.name]
    assert measured(job)


def test_what_cannot_be_kept_is_told_and_keeps_no_other_from_running(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_run: Path) -> None:
        raise ZeroDivisionError("odd data")

    monkeypatch.setattr(keep, "FINISH", (fail,))
    write_json(job / BEGUN, synthetic.provenance())
    (found,) = keep.recover(job.parent)
    assert found.error is not None
    assert found.error.what == "what it left cannot be read: ZeroDivisionError: odd data"
    assert measured(job)


def test_a_folder_of_another_user_cannot_be_collected(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(ResultError, match="cannot be collected: Operation not permitted"):
        keep.recover_one(job)


def test_a_file_system_that_does_not_sync_folders(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync

    def refuse(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        synced(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    assert RunFolder(kept(job)).provenance.status == "ok"


def test_logs_that_cannot_be_read_stay(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another version, for example: it may still read them."""

    class Unreadable:
        def __init__(self, folder: Path) -> None:
            raise ResultError("not an event log", where=str(folder))

    monkeypatch.setattr(samples_module, "Logs", Unreadable)
    write_json(job / BEGUN, synthetic.provenance())
    (found,) = keep.recover(job.parent)
    assert found.error is not None
    assert found.error.what == "not an event log"
    assert "the version that wrote it; then `testbed collect" in found.error.remedy
    assert (found.kept, measured(job)) == (None, True)
