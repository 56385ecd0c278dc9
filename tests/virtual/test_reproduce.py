"""The same scenario and seed give the same samples, whatever else the machine does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testbed.results.folder import SAMPLES, SUMMARY, RunFolder
from testbed.results.samples import ARROW
from tests.virtual.asked import asked, run

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

POISSON, LOSSY, STEADY = "hft_order", "llm_chat", "uav_c2_stick"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(asked(), tmp_path_factory.mktemp("first"))


@contextmanager
def busy(burners: int) -> Iterator[None]:
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(burners)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def samples_of(folder: RunFolder, session: str) -> pd.DataFrame:
    rows = folder.samples
    return rows[rows.session == session].drop(columns="session").reset_index(drop=True)


@pytest.mark.parametrize(("burners", "captures"), [(0, False), (4, False), (0, True)])
def test_same_seed_same_bytes(
    first: RunFolder, burners: int, captures: bool, tmp_path: Path
) -> None:
    with busy(burners):
        again = run(asked(captures=captures), tmp_path)
    pd.testing.assert_frame_equal(first.samples, again.samples)
    for name in (SAMPLES, SUMMARY):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes(), name


def test_other_seed_differs_where_something_is_random(first: RunFolder, tmp_path: Path) -> None:
    other = run(asked(seed=2), tmp_path)
    pd.testing.assert_frame_equal(samples_of(first, STEADY), samples_of(other, STEADY))

    poisson = [samples_of(folder, POISSON).intended_ns for folder in (first, other)]
    assert not poisson[0].equals(poisson[1])
    lossy = [samples_of(folder, LOSSY) for folder in (first, other)]
    phases = [int(rows.intended_ns[0]) for rows in lossy]
    assert phases[0] != phases[1]
    assert (lossy[0].intended_ns - phases[0]).equals(lossy[1].intended_ns - phases[1])
    lost = [rows.lost_forward | rows.lost_reverse for rows in lossy]
    assert lost[0].any()
    assert lost[1].any()
    assert not lost[0].equals(lost[1])


def typed(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testbed.cli", *words],
        env=os.environ | {"TESTBED_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stored_run_is_reproduced_and_what_is_not_is_found(
    first: RunFolder, tmp_path: Path
) -> None:
    """Of an experiment whose file is no longer there: the run holds all it takes."""
    kept = tmp_path / "results" / first.path.parent.name / first.path.name
    kept.parent.mkdir(parents=True)
    kept.symlink_to(first.path)
    done = typed(tmp_path, "reproduce", first.path.name, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    assert sum(row["messages"] for row in told["sessions"]) > len(first.samples)

    folder = RunFolder(Path(told["again"]))
    rows = folder.samples
    row = rows.index[(rows.session == POISSON) & rows.received][7]
    rows.loc[row, "forward_ns"] += 1
    (folder.path / SAMPLES).unlink()
    pq.write_table(
        pa.Table.from_pandas(rows, schema=ARROW, preserve_index=False), folder.path / SAMPLES
    )
    done = typed(tmp_path, "reproduce", str(folder.path))
    assert done.returncode == 1, done.stderr
    assert "Not reproduced: 1 of 4 sessions differ" in done.stdout
    for text in (POISSON, "forward_ns", f"{int(rows.loc[row, 'forward_ns']):,}"):
        assert text in done.stdout
