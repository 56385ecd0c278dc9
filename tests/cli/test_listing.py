"""Tables of the command line."""

import io
from pathlib import Path

from testbed.cli.console import Terminal
from testbed.cli.listing import rows_of, show_sweep, usable
from testbed.lab.doctor import Check
from testbed.results.folder import RunFolder
from tests.results import synthetic


def test_a_sweep_has_a_row_for_each_setting(tmp_path: Path) -> None:
    run = synthetic.run_folder(tmp_path / "run")
    console = Terminal(file=io.StringIO(), width=200)
    points = [{"flood": "0.5", "policy": "p"}, {"flood": "[1.2]", "policy": "p"}]
    show_sweep(points, [rows_of(RunFolder(run))] * 2, console)
    assert isinstance(console.file, io.StringIO)
    *_, head, first, second = filter(None, map(str.strip, console.file.getvalue().splitlines()))
    assert head.split()[0] == "flood"
    assert "policy" not in head
    assert first.split()[0] == "0.5"
    assert second.split()[0] == "[1.2]"
    assert any(sign in first for sign in "✓✗?!")


def test_only_a_lab_is_a_lab_that_can_start() -> None:
    parts = [Check("lab image", True, "built"), Check("lab kernel", True, "built")]
    assert not usable([*parts, Check("lab wall", False, "no")])
    assert usable([*parts, Check("lab wall", True, "can start")])
