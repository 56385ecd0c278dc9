"""The terminal table fits 100 columns and says what the summary says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from testbed.report.table import verdict_table
from testbed.results.folder import RunFolder
from tests.results import synthetic


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.run_folder(tmp_path_factory.mktemp("table") / "run")


@pytest.mark.parametrize("width", [100, 120])
def test_nothing_is_cut_off(run: Path, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(verdict_table(RunFolder(run)))
    text = console.export_text()
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    for word in (
        "telesurgery_haptic UL",
        "hft_order rtt",
        "p99.9",
        "deadline",
        "1000<3688",
        "lost",
    ):
        assert word in text
    assert "✗ missed" in text
    assert text.count("? not shown") == 2
    assert text.count("✓ met") == 3
    assert "3 of 6 deadlines are met: telesurgery_haptic UL/DL" in text
    assert "urllc: ue1>" in text
    rows = [line for line in lines if "%  " in line]
    assert len(rows) == 7
    assert not any("…" in line for line in rows)  # only paths are shortened


@pytest.mark.parametrize("width", [72, 80, 90])
def test_narrow_terminals_lose_columns_never_digits(run: Path, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(verdict_table(RunFolder(run)))
    lines = console.export_text().splitlines()
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines if ">…>" not in line)
    assert any("p50" in line and "deadline" in line and "verdict" in line for line in lines)
