"""What a user types, and what comes back: an exit code, the nearest name, no traceback."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.forked import typed

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


WRONG = [
    (("rnu",), 2, "did you mean 'run'"),
    (("check", "metro_slice"), 2, "metro_slices"),
    (("check", "metro_slices", "--set", "flod=1"), 2, "did you mean 'flood'"),
    (("check", "metro_slices", "--set", "flood=much"), 2, "is not a number"),
    (("check", "metro_slices", "--set", "flood"), 2, "key=value"),
    (("check", "metro_slices", "--set", "duration=10"), 2, "has no unit"),
    (("check", "metro_slices", "--set", "duration=-1 s"), 2, "negative"),
    (("check", "metro_slices", "--set", "policy=lowest_dealy"), 2, "lowest_delay"),
    (("check", "metro_slices", "--pcap", "park"), 2, "NODE:PORT"),
    (("check", "metro_slices", "--pcap", "prak:eth0"), 2, "did you mean 'park'"),
    (("run", "metro_slices", "--lab", "wal"), 2, "did you mean 'wall'"),
    (("shell", "metro_rign"), 2, "did you mean 'metro_ring'"),
    (("shell", "metro_ring", "--set", "sites=-3"), 2, "sites"),
    (("shell", "metro_ring", "--memory", "2"), 2, "has no unit"),
    (("shell", "metro_ring", "--bfd", "10 ms"), 2, "nothing is protected"),
    (("exec", "--lab", "virtual", "--memory", "99999 GiB", "--", "true"), 2, "with 99999 GiB of"),
    (("exec", "--memory", "abc", "--", "true"), 2, "'abc' is not a memory size"),
    (("shell", "metro_ring", "--set", "span=-3 km"), 2, "negative"),
    (("shell", "zoo", "--set", "name=sndlib/brain"), 2, "brain"),
    (("report", "no-such-run"), 2, "no-such-run"),
    (("new", "experiment", "Not-A-Name"), 2, "name of an experiment"),
    (("new", "experiment", "class"), 2, "keyword of Python"),
    (("run", "metro_slices", "--seed", "x"), 2, "seed"),
    (("run", "metro_slices", "--timeout", "nan"), 2, "nan is not in the range x>=1"),
    (("reproduce", "--timeout", "inf"), 2, "inf is not in the range x>=1"),
    (("kernel", "biuld"), 2, "where    testbed kernel"),
]


@pytest.mark.parametrize(
    ("words", "code", "says"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_wrong_input_is_answered(words: tuple[str, ...], code: int, says: str) -> None:
    done = typed(*words)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("--help",)])
def test_an_output_that_takes_no_more_is_told(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = typed(*words, out=full.fileno())
    assert done.returncode == 6
    assert done.stderr.startswith("error cannot write what was asked for: No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("--help",), ("check", "all")])
def test_a_reader_that_goes_ends_a_command_quietly(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = typed(*words, out=write)
    os.close(write)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_an_error_that_cannot_be_said_has_its_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        assert typed("check", "no-such", err=full.fileno()).returncode == 2


def test_list_names_all_kinds() -> None:
    rows = json.loads(typed("list", "--json").stdout)
    assert {"experiment", "topology", "policy", "class"} == set(rows)
    assert "telesurgery_haptic" in [row["name"] for row in rows["class"]]
    assert "city" in typed("list").stdout


def test_an_experiment_that_asks_nothing_is_told_so(project: Path) -> None:
    (project / "experiments" / "mute.py").write_text(
        "from testbed.scenario.experiment import Experiment\n"
        "class Mute(Experiment):\n"
        "    def build(self) -> None:\n"
        "        self.topology('metro_ring')\n"
        "        self.slice('s', sst=1)\n"
    )
    done = typed("check", "mute", cwd=project)
    assert done.returncode == 2
    assert "asks nothing" in done.stderr


def test_list_goes_on_after_a_broken_class(project: Path) -> None:
    (project / "classes").mkdir()
    (project / "classes" / "broken.toml").write_text("size = ")
    done = typed("list", cwd=project)
    assert done.returncode == 2
    assert "telesurgery_haptic" in done.stdout
    assert "broken.toml" in done.stderr


def test_every_shipped_experiment_passes_check() -> None:
    done = typed("check", "all")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok") == len(json.loads(typed("list", "--json").stdout)["experiment"])


def test_plan_prints_json_and_tables() -> None:
    plan = json.loads(typed("plan", "metro_slices", "--json").stdout)
    assert plan["sessions"]
    assert plan["rules"]
    assert "Delay budget" in typed("plan", "metro_slices").stdout


@pytest.mark.parametrize("kind", ["experiment", "topology", "policy", "class"])
def test_a_template_passes_check_as_written(kind: str, project: Path) -> None:
    assert typed("new", kind, "mine", cwd=project).returncode == 0
    again = typed("new", kind, "mine", cwd=project)
    assert again.returncode == 2
    assert "already" in again.stderr
    assert typed("new", "experiment", "asks", cwd=project).returncode == 0
    experiment = project / "experiments" / "asks.py"
    text = experiment.read_text()
    uses = {
        "topology": text.replace('"metro_ring"', '"mine"')
        .replace('"dc1"', '"h1"')
        .replace('("h2", "h3")', '("h2",)'),
        "policy": text.replace('"lowest_delay"', '"mine"'),
        "class": text.replace('"ar_vr_pose"', '"mine"'),
    }
    experiment.write_text(uses.get(kind, text))
    done = typed("check", "asks", cwd=project)
    assert done.returncode == 0, done.stderr


def test_templates_are_as_clean_as_the_project(project: Path) -> None:
    for kind in ("experiment", "topology", "policy"):
        assert typed("new", kind, f"mine_{kind}", cwd=project).returncode == 0
    settings = str(PROJECT / "pyproject.toml")
    for words in (
        ("ruff", "format", "--check", "--config", settings, "."),
        ("ruff", "check", "--config", settings, "--config", f'src=["{PROJECT}"]', "."),
        ("mypy", "--strict", "--config-file", settings, *map(str, project.rglob("*.py"))),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=project,
            env=os.environ | {"MYPYPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_help_shows_every_verb() -> None:
    text = typed("--help").stdout
    for verb in ("run", "list", "check", "plan", "report", "doctor", "shell", "exec", "new"):
        assert f"\n  {verb} " in text
