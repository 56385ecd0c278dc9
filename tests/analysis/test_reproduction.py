"""A repetition is the same only if every value of every message is, and else it says which."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testbed.analysis.reproduction import Compared, Difference, compare
from testbed.results.folder import PROVENANCE, SAMPLES, RunFolder
from testbed.results.provenance import Provenance
from testbed.results.samples import ARROW
from tests.results import synthetic

SESSION = "hft_order"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.run_folder(tmp_path_factory.mktemp("stored") / "run")


def changed(stored: Path, target: Path, alter: Any) -> RunFolder:
    """A copy of a run whose samples were altered."""
    shutil.copytree(stored, target)
    frame = alter(RunFolder(stored).samples)
    pq.write_table(
        pa.Table.from_pandas(frame, schema=ARROW, preserve_index=False), target / SAMPLES
    )
    return RunFolder(target)


def of(found: list[Compared], session: str = SESSION) -> Compared:
    return next(each for each in found if each.session == session)


def test_a_run_is_the_same_as_itself(stored: Path) -> None:
    found = compare(RunFolder(stored), RunFolder(stored))
    assert len(found) == len(synthetic.plan().sessions)
    assert all(each.same for each in found)
    assert sum(each.messages for each in found) == sum(s.count for s in synthetic.plan().sessions)


def test_one_nanosecond_in_one_message_is_found(stored: Path, tmp_path: Path) -> None:
    def later(rows: pd.DataFrame) -> pd.DataFrame:
        at = rows.index[(rows.session == SESSION) & (rows.seq == 1234)]
        rows.loc[at, "reverse_ns"] += 1
        return rows

    found = compare(RunFolder(stored), changed(stored, tmp_path / "now", later))
    assert [each.session for each in found if not each.same] == [SESSION]
    first = of(found).difference
    assert isinstance(first, Difference)
    assert (first.message, first.column) == (1234, "reverse_ns")
    assert first.now == first.before + 1


def test_what_became_unknown_is_a_difference(stored: Path, tmp_path: Path) -> None:
    def lost(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows.index[(rows.session == SESSION) & (rows.seq == 3)], "rtt_ns"] = None
        return rows

    first = of(compare(RunFolder(stored), changed(stored, tmp_path / "now", lost))).difference
    assert first is not None
    assert (first.message, first.column, first.now) == (3, "rtt_ns", None)


def test_messages_that_only_one_has_are_counted(stored: Path, tmp_path: Path) -> None:
    fewer = changed(stored, tmp_path / "now", lambda rows: rows[rows.seq != 5])
    found = of(compare(RunFolder(stored), fewer))
    assert (found.same, found.unmatched, found.difference) == (False, 1, None)


def test_of_an_unfinished_run_only_what_it_knows_counts(stored: Path, tmp_path: Path) -> None:
    fates = ["received", "lost_forward", "lost_reverse", "not_sent"]

    def cut(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[rows.intended_ns < 5e9]
        rows.loc[rows.seq > 900, fates] = False
        return rows

    unfinished = changed(stored, tmp_path / "cut", cut)
    told = msgspec.structs.replace(
        msgspec.json.decode((stored / PROVENANCE).read_bytes(), type=Provenance),
        status="unfinished",
        actual={"traffic_ns": 5_000_000_000},
    )
    (unfinished.path / PROVENANCE).write_bytes(msgspec.json.encode(told))
    found = of(compare(RunFolder(unfinished.path), RunFolder(stored)))
    assert found.same
    assert found.messages == 901
