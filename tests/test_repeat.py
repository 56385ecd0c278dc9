"""A stored run is repeated with what it holds, and what has changed since is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.cli.main import main
from testbed.errors import InputError
from testbed.prepare import Prepared, prepare
from testbed.repeat import _first_difference, again, changed, stored
from testbed.results.folder import PLAN, PROVENANCE, SCENARIO, SOURCES, RunFolder
from testbed.results.provenance import Provenance, measure_host

LAB = {"lab": "virtual", "kernel_id": "a"}


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare("fibre_cut", {"protection": "none"}, seed=5)


def keep(prepared: Prepared, root: Path) -> RunFolder:
    """A run folder of what was asked, as far as repeating reads it."""
    folder = root / "results" / "fibre_cut" / "20260101T000000Z-abc123"
    folder.mkdir(parents=True)
    provenance = Provenance.of(
        scenario=prepared.scenario,
        lab=LAB,
        notes=(),
        command=("testbed", "run", "fibre_cut", "--seed", "5"),
        host=measure_host(),
    )
    for name, value in (
        (PROVENANCE, provenance),
        (SCENARIO, prepared.scenario),
        (PLAN, prepared.plan),
    ):
        (folder / name).write_bytes(msgspec.json.encode(value))
    for place, content in prepared.sources.items():
        (folder / SOURCES / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / SOURCES / place).write_bytes(content)
    return RunFolder(folder)


def test_the_same_question_plan_and_sources(prepared: Prepared, tmp_path: Path) -> None:
    run = keep(prepared, tmp_path)
    assert again(run) == prepared
    assert set(prepared.sources) == {
        "classes/telesurgery_haptic.toml",
        "controllers/policies/lowest_delay.py",
        "experiments/fibre_cut.py",
        "topologies/metro_mesh.py",
    }
    assert not list(changed(run, LAB))


def test_the_plan_is_the_stored_one(prepared: Prepared, tmp_path: Path) -> None:
    first = prepared.plan.ports[0]
    port = first.having(msgspec.structs.replace(first.queueing, buffer_packets=7))
    other = msgspec.structs.replace(prepared.plan, ports=(port, *prepared.plan.ports[1:]))
    run = keep(Prepared(scenario=prepared.scenario, plan=other), tmp_path)
    assert again(run).plan.ports[0].buffer_packets == 7
    assert list(changed(run, LAB)) == [
        "today's plan would differ, first at plan.ports[0].stages[0].buffer_packets: 7 -> 1000"
    ]


def test_a_plan_of_another_schema_is_made_again(prepared: Prepared, tmp_path: Path) -> None:
    run = keep(prepared, tmp_path)
    old = msgspec.to_builtins(prepared.plan) | {"schema": 0}
    (run.path / PLAN).write_bytes(msgspec.json.encode(old))
    assert again(RunFolder(run.path)).plan == prepared.plan


def test_changed_files_and_labs_are_named(prepared: Prepared, tmp_path: Path) -> None:
    run = keep(prepared, tmp_path)
    (run.path / SOURCES / "topologies" / "metro_mesh.py").write_text("# another\n")
    (run.path / SOURCES / "classes" / "mine.toml").write_text("")
    told = list(changed(RunFolder(run.path), LAB | {"kernel_id": "b"}))
    assert told == [
        "classes/mine.toml is gone; the run has it in 1-sources",
        "topologies/metro_mesh.py has changed since",
        "other versions: kernel_id a -> b",
    ]


def test_which_names_mean_a_stored_run(prepared: Prepared, tmp_path: Path) -> None:
    run = keep(prepared, tmp_path)
    root = tmp_path / "results"
    for name in (str(run.path), "abc123", "last", run.path.name):
        found = stored(name, root)
        assert found is not None, name
        assert found.path.resolve() == run.path
    assert stored("fibre_cut", root) is None
    assert stored("fibre_cutt", root) is None
    with pytest.raises(InputError, match="unknown run"):
        stored("./nosuch", root)


@pytest.mark.parametrize(
    "words", [("--seed", "1"), ("--set", "silent=true"), ("--repeat", "2"), ("--pcap", "h1:eth0")]
)
def test_a_stored_run_takes_no_other_values(
    words: tuple[str, str],
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep(prepared, tmp_path)
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["run", "abc123", *words])
    assert ended.value.code == InputError.exit_code
    said = capsys.readouterr().err
    assert f"{words[0]} with a stored run" in said
    assert "testbed run fibre_cut --seed 5" in " ".join(said.split())


def test_real_time_is_not_reproduced(
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = keep(prepared, tmp_path)
    text = (run.path / PROVENANCE).read_text().replace('"virtual"', '"wall"')
    (run.path / PROVENANCE).write_text(text)
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["reproduce"])
    assert ended.value.code == InputError.exit_code
    assert "real time" in capsys.readouterr().err


def test_what_a_plan_did_not_tell_by_then_is_no_difference() -> None:
    old = {"ports": [{"link": "", "rate": 5}], "links": []}
    now = {"ports": [{"link": "fibre", "rate": 5}], "links": [1]}
    assert _first_difference(old, now, untold=True) == ""
    assert _first_difference(old, now) == "plan.ports[0].link:  -> fibre"
    faster = {"ports": [{"link": "fibre", "rate": 6}], "links": [1]}
    assert _first_difference(old, faster, untold=True) == "plan.ports[0].rate: 5 -> 6"
