"""A lab test that is skipped fails, unless that is allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.lab
@pytest.mark.parametrize("why", ["no lab", "optional: no QEMU"])
def test_in_a_lab(why):
    pytest.skip(why)

def test_beside_it():
    pytest.skip("not for root")
"""


MODULE = """
import pytest

pytest.importorskip("no_such_module_of_a_lab")

@pytest.mark.lab
def test_in_a_lab():
    assert False
"""


@pytest.mark.parametrize(
    ("allowed", "told"),
    [((), "1 failed, 2 skipped, 1 error"), (("--allow-skipped-labs",), "4 skipped")],
)
def test_a_skipped_lab_is_a_failure(tmp_path: Path, allowed: tuple[str, ...], told: str) -> None:
    (tmp_path / "test_two.py").write_text(TESTS)
    (tmp_path / "test_whole.py").write_text(MODULE)
    (tmp_path / "conftest.py").write_bytes((Path(__file__).parent / "conftest.py").read_bytes())
    pytest_all = [sys.executable, "-m", "pytest", "-Wignore", "--continue-on-collection-errors"]
    done = subprocess.run(
        [*pytest_all, *allowed], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert told in done.stdout
