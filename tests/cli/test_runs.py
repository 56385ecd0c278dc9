"""Several runs of one command: each kept, told together, and none lost by another's failure."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed import run as run_module
from testbed.analysis.summary import write_summary
from testbed.cli import cost, runs
from testbed.cli.main import main
from testbed.errors import EmulationError, InputError, LabError, TestbedError
from testbed.prepare import prepare
from testbed.results.folder import SCENARIO
from tests.results import synthetic

RING = "slice_isolation"


def test_seeds_are_counted_from_the_only_one_or_each_named() -> None:
    assert list(runs.seeds((1,), None)) == [1]
    assert list(runs.seeds((5,), 3)) == [5, 6, 7]
    assert list(runs.seeds((4, 2), None)) == [4, 2]


@pytest.mark.parametrize(
    ("given", "repeat", "what"),
    [
        ((1, 1), None, "seed 1 is there twice"),
        ((1, 2), 3, "several seeds, and a number of repetitions"),
        ((2**32 - 1,), 2, "too large"),
    ],
)
def test_seeds_that_cannot_be(given: tuple[int, ...], repeat: int | None, what: str) -> None:
    with pytest.raises(InputError, match=what):
        runs.seeds(given, repeat)


def test_the_command_of_a_run_is_its_own() -> None:
    point = {"flooded": "video"}
    (asked,) = runs.series(prepare(RING, point, seed=4), point, (4,), prepare)
    options = runs.shared_options("virtual", ("h2:eth0",), None, 30.0)
    assert runs.command(asked, options) == (
        *("testbed", "run", RING, "--set", "flooded=video", "--seed", "4"),
        *("--lab", "virtual", "--pcap", "h2:eth0", "--timeout", "30"),
    )


class Lab:
    """Makes up a run, or fails."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.failing: dict[int, TestbedError] = {}
        self.seeds: list[int] = []

    def execute(self, prepared: Any, *_: Any, **given: Any) -> Path:
        seed = prepared.scenario.seed
        self.seeds.append(seed)
        if seed in self.failing:
            raise self.failing[seed]
        folder = synthetic.run_folder(self.root / f"{len(self.seeds)}")
        scenario = msgspec.structs.replace(synthetic.scenario(), seed=seed)
        (folder / SCENARIO).write_bytes(msgspec.json.encode(scenario))
        write_summary(folder)
        return folder


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path)
    monkeypatch.setattr(run_module, "execute", made.execute)
    monkeypatch.setattr("testbed.cli.main._lab", lambda _name: (made, ()))
    monkeypatch.setattr("testbed.memory.fitted", lambda lab, *_: lab)
    return made


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["run", RING, *words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_repetitions_are_run_and_told_together(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = typed(capsys, "--repeat", "2", "--json")
    assert (code, lab.seeds) == (0, [1, 2])
    first, second, together = map(json.loads, said.splitlines())
    assert (first["seed"], second["seed"], together["seeds"]) == (1, 2, [1, 2])
    assert {row["runs"] for row in together["over_runs"]} == {2}


def test_each_run_is_planned_when_its_turn_comes(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then that many had run, of three seeds at two points."""
    planned: list[tuple[int, int]] = []

    def noted(*given: Any, seed: int, **others: Any) -> Any:
        planned.append((seed, len(lab.seeds)))
        return prepare(*given, seed=seed, **others)

    monkeypatch.setattr("testbed.prepare.prepare", noted)
    typed(capsys, "--set", "flood=0.5", "--set", "flood=1.5", "--repeat", "3")
    assert planned == [(1, 0), (1, 0), (2, 1), (3, 2), (2, 4), (3, 5)]


def test_what_is_wrong_with_a_later_point_is_said_before_any_runs(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = typed(capsys, "--set", "flood=0.5", "--set", "flood=much", "--repeat", "3")
    assert (code, lab.seeds) == (2, [])
    assert "flood" in said


def test_runs_of_other_files_are_not_held_together(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topology is edited while the first run goes."""

    def edited(*given: Any, seed: int, **others: Any) -> Any:
        prepared = prepare(*given, seed=seed, **others)
        if not lab.seeds:
            return prepared
        sources = {**prepared.sources, "topologies/metro_ring.py": b"class Other: ..."}
        return msgspec.structs.replace(prepared, sources=sources)

    monkeypatch.setattr("testbed.prepare.prepare", edited)
    code, _, said = typed(capsys, "--repeat", "3")
    assert (code, lab.seeds) == (2, [1])
    assert "topologies/metro_ring.py has changed since the first run" in said


def test_a_failure_in_the_middle_keeps_the_others(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.failing[2] = EmulationError("a packet took more than its bound")
    code, said, _ = typed(capsys, "--seed", "1", "--seed", "2", "--seed", "3", "--json")
    assert (code, lab.seeds) == (5, [1, 2, 3])
    assert json.loads(said.splitlines()[-1])["seeds"] == [1, 3]


def test_when_the_first_fails_none_follows(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.failing[1] = LabError("no kernel")
    code, _, _ = typed(capsys, "--repeat", "3")
    assert (code, lab.seeds) == (4, [1])


def test_more_runs_than_the_disk_holds_are_refused_at_once(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    code, _, said = typed(capsys, "--repeat", "1000000000")
    assert time.monotonic() - began < 20
    assert (code, lab.seeds) == (2, [])
    assert "1,000,000,000 runs take about" in said
    assert "remedy   at most" in said


def test_long_runs_are_told_beforehand_and_short_ones_are_not(tmp_path: Path) -> None:
    plan = prepare(RING, {}).plan
    assert cost.told([plan], 2, tmp_path) == ""
    assert cost.told([plan], 1, tmp_path) == ""
    told = cost.told([plan], 1000, tmp_path)
    assert told.startswith("1,000 runs take about ")
    assert " hours and " in told
    longer = prepare(RING, {"duration": "120 s"}).plan
    assert cost.seconds(longer) > 2 * cost.seconds(plan) > 10
    assert cost.folder_bytes(longer) > 2 * cost.folder_bytes(plan)


def test_points_are_repeated_each(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--set", "flood=0.5", "--set", "flood=1.5", "--repeat", "2", "--json")
    _, said, _ = typed(capsys, *words)
    assert lab.seeds == [1, 2, 1, 2]
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["settings"]["flood"] for row in rows if "over_runs" in row] == ["0.5", "1.5"]
